"""Predictive coding: neurons with a value, which layers below predict, and an error, by which the prediction is wrong.

    tau ds/dt = f(a) + D - s            a: bottom-up drive   W s(below) + b;   D: top-down drive   W(above)^T e(above)
    tau de/dt = f'(a) (s - f(a)) - e    outputs: s = a - beta dl/da(a), which for least squares is a + beta (y - a), e = s - a

They rest where F = sum over hidden layers of |s - f(a)|^2 / 2 + beta l(a of the outputs) is stationary (Rao & Ballard 1999;
Whittington & Bogacz 2017). At beta = 1 and least squares outputs are clamped to their labels. Neurons learn by
e / beta, minus the gradient of F / beta by the drive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.neurons.activations import Activation, ActivationSettings, AnyActivation, has_slope, make_activation
from analogdp.neurons.base import State
from analogdp.neurons.compartments import ErrorNeuron, amplified, draw_gain_and_offset, shifted, written
from analogdp.neurons.losses import Loss
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class PredictiveCodingSettings(NeuronSettings):
    """Values and prediction errors."""

    sweeps = 30
    model: Literal["predictive_coding"] = "predictive_coding"
    beta: Ratio = Field(
        default=0.5, gt=0, le=1, description="how far outputs go from their prediction to the label; 1 clamps them"
    )
    activation: AnyActivation = Field(
        default=ActivationSettings(name="tanh"), description="transfer function of hidden neurons"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        if has_slope(self.activation):
            return []
        refusal = f"{self.activation.name} has no slope, which predictive_coding multiplies errors by; use another"
        return [Problem("activation", refusal)]


@registry.neurons.register("predictive_coding")
class PredictiveCoding(ErrorNeuron):
    """Neurons with values and prediction errors.

    Args:
        activation: the transfer function f of hidden units, with a derivative; output units are linear.
        loss: what the output units are nudged to lower.
        beta: nominal nudging strength, which the learning signal is divided by.
        gain: factor of the prediction that each compartment compares with, or None; ``(2, chips, 1, units)``.
        offset: added to the drive of each compartment, or None; ``(2, chips, 1, units)``.
    """

    Settings = PredictiveCodingSettings
    compartments = ("value", "error")
    starts_forward = cascaded = True

    def __init__(
        self,
        activation: Activation,
        loss: Loss,
        beta: float,
        gain: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        super().__init__(beta, gain, offset)
        self.activation, self.loss = activation, loss

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, PredictiveCodingSettings)
        gain, offset = draw_gain_and_offset(spread, 2, units, stream)
        return cls(make_activation(settings.activation), loss, settings.beta, gain, offset)

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        drive, gain = shifted(bottom_up, self._offsets[1]), self._gains[1]
        slope = amplified(self.activation.derivative(drive), gain)
        error = slope * (state[0] - amplified(self.activation(drive), gain))
        value = amplified(self.activation(shifted(bottom_up, self._offsets[0])), self._gains[0])
        return written((value if top_down is None else value + top_down, error), out)

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        value, predicted = (
            amplified(shifted(bottom_up, offset), gain) for offset, gain in zip(self._offsets, self._gains, strict=True)
        )
        nudged = value if label is None else value - nudging * self.loss.gradient(value, label)
        return written((nudged, state[0] - predicted), out)
