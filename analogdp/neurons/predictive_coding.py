"""Predictive coding: neurons with a value, which layers below predict, and an error, by which the prediction is wrong.

    tau ds/dt = f(a) + D - s            a: bottom-up drive   W s(below) + b;   D: top-down drive   W(above)^T e(above)
    tau de/dt = f'(a) (s - f(a)) - e    outputs: s = a - beta dl/da(a), which for least squares is a + beta (y - a), e = s - a

They rest where F = sum over hidden layers of |s - f(a)|^2 / 2 + beta l(a of the outputs) is stationary (Rao & Ballard 1999;
Whittington & Bogacz 2017). At beta = 1 and least squares outputs are clamped to their labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.neurons import mismatch
from analogdp.neurons.activations import Activation, ActivationSettings, AnyActivation, make_activation
from analogdp.neurons.base import NeuronModel, State
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
        activation: type[Activation] = registry.activations.get(self.activation.name)
        if activation.derivative is not Activation.derivative:
            return []
        refusal = f"{self.activation.name} has no slope, which predictive_coding multiplies errors by; use another"
        return [Problem("activation", refusal)]


@registry.neurons.register("predictive_coding")
class PredictiveCoding(NeuronModel):
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
    plasticity = "contrastive_hebbian"
    starts_forward = cascaded = True

    def __init__(
        self,
        activation: Activation,
        loss: Loss,
        beta: float,
        gain: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        self.activation, self.loss, self.beta = activation, loss, beta
        self._gains = (None, None) if gain is None else gain.unbind()
        self._offsets = (None, None) if offset is None else offset.unbind()

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, PredictiveCodingSettings)
        gain = mismatch.relative(1.0, spread.gain, 2, units, stream.child("gain"))
        offset = mismatch.additive(0.0, spread.offset, 2, units, stream.child("offset"))
        return cls(
            make_activation(settings.activation),
            loss,
            settings.beta,
            gain if isinstance(gain, Tensor) else None,
            offset if isinstance(offset, Tensor) else None,
        )

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        drive = self._shifted(bottom_up, 1)
        slope = self._amplified(self.activation.derivative(drive), 1)
        error = slope * (state[0] - self._amplified(self.activation(drive), 1))
        value = self._amplified(self.activation(self._shifted(bottom_up, 0)), 0)
        return _written(value if top_down is None else value + top_down, error, out)

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        value = self._amplified(self._shifted(bottom_up, 0), 0)
        error = state[0] - self._amplified(self._shifted(bottom_up, 1), 1)
        return _written(value if label is None else value - nudging * self.loss.gradient(value, label), error, out)

    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        return state[0] if out is None else out.copy_(state[0])

    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        return state[1] if out is None else out.copy_(state[1])

    @property
    def slope_gain(self) -> Tensor | float:
        return 1.0 if self._gains[0] is None else self._gains[0]

    def learning_signal(self, state: State, out: Tensor | None = None) -> Tensor:
        """The error over beta: minus the gradient of F / beta by the drive."""
        return torch.div(state[1], self.beta, out=out)

    def _shifted(self, drive: Tensor, compartment: int) -> Tensor:
        offset = self._offsets[compartment]
        return drive if offset is None else drive + offset

    def _amplified(self, value: Tensor, compartment: int) -> Tensor:
        gain = self._gains[compartment]
        return value if gain is None else value * gain


def _written(value: Tensor, error: Tensor, out: tuple[Tensor, ...] | None) -> State:
    """Both targets, in their buffers if there are any; only now, as these may be the state."""
    if out is None:
        return value, error
    out[0].copy_(value)
    out[1].copy_(error)
    return out
