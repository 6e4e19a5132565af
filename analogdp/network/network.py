"""A network: layers of neurons joined by synapses, without any notion of time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from analogdp.network.layout import Layout
from analogdp.network.normalisation import BatchNormalisation
from analogdp.network.norms import FollowedNorms
from analogdp.network.projections import Projection
from analogdp.neurons import Loss, NeuronModel
from analogdp.scenario.wiring import Wiring
from analogdp.synapses.base import Synapse


class Layer(nn.Module):
    """A population of neurons.

    Args:
        neuron: what the neurons do.
        units: how many there are.
        tau: membrane time constant in seconds, a number or ``(compartments, chips, 1, units)``.
        bias: trained resting drive of each output line of the weights below ``(chips, 1, lines)``, or None.
    """

    bias: nn.Parameter | None

    def __init__(self, neuron: NeuronModel, units: int, tau: Tensor | float, bias: Tensor | None) -> None:
        super().__init__()
        self.neuron, self.units, self.tau = neuron, units, tau
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    @property
    def shortest_tau(self) -> float:
        """The shortest time constant of all compartments, in seconds; NaN if any is."""
        return float(torch.as_tensor(self.tau).min())

    def extra_repr(self) -> str:
        return f"{type(self.neuron).__name__}, units={self.units}"


class Network(nn.Module):
    """Layers ``1..L`` above a clamped input, each joined to the one below by a synapse.

    Args:
        layers: hidden layers and the output layer, in order; all of one neuron model.
        synapses: ``synapses[k]`` joins ``sizes[k]`` inputs to ``layers[k]``, as ``wirings[k]`` says.
        loss: what the output is nudged to lower.
        feedback: ``feedback[k]`` carries messages down from ``layers[k]`` in place of the transposed ``synapses[k]``:
            a synapse with as many inputs as that one has outputs, or None; the first is None.
        chips: indices of the simulated chips; their parameters lie along the chips axis.
        wirings: what lies between the layers; by default nothing but weights from every unit to every unit.

    Attributes:
        projections: the way of messages between two layers, one for each synapse.
        norms: those of weights that the damping of hidden layers follows, or None.
        normalisations: of the drives of layers that have one, by the layer's number.
    """

    norms: FollowedNorms | None

    def __init__(
        self,
        layers: Sequence[Layer],
        synapses: Sequence[Synapse],
        loss: Loss,
        chips: tuple[int, ...],
        feedback: Sequence[Synapse | None] = (),
        wirings: Sequence[Wiring] | None = None,
    ) -> None:
        super().__init__()
        if len(layers) != len(synapses):
            raise ValueError(f"{len(layers)} layers need as many synapses, not {len(synapses)}")
        if wirings is None:
            below = (synapses[0].inputs, *(layer.units for layer in layers))
            wirings = [Wiring((inputs,), (outputs,)) for inputs, outputs in pairwise(below)]
        for number, (wiring, layer, synapse) in enumerate(zip(wirings, layers, synapses, strict=True)):
            wanted = (wiring.fan_in, wiring.lines)
            if (synapse.inputs, synapse.outputs) != wanted or wiring.outputs != layer.units:
                raise ValueError(
                    f"synapse {number} joins {synapse.inputs} to {synapse.outputs} units, not {wanted[0]} to {wanted[1]}"
                )
        self.layers = cast("Sequence[Layer]", nn.ModuleList(layers))
        self.synapses = cast("Sequence[Synapse]", nn.ModuleList(synapses))
        self.feedback = nn.ModuleDict({str(k): path for k, path in enumerate(feedback) if path is not None})
        self.feedback_paths: list[Synapse | None] = [*feedback] or [None] * len(layers)
        pairs = zip(wirings, synapses, strict=True)
        normalisations = [_normalisation(synapse) if wiring.normalised else None for wiring, synapse in pairs]
        self.normalisations = nn.ModuleDict({str(k): own for k, own in enumerate(normalisations) if own is not None})
        parts = zip(wirings, synapses, self.feedback_paths, normalisations, strict=True)
        self.projections = [Projection(*own) for own in parts]
        self.norms = None
        self.loss = loss
        self.chip_indices = chips

    @property
    def neurons(self) -> list[NeuronModel]:
        """What each layer's neurons do, hidden layers first."""
        return [layer.neuron for layer in self.layers]

    @property
    def chips(self) -> int:
        """How many chips are simulated together."""
        return len(self.chip_indices)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer, the clamped input first."""
        return (self.projections[0].wiring.inputs, *(layer.units for layer in self.layers))

    @property
    def compartments(self) -> int:
        """State variables of one neuron."""
        return len(self.layers[0].neuron.compartments)

    @property
    def fastest_tau(self) -> float:
        """The shortest time constant of all compartments, in seconds."""
        return min(layer.shortest_tau for layer in self.layers)

    @property
    def device(self) -> torch.device:
        return self.synapses[0].weights.device

    @property
    def dtype(self) -> torch.dtype:
        return self.synapses[0].weights.dtype

    def layout(self, batch: int) -> Layout:
        """How the state of a batch lies in memory."""
        return Layout(self.compartments, self.chips, batch, self.sizes[1:])

    def tau(self, layout: Layout) -> Tensor | float:
        """Time constants: a number when they are all equal, else one for each element of the flat state."""
        values = [layer.tau for layer in self.layers]
        if all(isinstance(value, float) and value == values[0] for value in values):
            return float(values[0])
        return layout.expand(
            [
                torch.as_tensor(value, device=self.device, dtype=self.dtype).expand(shape)
                for value, shape in zip(values, layout.shapes, strict=True)
            ]
        )

    def extra_repr(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, chips={self.chips}, loss={type(self.loss).__name__}"


def _normalisation(synapse: Synapse) -> BatchNormalisation:
    return BatchNormalisation(synapse.weights.new_empty(synapse.chips, synapse.outputs))
