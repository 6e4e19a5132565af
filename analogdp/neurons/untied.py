"""Neurons with an activity, which they send up, and an error, which they send down; what gates the error is chosen freely.

    tau ds/dt = f(a) - s          a: bottom-up drive   W s(below) + b;   outputs: a - s
    tau de/dt = g(a) D - e        D: top-down drive    W(above)^T e(above);   outputs: -beta dl/ds - e

With the gate g = f' (Rumelhart, Hinton & Williams 1986) errors are exact gradients and one forward-backward sweep is
backpropagation, through whatever lies between the layers. Any other g is a surrogate: Troiano et al. 2025, Eq. 24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.neurons.activations import Activation, ActivationSettings, AnyActivation, has_slope, make_activation
from analogdp.neurons.base import State
from analogdp.neurons.compartments import ErrorNeuron, amplified, draw_gain_and_offset, shifted
from analogdp.neurons.losses import Loss
from analogdp.neurons.modulators import AnyModulator, JammingSettings, Modulator, ModulatorSettings
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class ErrorSettings(NeuronSettings):
    """What neurons with errors of their own have."""

    beta: Ratio = Field(
        default=1.0, gt=0, le=100, description="nudging strength: what errors are multiplied by on their way down"
    )
    activation: AnyActivation = Field(
        default=ActivationSettings(name="relu"), description="transfer function of hidden neurons"
    )

    def gate(self) -> ModulatorSettings:
        """The modulator of errors."""
        return ModulatorSettings(name="tied")


class BackpropagationSettings(ErrorSettings):
    """Backpropagation."""

    model: Literal["backpropagation"] = "backpropagation"

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        if has_slope(self.activation):
            return []
        refusal = f"{self.activation.name} has no slope that would carry errors; use model: untied with a modulator"
        return [Problem("activation", refusal)]


class UntiedSettings(ErrorSettings):
    """Errors gated by a function of their own."""

    model: Literal["untied"] = "untied"
    modulator: AnyModulator = Field(
        default=ModulatorSettings(name="tied"), description="what errors are multiplied by in place of the slope"
    )
    scale: Literal["own", "tied"] = Field(
        default="own",
        description="own: the modulator as it is; tied: multiplied, for every layer and sample, so that its mean magnitude is "
        "that of the slope",
    )
    output: Literal["linear", "activation"] = Field(
        default="linear", description="activation: outputs have the transfer function and the modulator, too"
    )

    def gate(self) -> ModulatorSettings:
        return self.modulator

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        name, problems = self.modulator.name, []
        if name == "tied" and not has_slope(self.activation):
            refusal = (
                f"{self.activation.name} has no slope that would carry errors; use rectangle, logistic_slope or another"
            )
            problems.append(Problem("modulator", refusal))
        if self.scale == "tied" and name == "tied":
            problems.append(Problem("scale", "the modulator is the slope itself; leave it away"))
        elif self.scale == "tied" and not has_slope(self.activation):
            refusal = f"{self.activation.name} has no slope whose magnitude could be taken; use own"
            problems.append(Problem("scale", refusal))
        if self.scale == "tied" and self.modulator.centred:
            refusal = f"the mean of {name} is 0, and errors would have no direction; use own, or another low or high"
            problems.append(Problem("scale", refusal))
        return problems


class Untied(ErrorNeuron):
    """A layer of neurons with an activity and an error.

    Args:
        activation: the transfer function f of hidden units.
        modulator: the gate g.
        loss: what the output units are nudged to lower.
        beta: nominal nudging strength, which the learning signal is divided by.
        scaled: whether the gate has the mean magnitude of the slope, over the neurons of each sample.
        linear: whether output units are linear.
        gain: factor of what each compartment heads for, or None; ``(2, chips, 1, units)``.
        offset: added to the drive of each compartment, or None; ``(2, chips, 1, units)``.
        numbers: uniform random numbers of the neurons ``(chips, 1, units)``, or None to draw them for every presentation.
    """

    compartments = ("activity", "error")
    listens = False

    def __init__(
        self,
        activation: Activation,
        modulator: Modulator,
        loss: Loss,
        beta: float = 1.0,
        scaled: bool = False,
        linear: bool = True,
        gain: Tensor | None = None,
        offset: Tensor | None = None,
        numbers: Tensor | None = None,
    ) -> None:
        super().__init__(beta, gain, offset)
        self.activation, self.modulator, self.loss = activation, modulator, loss
        self.scaled, self.linear, self.numbers = scaled, linear, numbers
        self.redrawn = modulator.drawn and numbers is None
        self.jumps = not activation.continuous

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, ErrorSettings)
        activation, gate = make_activation(settings.activation), settings.gate()
        modulator: Modulator = registry.modulators.get(gate.name)(gate, activation)
        gain, offset = draw_gain_and_offset(spread, 2, units, stream)
        frozen = isinstance(gate, JammingSettings) and gate.frozen
        return cls(
            activation,
            modulator,
            loss,
            settings.beta,
            scaled=isinstance(settings, UntiedSettings) and settings.scale == "tied",
            linear=not isinstance(settings, UntiedSettings) or settings.output == "linear",
            gain=gain,
            offset=offset,
            numbers=stream.child("jamming").uniform((1, units)) if frozen else None,
        )

    def present(self, shape: tuple[int, int], stream: Stream) -> None:
        if self.redrawn:
            self.numbers = stream.child("jamming").uniform(shape, out=self.numbers)

    def tensors(self) -> dict[str, Tensor]:
        return {"numbers": self.numbers} if self.redrawn and self.numbers is not None else {}

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        drive = shifted(bottom_up, self._offsets[0])
        message = torch.zeros_like(bottom_up) if top_down is None else top_down
        return self._activity(drive, False, out), self._error(drive, message, False, out)

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        drive = shifted(bottom_up, self._offsets[0])
        activity = self._activity(drive, self.linear, out)
        message = torch.zeros_like(bottom_up) if label is None else self.loss.gradient(activity, label) * -nudging
        return activity, self._error(drive, message, self.linear, out)

    def _activity(self, drive: Tensor, linear: bool, out: tuple[Tensor, ...] | None) -> Tensor:
        if out is None:
            return amplified(drive if linear else self.activation(drive), self._gains[0])
        activity = out[0].copy_(drive)
        if not linear:
            self.activation.apply_(activity)
        return activity if self._gains[0] is None else activity.mul_(self._gains[0])

    def _error(self, drive: Tensor, message: Tensor, linear: bool, out: tuple[Tensor, ...] | None) -> Tensor:
        message = shifted(message, self._offsets[1])
        into = None if out is None else out[1]
        error = torch.mul(message, 1.0 if linear else self._gate(drive), out=into)
        gain = self._gains[1]
        return error if gain is None else torch.mul(error, gain, out=into)

    def _gate(self, drive: Tensor) -> Tensor:
        gate = self.modulator(drive, self.numbers)
        if not self.scaled:
            return gate
        wanted, own = (one.abs().mean(-1, keepdim=True) for one in (self.activation.derivative(drive), gate))
        return gate * torch.where(own > 0, wanted / own, 0.0)


@registry.neurons.register("untied")
class UntiedNeurons(Untied):
    """Any transfer function upwards with any modulator of errors downwards, so that steps learn, too."""

    Settings = UntiedSettings


@registry.neurons.register("backpropagation")
class Backpropagation(Untied):
    """Errors times the slope of the transfer function: one forward-backward sweep gives the exact gradients of the loss."""

    Settings = BackpropagationSettings
    batch_normalises = True
