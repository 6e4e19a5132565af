"""How the layers of a nudged network answer to small changes of what they receive: what theory is made of.

A hidden neuron's compartments follow the drive a from below and the push D from above; its mean s_bar goes up, its difference
delta goes down. Near a state, with h what each compartment makes of its target in time (1 at rest, 1 / (1 + tau p) at a
complex frequency p),

    s_bar = mean_by_drive a + mean_by_push D            delta = difference_by_drive a + difference_by_push D

If both compartments have the slope f', weights p + q = 1 and the same h, these are f' h, gamma f' h, 0 and f' h
with gamma = w p - (1 - w) q (Hoier & Zach 2024, Sec. 4, linearised).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from analogdp.analysis.stability.system import System, derivative
from analogdp.network.projections import Passage
from analogdp.neurons.base import NeuronModel

Linear = Callable[[Tensor], Tensor]
"""A linear function of a message ``(chips, batch, units)``."""


class Transfer(NamedTuple):
    """What goes up and down of what a layer receives, ``(chips, batch, units)`` each: see the module."""

    mean_by_drive: Tensor
    mean_by_push: Tensor
    difference_by_drive: Tensor
    difference_by_push: Tensor


@dataclass(frozen=True)
class Response:
    """Of hidden neurons.

    Attributes:
        drive, push: derivatives of the targets by what comes from below and from above, ``(compartments, chips, batch, units)``.
        mean, difference: those of what goes up and down by the compartments, of the same shape or one that broadcasts to it.
    """

    drive: Tensor
    push: Tensor
    mean: Tensor
    difference: Tensor

    def transfer(self, h: Tensor | float = 1.0) -> Transfer:
        """The four factors, for compartments that make ``h`` of their targets, ``(compartments, ...)`` or a number."""
        drive, push = self.drive * h, self.push * h
        return Transfer(
            (self.mean * drive).sum(0),
            (self.mean * push).sum(0),
            (self.difference * drive).sum(0),
            (self.difference * push).sum(0),
        )


@dataclass(frozen=True)
class OutputResponse:
    """Of output neurons, which may act on each other through the loss.

    Attributes:
        drive: derivatives of the targets by the drives, ``(compartments, chips, batch, units, units)``.
        own: those by the states, ``(compartments, compartments, chips, batch, units, units)``: of the first's by the second.
        mean, difference: as of :class:`Response`.
    """

    drive: Tensor
    own: Tensor
    mean: Tensor
    difference: Tensor


@dataclass(frozen=True)
class Linearisation:
    """A system near a state.

    Attributes:
        system: which.
        state: where, ``(chips, batch, size)``.
        hidden: one response for each hidden layer, the first one first.
        output: that of the output layer.
        up: of each layer but the first: its drive by what goes up from the layer below; ``up[0]`` is of layer 2.
        back: the transposed of each of ``up``.
        down: the push of a layer by what goes down from the layer above; ``down[0]`` is from layer 2 to layer 1. It is ``back``
            unless a feedback path of its own carries messages down.
    """

    system: System
    state: Tensor
    hidden: tuple[Response, ...]
    output: OutputResponse
    up: tuple[Linear, ...]
    back: tuple[Linear, ...]
    down: tuple[Linear, ...]


def linearise(system: System, state: Tensor) -> Linearisation:
    """How the layers answer at a state, ``(chips, batch, size)``: at the free one, or at a fixed point."""
    field, neurons, layers = system.field, system.network.neurons, system.layers(state.detach())
    messages = [neuron.upward(layer) for neuron, layer in zip(neurons, layers, strict=True)]
    biases = [layer.bias for layer in system.network.layers]
    links = [
        _linked(passage, bias, message)
        for passage, bias, message in zip(field.passages[1:], biases[1:], messages, strict=False)
    ]
    drives = [field.lowest_drive, *(drive for drive, _, _, _ in links)]
    down = tuple(own for _, _, _, own in links)
    pushes = [carry(neuron.downward(layer)) for carry, neuron, layer in zip(down, neurons[1:], layers[1:], strict=True)]
    hidden = tuple(
        _response(neuron, drive, push, layer)
        for neuron, drive, push, layer in zip(neurons, drives, pushes, layers, strict=False)
    )
    output = _output_response(system, drives[-1], layers[-1])
    up, back = tuple(own for _, own, _, _ in links), tuple(own for _, _, own, _ in links)
    return Linearisation(system, state, hidden, output, up, back, down)


def _linked(passage: Passage, bias: Tensor | None, message: Tensor) -> tuple[Tensor, Linear, Linear, Linear]:
    """The drive that a message gives, and how small changes travel up, the transposed way, and down there."""
    at = message.detach().clone().requires_grad_()
    with torch.enable_grad():
        drive, down = passage.linked(at, bias)

    def back(change: Tensor) -> Tensor:
        (behind,) = torch.autograd.grad(drive, at, change, retain_graph=True)
        return behind

    def carried(change: Tensor) -> Tensor:
        with torch.no_grad():
            return down(change)

    return drive.detach(), derivative(drive, at), back, carried


def _response(neuron: NeuronModel, drive: Tensor, push: Tensor, layer: Tensor) -> Response:
    drive, push = drive.clone().requires_grad_(), push.clone().requires_grad_()
    with torch.enable_grad():
        targets = neuron.target(drive, push, layer)
        # Neurons do not act on each other within a layer: the gradient of a sum is that of each of them.
        pairs = [torch.autograd.grad(own.sum(), (drive, push)) for own in targets]
    by_drive, by_push = (torch.stack(own) for own in zip(*pairs, strict=True))
    return Response(by_drive, by_push, *_sent(neuron, layer))


def _output_response(system: System, drive: Tensor, layer: Tensor) -> OutputResponse:
    neuron = system.network.neurons[-1]
    drive, state = drive.clone().requires_grad_(), layer.clone().requires_grad_()
    label, nudging = system.field.presented[1], system.field.nudging
    by_drive, by_state = [], []
    with torch.enable_grad():
        for target in neuron.output_target(drive, label, nudging, state):
            rows = [
                torch.autograd.grad(
                    target[..., unit].sum(),
                    (drive, state),
                    retain_graph=True,
                    materialize_grads=True,
                    allow_unused=True,
                )
                for unit in range(target.shape[-1])
            ]
            by_drive.append(torch.stack([row for row, _ in rows], -2))
            by_state.append(torch.stack([row for _, row in rows], -2))
    return OutputResponse(torch.stack(by_drive), torch.stack(by_state), *_sent(neuron, layer))


def _sent(neuron: NeuronModel, layer: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of what neurons send up and down by their compartments."""
    own = layer.clone().requires_grad_()
    with torch.enable_grad():
        (mean,) = torch.autograd.grad(neuron.upward(own).sum(), own)
        (difference,) = torch.autograd.grad(neuron.downward(own).sum(), own)
    return mean, difference
