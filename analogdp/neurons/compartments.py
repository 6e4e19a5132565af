"""What neuron models have in common: what mismatch makes of each compartment, and neurons with an activity and an error."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from analogdp.neurons import mismatch
from analogdp.neurons.activations import Activation
from analogdp.neurons.base import FreeResponse, NeuronModel, ResponseTerm, State
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.streams import Stream


def draw_gain_and_offset(
    spread: MismatchSettings, compartments: int, units: int, stream: Stream
) -> tuple[Tensor | None, Tensor | None]:
    """Gain and offset of the transfer function, each ``(compartments, chips, 1, units)``, or None where it has no spread."""
    gain = mismatch.relative(1.0, spread.gain, compartments, units, stream.child("gain"))
    offset = mismatch.additive(0.0, spread.offset, compartments, units, stream.child("offset"))
    return gain if isinstance(gain, Tensor) else None, offset if isinstance(offset, Tensor) else None


def shifted(drive: Tensor, offset: Tensor | None) -> Tensor:
    """A drive and its offset."""
    return drive if offset is None else drive + offset


def amplified(value: Tensor, gain: Tensor | None) -> Tensor:
    """A value times its gain."""
    return value if gain is None else value * gain


def written(values: Sequence[Tensor], out: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    """Values in their buffers, if there are any; only when all are known, as these may be the state."""
    if out is None:
        return tuple(values)
    for own, value in zip(out, values, strict=True):
        own.copy_(value)
    return out


class ErrorNeuron(NeuronModel):
    """Neurons of two compartments: what the first one holds goes up, the error in the second one goes down.

    Args:
        beta: nominal nudging strength, which the learning signal is divided by.
        gain: factor of what each compartment heads for, or None; ``(2, chips, 1, units)``.
        offset: added to the drive of each compartment, or None; ``(2, chips, 1, units)``.
    """

    plasticity = "contrastive_hebbian"
    activation: Activation
    linear = True
    """Whether output units are linear."""

    def __init__(self, beta: float, gain: Tensor | None, offset: Tensor | None) -> None:
        self.beta = beta
        self._gains = (None, None) if gain is None else gain.unbind()
        self._offsets = (None, None) if offset is None else offset.unbind()

    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        return state[0] if out is None else out.copy_(state[0])

    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        return state[1] if out is None else out.copy_(state[1])

    def learning_signal(self, state: State, out: Tensor | None = None) -> Tensor:
        """The error over beta."""
        return torch.div(state[1], self.beta, out=out)

    def free_response(self, output: bool) -> FreeResponse:
        gain, offset = self._gains[0], self._offsets[0]
        term = ResponseTerm(1.0 if gain is None else gain, 1.0, 0.0 if offset is None else offset)
        return FreeResponse(None if output and self.linear else self.activation, (term,))

    @property
    def slope_gain(self) -> Tensor | float:
        return 1.0 if self._gains[0] is None else self._gains[0]
