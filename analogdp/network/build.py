"""A network from a scenario."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analogdp import registry
from analogdp.network.feedback import feedback_path
from analogdp.network.initial_weights import read_initial_weights
from analogdp.network.network import Layer, Network
from analogdp.network.norms import followed_norms
from analogdp.neurons import Loss, NeuronModel, mismatch
from analogdp.scenario.schema import Scenario
from analogdp.scenario.wiring import Wiring
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse


def build(
    scenario: Scenario, chips: tuple[int, ...] | None = None, seed: int | tuple[int, ...] | None = None
) -> Network:
    """Build the network of a scenario, with its mismatch drawn and its initial weights stored in its synapses.

    Args:
        scenario: what to build.
        chips: indices of the chips to build; by default those that the scenario wants simulated. A chip is the same
            whichever others are built with it.
        seed: for chips of several runs, that of each chip's run; by default the scenario's.
    """
    stream = network_stream(scenario, chips, seed)
    loss: Loss = registry.losses.get(scenario.network.loss)()
    given = read_initial_weights(scenario)
    layers, synapses, feedback = [], [], []
    for index, wiring in enumerate(scenario.wirings):
        own = stream.child(f"layer{index + 1}")
        if given is None:
            weights, bias = _random_weights(scenario, wiring.fan_in, wiring.lines, own.child("weights")), None
        else:
            weights, bias = given[index].weights.to(own.device, own.dtype).unsqueeze(0), given[index].bias
        layers.append(_layer(scenario, loss, wiring, own, bias))
        synapses.append(_synapse(scenario, weights, own.child("synapse")))
        # Nothing is sent down to the clamped input.
        feedback.append(feedback_path(scenario, weights, own.child("feedback")) if index else None)
    layers[-1].neuron = layers[-1].neuron.as_output()
    network = Network(layers, synapses, loss, stream.chips, feedback, scenario.wirings)
    network.norms = followed_norms(network.projections, network.neurons, stream.child("norms"))
    return network


def network_stream(
    scenario: Scenario, chips: tuple[int, ...] | None = None, seed: int | tuple[int, ...] | None = None
) -> Stream:
    """Of everything that is drawn for a network; arguments as of :func:`build`."""
    chips = scenario.simulated_chips if chips is None else chips
    device, dtype = resolve_device(scenario.run.device), getattr(torch, scenario.run.dtype)
    return Stream(scenario.seed if seed is None else seed, "network", chips, device, dtype)


def build_neurons(scenario: Scenario, loss: Loss, units: int, stream: Stream) -> NeuronModel:
    """The neurons of one layer, whose stream this is, with their mismatch drawn."""
    model: type[NeuronModel] = registry.neurons.get(scenario.neuron.model)
    return model.build(scenario.neuron, loss, scenario.mismatch, units, stream)


def time_constants(scenario: Scenario, compartments: int, units: int, stream: Stream) -> Tensor | float:
    """Those of one layer's neurons, whose stream this is: a number in seconds, or ``(compartments, chips, 1, units)``."""
    return mismatch.relative(scenario.neuron.tau, scenario.mismatch.tau, compartments, units, stream.child("tau"))


def resolve_device(name: str) -> torch.device:
    """The torch device that a scenario names; ``auto`` is the first CUDA device, or the CPU where there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _layer(scenario: Scenario, loss: Loss, wiring: Wiring, stream: Stream, initial: Tensor | None) -> Layer:
    units = wiring.outputs
    neuron = build_neurons(scenario, loss, units, stream)
    tau = time_constants(scenario, len(neuron.compartments), units, stream)
    bias = None
    if scenario.network.bias:
        bias = torch.zeros(len(stream.chips), 1, wiring.lines, device=stream.device, dtype=stream.dtype)
        if initial is not None:
            bias.copy_(initial)
    return Layer(neuron, units, tau, bias)


def _random_weights(scenario: Scenario, inputs: int, outputs: int, stream: Stream) -> Tensor:
    """What all chips are asked to hold, ``(1, out, in)``."""
    return stream.shared().normal((outputs, inputs)) * (scenario.network.gain / math.sqrt(inputs))


def _synapse(scenario: Scenario, weights: Tensor, stream: Stream) -> Synapse:
    model: type[Synapse] = registry.synapses.get(scenario.synapse.model)
    return model.build(scenario.synapse, weights.expand(len(stream.chips), -1, -1), stream)
