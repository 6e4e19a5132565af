"""A network from a scenario."""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from analogdp import registry
from analogdp.network.network import Layer, Network
from analogdp.neurons import Loss, NeuronModel, mismatch
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse


def build(scenario: Scenario, chips: tuple[int, ...] | None = None) -> Network:
    """Build the network of a scenario, with its mismatch drawn and its initial weights stored in its synapses.

    Args:
        scenario: what to build.
        chips: indices of the chips to build; by default ``range(scenario.chips)``. A chip is the same whichever others
            are built with it.
    """
    chips = tuple(range(scenario.chips)) if chips is None else chips
    stream = Stream(
        scenario.seed, "network", chips, resolve_device(scenario.run.device), getattr(torch, scenario.run.dtype)
    )
    loss: Loss = registry.losses.get(scenario.network.loss)()
    sizes = scenario.network.layers
    layers, synapses = [], []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        own = stream.child(f"layer{index + 1}")
        layers.append(_layer(scenario, loss, outputs, own))
        synapses.append(_synapse(scenario, inputs, outputs, own))
    return Network(layers, synapses, loss, chips)


def resolve_device(name: str) -> torch.device:
    """The torch device that a scenario names; ``auto`` is the first CUDA device, or the CPU where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _layer(scenario: Scenario, loss: Loss, units: int, stream: Stream) -> Layer:
    model: type[NeuronModel] = registry.neurons.get(scenario.neuron.model)
    neuron = model.build(scenario.neuron, loss, scenario.mismatch, units, stream)
    tau = mismatch.relative(
        scenario.neuron.tau, scenario.mismatch.tau, len(model.compartments), units, stream.child("tau")
    )
    bias = None
    if scenario.network.bias:
        bias = torch.zeros(len(stream.chips), 1, units, device=stream.device, dtype=stream.dtype)
    return Layer(neuron, units, tau, bias)


def _synapse(scenario: Scenario, inputs: int, outputs: int, stream: Stream) -> Synapse:
    """All chips are asked to hold the same initial weights."""
    weights = stream.child("weights").shared().normal((outputs, inputs)) * (scenario.network.gain / math.sqrt(inputs))
    model: type[Synapse] = registry.synapses.get(scenario.synapse.model)
    return model.build(scenario.synapse, weights.expand(len(stream.chips), -1, -1), stream.child("synapse"))
