"""What pulsed devices have in common: their card's parameters, and the device-to-device variation drawn from them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp.devices.base import DeviceSettings
from analogdp.scenario.quantities import Ratio
from analogdp.streams import Stream

_NARROWEST_RANGE = 1e-4


class PopulationSettings(DeviceSettings):
    """A device whose normalised weight w moves by counted pulses between a lower bound <= 0 and an upper one > 0.

    ``*_spread`` is device to device, relative to the nominal value, drawn once; ``cycle_noise`` is drawn at every
    pulse.
    """

    asymmetry: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="> 0: down steps are smaller by this share of a step; < 0: up steps (up_down)",
    )
    upper: float = Field(default=1.0, gt=0, le=10, description="nominal upper bound of w (w_max)")
    lower: float = Field(default=-1.0, le=0, ge=-10, description="nominal lower bound of w (w_min)")
    step_spread: Ratio = Field(default=0.0, ge=0, le=5, description="of the step, the same for up and down")
    step_distribution: Literal["normal", "lognormal"] = Field(
        default="normal", description="of the step from device to device"
    )
    asymmetry_spread: Ratio = Field(default=0.0, ge=0, le=5, description="of the difference between up and down step")
    upper_spread: Ratio = Field(default=0.0, ge=0, le=5, description="of the upper bound, device to device, relative")
    lower_spread: Ratio = Field(default=0.0, ge=0, le=5, description="of the lower bound, device to device, relative")
    cycle_noise: Ratio = Field(
        default=0.0, ge=0, le=100, description="standard deviation of one step, relative (sigma_c)"
    )
    cycle_noise_form: Literal["multiplicative", "additive"] = Field(
        default="multiplicative",
        description="relative to the step where the cell is, or to the step at w = 0 wherever it is",
    )
    write_noise: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="what a read shows beside the stored w after a write, std in nominal steps",
    )

    unidirectional: bool = Field(
        default=False, description="pulses only raise the conductance; a cell is lowered by a reset of all of it"
    )
    reset_weight: float | None = Field(
        default=None, ge=-10, le=10, description="weight that a reset leaves on average; null: no reset is known"
    )
    reset_std: float = Field(default=0.0, ge=0, le=10, description="its spread from reset to reset and cell to cell")

    @field_validator("reset_weight")
    @classmethod
    def _within_the_bounds(cls, reset_weight: float | None, info: ValidationInfo) -> float | None:
        lower, upper = info.data.get("lower"), info.data.get("upper")
        if reset_weight is not None and lower is not None and upper is not None and not lower <= reset_weight <= upper:
            raise ValueError(f"{reset_weight:g} is outside the bounds of the weight, {lower:g} to {upper:g}")
        return reset_weight

    @property
    def nominal_step(self) -> float:
        """Nominal change of w by one pulse at w = 0."""
        raise NotImplementedError(f"{type(self).__name__} does not say how long a step is")

    def tensors_per_cell(self) -> int:
        """Stored weight, two steps and two bounds; and the visible weight if it differs."""
        return 6 if self.write_noise else 5


class PulsedSettings(PopulationSettings):
    """A device described by the step at weight 0."""

    step: float = Field(gt=0, le=2, description="nominal change of w by one pulse at w = 0 (dw_min)")

    @property
    def nominal_step(self) -> float:
        return self.step


def draw_population(
    settings: PopulationSettings, shape: tuple[int, ...], floor: float, stream: Stream
) -> dict[str, Tensor]:
    """Fabricate devices: ``step_up`` > 0, ``step_down`` < 0 (signed), ``upper`` > 0 and ``lower`` <= 0.

    With xi ~ N(0, 1), g = 1 + spread xi or exp(spread xi), r = asymmetry_spread xi and asymmetry u, all of the
    normalised weight (Gokmen & Vlasov 2016):

        step_up = |min(u, 0) + g + r| step      upper =  |w_max (1 + spread xi)|
        step_down = -|-max(u, 0) + g - r| step  lower = -|w_min (1 + spread xi)|, but not below ``floor``

    Args:
        settings: the population.
        shape: of the cells of one chip.
        floor: the weight at zero conductance, which no device can go below.
        stream: for the chips fabricated.
    """

    def normal(name: str) -> Tensor:
        return stream.child(name).normal(shape)

    size = normal("step").mul_(settings.step_spread)
    size = size.exp_() if settings.step_distribution == "lognormal" else size.add_(1.0)
    lean = normal("asymmetry").mul_(settings.asymmetry_spread)
    up = (size + lean).add_(min(settings.asymmetry, 0.0)).abs_().mul_(settings.nominal_step)
    down = size.sub_(lean).sub_(max(settings.asymmetry, 0.0)).abs_().mul_(-settings.nominal_step)
    upper = normal("upper").mul_(settings.upper_spread).add_(1.0).abs_().clamp_(min=_NARROWEST_RANGE)
    lower = normal("lower").mul_(settings.lower_spread).add_(1.0).abs_().clamp_(min=_NARROWEST_RANGE)
    upper.mul_(settings.upper)
    lower.mul_(settings.lower).clamp_(min=floor)
    return {"step_up": up, "step_down": down, "upper": upper, "lower": lower}


def symmetry_point(step_up: Tensor, step_down: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """The weight at which a soft-bounds device's up and down steps are equally large; both bounds pull towards it.

    Where s_up (1 - w / upper) = s_dn (1 - w / lower) with the sizes s_up = ``step_up`` and s_dn = ``-step_down``.
    """
    return (step_up + step_down) / (step_up / upper + step_down / lower)
