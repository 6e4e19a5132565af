"""Pulsed devices whose step is a power of the distance from the bound it leads to."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, DeviceState
from analogdp.devices.flows import FlowDevice
from analogdp.devices.population import PulsedSettings
from analogdp.scenario.quantities import Ratio
from analogdp.streams import Stream

_NEAREST = 1e-12
"""Distance from the bound, relative to the range, below which a cell counts as this far from it."""


class PowerStepSettings(PulsedSettings):
    """Parameters of cells whose step is a power of the way that is left; ``step`` is that of the whole range."""

    exponent_up: float = Field(ge=0, le=20, description="gamma of up pulses; 1: soft bounds")
    exponent_down: float = Field(ge=0, le=20, description="gamma of down pulses")
    exponent_spread: Ratio = Field(default=0.0, ge=0, le=1, description="of both, device to device, relative")

    def tensors_per_cell(self) -> int:
        return super().tensors_per_cell() + 2


@registry.devices.register("power")
class PowerStep(FlowDevice):
    """The step is a power of the relative distance x from the bound that it leads to.

        up:    w <- w + s_up x^gamma_up (1 + sigma xi),    x = (upper - w) / (upper - lower)
        down:  w <- w - s_dn x^gamma_dn (1 + sigma xi),    x = (w - lower) / (upper - lower)

    Fusi & Abbott, Nat. Neurosci. 2007. Additive cycle noise: ``(x^gamma + sigma xi)``. x^(1 - gamma) is linear in n:
    x_n = x (1 - p tau)^(1/p) with p = 1 - gamma and tau = n s x^-p / (upper - lower), exp(-tau) x for p = 0.
    """

    Settings: ClassVar[type[DeviceSettings]] = PowerStepSettings
    parameters: PowerStepSettings
    rests_at_bounds = True

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0; ``power_up`` and ``power_down`` are |gamma (1 + spread xi)|."""
        state, own = super().sample(shape, stream), self.parameters
        spread = stream.child("exponent").normal(shape).mul_(own.exponent_spread).add_(1.0).abs_()
        state.parameters["power_up"] = spread * own.exponent_up
        state.parameters["power_down"] = spread.mul_(own.exponent_down)
        return state

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        own, like = self.parameters, parameters["upper"]
        powers = {"power_up": own.exponent_up, "power_down": own.exponent_down}
        return parameters | {name: torch.full_like(like, power) for name, power in powers.items()}

    def relative_step(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return self._distance(weight, parameters, rising).pow_(self._power(parameters, rising))

    def travel(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> Tensor:
        smallest = torch.finfo(weight.dtype).eps ** 2
        less = self._power(parameters, rising).neg_().add_(1.0 + smallest)
        less = torch.where(less == 0.0, smallest, less)
        span, distance = parameters["upper"] - parameters["lower"], self._distance(weight, parameters, rising)
        used = distance.pow(-less).mul_(step.abs()).mul_(pulses).div_(span).mul_(less).clamp_(max=1.0)
        return torch.log1p(-used).div_(less).expm1_().mul_(distance).mul_(span).mul_(step.sign()).neg_()

    def _power(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return torch.lerp(parameters["power_down"], parameters["power_up"], rising)

    def _distance(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        span = parameters["upper"] - parameters["lower"]
        left = torch.lerp(weight - parameters["lower"], parameters["upper"] - weight, rising)
        return left.div_(span).clamp_(min=_NEAREST)
