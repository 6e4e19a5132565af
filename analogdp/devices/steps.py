"""The pulsed device models: constant step, linear step and soft bounds."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, DeviceState
from analogdp.devices.population import PulsedSettings, symmetry_point
from analogdp.devices.pulsed import PulsedDevice
from analogdp.scenario.quantities import Ratio, Time
from analogdp.streams import Stream


class ConstantStepSettings(PulsedSettings):
    """Parameters of cells whose step does not depend on the weight; both forms of cycle noise are the same here."""


@registry.devices.register("constant")
class ConstantStep(PulsedDevice):
    """Every pulse moves the weight by the same step, until a bound stops it.

        w <- w + s_up (1 + sigma xi),  w <- w - s_dn (1 + sigma xi)

    Gokmen & Vlasov, Front. Neurosci. 10, 333 (2016).
    """

    Settings: ClassVar[type[DeviceSettings]] = ConstantStepSettings


class LinearStepSettings(PulsedSettings):
    """Parameters of cells whose step falls linearly with the weight."""

    lower: float = Field(default=-1.0, lt=0, ge=-10, description="nominal lower bound of w (w_min)")
    slope_up: Ratio = Field(
        default=0.0, ge=0, le=1, description="share of the up step that is lost at the upper bound (gamma)"
    )
    slope_down: Ratio = Field(
        default=0.0, ge=0, le=1, description="share of the down step that is lost at the lower bound"
    )
    slope_up_spread: Ratio = Field(default=0.0, ge=0, le=1, description="device to device, absolute")
    slope_down_spread: Ratio = Field(default=0.0, ge=0, le=1, description="device to device, absolute")
    lifetime: Time | None = Field(
        default=None,
        gt=0,
        description="time constant of the decay towards weight 0, of a leaking capacitor; null: no decay",
    )

    def tensors_per_cell(self) -> int:
        return super().tensors_per_cell() + 2


@registry.devices.register("linear")
class LinearStep(PulsedDevice):
    """The step falls linearly from one bound to the other; the stored weight may leak away.

        w <- w + s_up (1 - gamma_up w / upper) (1 + sigma xi),  w <- w - s_dn (1 - gamma_dn w / lower) (1 + sigma xi)

    Li et al., VLSI 2018; Tang et al., IEDM 2018. Additive cycle noise: ``(1 - gamma w / bound + sigma xi)``.
    """

    Settings: ClassVar[type[DeviceSettings]] = LinearStepSettings
    parameters: LinearStepSettings

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0; ``rate_up`` and ``rate_down`` are the slopes |gamma (+ spread xi)| / bound."""
        state, own = super().sample(shape, stream), self.parameters
        for name, bound, slope, spread in (
            ("rate_up", "upper", own.slope_up, own.slope_up_spread),
            ("rate_down", "lower", own.slope_down, own.slope_down_spread),
        ):
            gamma = stream.child(name).normal(shape).mul_(spread).add_(slope).abs_()
            state.parameters[name] = gamma.div_(state.parameters[bound])
        return state

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        own = self.parameters
        rates = {"rate_up": own.slope_up / parameters["upper"], "rate_down": own.slope_down / parameters["lower"]}
        return parameters | rates

    @property
    def noise_at_bounds(self) -> float:
        own = self.parameters
        left = 1.0 - max(own.slope_up, own.slope_down) if self.additive else 1.0
        return math.inf if left == 0.0 else own.cycle_noise / left

    def slope(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return torch.lerp(parameters["rate_down"], parameters["rate_up"], rising)

    @property
    def volatile(self) -> bool:
        return self.parameters.lifetime is not None

    def relax(self, state: DeviceState, elapsed: Tensor | float, stream: Stream) -> None:
        """The weight decays exponentially to 0 with the card's ``lifetime``."""
        if self.parameters.lifetime is None:
            return
        for variable in state.variables.values():
            seconds = torch.as_tensor(elapsed, dtype=torch.float64, device=variable.device)
            kept = torch.exp(-seconds / self.parameters.lifetime).to(variable.dtype)
            variable.mul_(kept.view(-1, *(1,) * (variable.dim() - 1)))


class SoftBoundsSettings(PulsedSettings):
    """Parameters of cells whose step vanishes at the bound it leads to."""

    lower: float = Field(default=-1.0, lt=0, ge=-10, description="nominal lower bound of w (w_min)")
    reference: Literal["zero", "symmetry_point"] = Field(
        default="zero",
        description="where the fixed reference cell of a pair is put: weight 0, or each device's symmetry point",
    )
    reference_std: float = Field(
        default=0.0, ge=0, le=10, description="error of putting it there, in normalised weight"
    )

    def tensors_per_cell(self) -> int:
        return super().tensors_per_cell() + int(self.reference != "zero" or self.reference_std > 0)


@registry.devices.register("soft_bounds")
class SoftBounds(PulsedDevice):
    """The step shrinks in proportion to the distance from the bound it leads to.

        w <- w + s_up (1 - w / upper) (1 + sigma xi),  w <- w - s_dn (1 - w / lower) (1 + sigma xi)

    Fusi & Abbott, Nat. Neurosci. 2007; Gong & Rasch, IEDM 2022, who read each cell against a reference at its symmetry
    point. Additive cycle noise: ``(1 - w / bound + sigma xi)``.
    """

    Settings: ClassVar[type[DeviceSettings]] = SoftBoundsSettings
    parameters: SoftBoundsSettings
    rests_at_bounds = True

    def slope(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return torch.lerp(parameters["lower"], parameters["upper"], rising).reciprocal_()

    def reference(self, state: DeviceState, stream: Stream) -> Tensor:
        """Conductance of a fixed cell at weight 0 or at each device's symmetry point, with the card's error."""
        own = self.parameters
        if own.reference == "zero" and own.reference_std == 0:
            return super().reference(state, stream)
        upper = state.parameters["upper"]
        error = stream.child("reference").normal(tuple(upper.shape[1:])).mul_(own.reference_std)
        if own.reference == "symmetry_point":
            error.add_(symmetry_point(**state.parameters))
        return error.sub_(self.floor).clamp_(min=0.0).mul_(self.siemens)
