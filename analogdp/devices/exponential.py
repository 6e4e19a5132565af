"""Pulsed devices whose step falls exponentially with the weight, as in filamentary ReRAM and phase-change memory."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, DeviceState
from analogdp.devices.flows import FlowDevice
from analogdp.devices.population import PulsedSettings
from analogdp.streams import Stream

_LARGEST_EXPONENT = 60.0


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
        return super().tensors_per_cell() + 1


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

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0; ``gradient`` is dz/dw of each."""
        state = super().sample(shape, stream)
        state.parameters = self.shape_parameters(state.parameters)
        return state

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        span = parameters["upper"] - parameters["lower"]
        return parameters | {"gradient": 2.0 * self.parameters.scale / span}

    @property
    def noise_at_bounds(self) -> float:
        own = self.parameters
        at_upper = max(0.0, 1.0 - own.factor_up * math.exp(own.exponent_up * self._z(own.upper)))
        at_lower = max(0.0, 1.0 - own.factor_down * math.exp(-own.exponent_down * self._z(own.lower)))
        ends = ((at_upper, own.upper),) if self.unidirectional else ((at_upper, own.upper), (at_lower, own.lower))
        return max(self._noise_of_step(step, weight) for step, weight in ends)

    def relative_step(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return self._missing(weight, self._kappa(parameters, rising), rising).neg_().add_(1.0)

    def travel(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> Tensor:
        kappa = self._kappa(parameters, rising)
        constant = step * pulses
        grown = (kappa * constant).clamp_(-_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        missing = self._missing(weight, kappa, rising)
        return constant.sub_(missing.mul_(torch.expm1(grown)).log1p_().div_(kappa))

    def pulse_noise(self, weight: Tensor, change: Tensor, step: Tensor) -> Tensor:
        own, noise = self.parameters, super().pulse_noise(weight, change, step)
        if own.cycle_noise_offset or own.cycle_noise_slope:
            noise.add_(own.cycle_noise * own.cycle_noise_offset)
            noise.add_(weight.abs(), alpha=own.cycle_noise * own.cycle_noise_slope)
        return noise

    def _kappa(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        own = self.parameters
        return (rising * (own.exponent_up + own.exponent_down)).sub_(own.exponent_down).mul_(parameters["gradient"])

    def _missing(self, weight: Tensor, kappa: Tensor, rising: Tensor) -> Tensor:
        """q = A exp(d gamma z), at most 1: what a step lacks of the constant one."""
        own = self.parameters
        up, down = (
            factor * math.exp(exponent * own.offset)
            for factor, exponent in ((own.factor_up, own.exponent_up), (own.factor_down, -own.exponent_down))
        )
        return (rising * (up - down)).add_(down).mul_((kappa * weight).exp_()).clamp_(max=1.0)

    def _z(self, weight: float) -> float:
        own = self.parameters
        return 2.0 * own.scale * weight / (own.upper - own.lower) + own.offset

    def _noise_of_step(self, step: float, weight: float) -> float:
        """Noise of a pulse relative to its mean, where that is ``step`` of the device's."""
        own = self.parameters
        if step == 0.0:
            return math.inf if own.cycle_noise else 0.0
        if self.additive:
            return own.cycle_noise / step
        besides = own.cycle_noise_offset + own.cycle_noise_slope * abs(weight)
        return own.cycle_noise * (1.0 + besides / (step * own.step))
