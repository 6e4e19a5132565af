"""Pulsed devices whose step falls exponentially with the weight, as in filamentary ReRAM and phase-change memory."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, DeviceState, WritePulse
from analogdp.devices.flows import FlowDevice
from analogdp.devices.population import PopulationSettings, PulsedSettings
from analogdp.streams import Stream

_LARGEST_EXPONENT = 60.0
_FINE = 0.05
"""Relative change of the step by one pulse up to which a card counts as one of fine steps."""


class ExponentialStepSettings(PulsedSettings):
    """Parameters of cells whose step contains an exponential of the weight."""

    factor_up: float = Field(ge=-1e4, le=1e4, description="A of up pulses; negative: a step is larger than dw_min")
    factor_down: float = Field(ge=-1e4, le=1e4, description="A of down pulses")
    exponent_up: float = Field(gt=0, le=50, description="gamma of up pulses")
    exponent_down: float = Field(gt=0, le=50, description="gamma of down pulses")
    scale: float = Field(ge=-2, le=2, description="a: change of z over the device's own range is 2 a")
    offset: float = Field(ge=-2, le=2, description="b: z at weight 0")
    cycle_noise_offset: float = Field(
        default=0.0, ge=0, le=2, description="noise of a pulse besides that of its step, in weight per cycle_noise"
    )
    cycle_noise_slope: float = Field(
        default=0.0, ge=0, le=2, description="the same in proportion to the size of the weight, per cycle_noise"
    )

    @model_validator(mode="after")
    def _one_form_of_noise(self) -> Self:
        if self.cycle_noise_form == "additive" and (self.cycle_noise_offset or self.cycle_noise_slope):
            raise ValueError(
                "cycle_noise_offset and cycle_noise_slope go with cycle_noise_form 'multiplicative', not with 'additive'"
            )
        if self.scale == 0:
            raise ValueError("scale 0 makes the step the same everywhere; use model 'constant'")
        return self

    def tensors_per_cell(self) -> int:
        return super().tensors_per_cell() + 2


@registry.devices.register("exponential")
class ExponentialStep(FlowDevice):
    """The step is an exponential of the position in the device's own range.

        z = 2 a w / (upper - lower) + b,  y_d = max(0, 1 - A_d exp(d gamma_d z)),  d = +1 up, -1 down
        w <- w + d s_d y_d + sigma (y_d s_d + offset + slope |w|) xi

    Gong et al., Nat. Commun. 9, 2102 (2018); Nandakumar et al., Front. Neurosci. 14, 406 (2020) for the noise with an
    offset and a slope. Additive cycle noise: ``sigma s_d xi``. With kappa = d gamma_d 2 a / (upper - lower) and
    q = 1 - y, exp(-kappa w) obeys a linear equation, whose solution over n pulses of signed step s is
    w_n - w = s n - ln(1 + q (exp(kappa s n) - 1)) / kappa.
    """

    Settings: ClassVar[type[DeviceSettings]] = ExponentialStepSettings
    parameters: ExponentialStepSettings

    def __init__(
        self, parameters: PopulationSettings, low: float, high: float, write_pulse: WritePulse | None = None
    ) -> None:
        super().__init__(parameters, low, high, write_pulse)
        own = self.parameters
        per_weight = 2.0 * abs(own.scale) / (own.upper - own.lower) * own.step
        decays = (
            per_weight * exponent * abs(1.0 - step)
            for exponent, up in ((own.exponent_up, True), (own.exponent_down, False))
            for step in (self._step_at(own.upper, up), self._step_at(own.lower, up))
        )
        besides = self.additive or own.cycle_noise_offset or own.cycle_noise_slope
        self._fine = not besides and max(decays) <= _FINE

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0; ``rate_up`` and ``rate_down`` are kappa of each."""
        state = super().sample(shape, stream)
        state.parameters = self.shape_parameters(state.parameters)
        return state

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        own, gradient = self.parameters, 2.0 * self.parameters.scale / (parameters["upper"] - parameters["lower"])
        return parameters | {"rate_up": gradient * own.exponent_up, "rate_down": gradient * -own.exponent_down}

    @property
    def noise_at_bounds(self) -> float:
        own = self.parameters
        ends = [(self._step_at(own.upper, up=True), own.upper)]
        if not self.unidirectional:
            ends.append((self._step_at(own.lower, up=False), own.lower))
        return max(self._noise_of_step(step, weight) for step, weight in ends)

    def change(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As for any flow; where a pulse hardly changes the next one, without a pulse of its own at the beginning.

        The whole way then goes with the flow and is corrected by its end terms, which leaves a relative error of about a
        third of the square of that change, of at most 5 %, in one pulse, and one of its size in the spread.
        """
        if not self._fine:
            return super().change(weight, step, pulses, parameters, rising)
        kappa = self._kappa(parameters, rising)
        missing = self._missing(weight, kappa, rising)
        mean, slowed, logarithm, present = self._flow(missing, step * pulses, kappa)
        end = present.div_(slowed).mul_(step)
        mean.addcmul_(end, logarithm, value=0.5)
        # The square root of a count, exactly 0 for none.
        std = pulses.clamp(min=1.0).rsqrt_().mul_(pulses).mul_(end.abs_()).mul_(self.parameters.cycle_noise)
        return mean, std

    def relative_step(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return self._missing(weight, self._kappa(parameters, rising), rising).neg_().add_(1.0)

    def travel(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> Tensor:
        kappa = self._kappa(parameters, rising)
        return self._flow(self._missing(weight, kappa, rising), step * pulses, kappa)[0]

    def pulse_noise(self, weight: Tensor, change: Tensor, step: Tensor) -> Tensor:
        own, noise = self.parameters, super().pulse_noise(weight, change, step)
        if own.cycle_noise_offset or own.cycle_noise_slope:
            noise.add_(own.cycle_noise * own.cycle_noise_offset)
            noise.add_(weight.abs(), alpha=own.cycle_noise * own.cycle_noise_slope)
        return noise

    def _flow(self, missing: Tensor, constant: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The way from where steps lack ``missing`` of constant ones, by what their size is divided on it, its logarithm,
        and what is left of steps at the beginning.

        exp(x) - 1 and ln(1 + x) are as good as the weights themselves: both come with their type's rounding of 1.
        """
        present = torch.rsub(missing, 1.0)
        # In this order no pulses give exactly 1.
        slowed = (kappa * constant).clamp_(-_LARGEST_EXPONENT, _LARGEST_EXPONENT).exp_().sub_(1.0)
        slowed.mul_(missing).add_(1.0)
        logarithm = slowed.log()
        return constant.addcdiv_(logarithm, kappa, value=-1.0), slowed, logarithm, present

    def _kappa(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return torch.lerp(parameters["rate_down"], parameters["rate_up"], rising)

    def _missing(self, weight: Tensor, kappa: Tensor, rising: Tensor) -> Tensor:
        """q = A exp(d gamma z), at most 1: what a step lacks of the constant one."""
        up, down = self._factors
        factor = (rising * (up - down)).add_(down)
        missing = (kappa * weight).exp_().mul_(factor)
        return missing.clamp_(max=1.0) if max(up, down) > 0 else missing

    @property
    def _factors(self) -> tuple[float, float]:
        """A exp(d gamma b) of up and down pulses."""
        own = self.parameters
        return (
            own.factor_up * math.exp(own.exponent_up * own.offset),
            own.factor_down * math.exp(-own.exponent_down * own.offset),
        )

    def _step_at(self, weight: float, up: bool) -> float:
        """Nominal relative step at a weight."""
        own, exponent = self.parameters, self.parameters.exponent_up if up else -self.parameters.exponent_down
        gradient = 2.0 * own.scale / (own.upper - own.lower)
        return max(0.0, 1.0 - self._factors[0 if up else 1] * math.exp(exponent * gradient * weight))

    def _noise_of_step(self, step: float, weight: float) -> float:
        """Noise of a pulse relative to its mean, where that is ``step`` of the device's."""
        own = self.parameters
        if step == 0.0:
            return math.inf if own.cycle_noise else 0.0
        if self.additive:
            return own.cycle_noise / step
        besides = own.cycle_noise_offset + own.cycle_noise_slope * abs(weight)
        return own.cycle_noise * (1.0 + besides / (step * own.step))
