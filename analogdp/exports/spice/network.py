"""A whole network of dyads as a circuit: one sample at the input, crossbars up and down, neurons that settle in a transient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from analogdp.data import load as load_data
from analogdp.dynamics.timed import TimedSettings
from analogdp.errors import InputError
from analogdp.exports.spice.netlist import Netlist
from analogdp.exports.spice.neurons import GIVEN, MESSAGES, Population, nodes
from analogdp.network import Network
from analogdp.scenario.schema import Scenario

LOOKS_PER_TAU = 20
"""Time steps of the circuit in the shortest time constant, at least: trapezia err by some 1e-5 of a state's size."""

SETTLING = (16, 4)
"""Longest time constants that a network settles for, at least: so many, and so many more for each layer."""

TOLERANCES = {"reltol": 1e-6, "abstol": 1e-12, "vntol": 1e-9, "gmin": 1e-15, "chgtol": 1e-18}
"""Of a transient: to a nanovolt, where nudging makes differences of millivolts."""

RESULTS = "states.txt"


@dataclass(frozen=True)
class Presentation:
    """What is shown to a network in a deck.

    Attributes:
        inputs: ``(inputs,)``.
        target: the wanted output ``(outputs,)``.
        beta: nudging strength; 0 leaves the outputs free, without a label.
        duration: seconds.
    """

    inputs: Tensor
    target: Tensor
    beta: float
    duration: float


@dataclass(frozen=True)
class Reads:
    """Names of the subcircuits that read the crossbars, whose ports are those of what they are shown and of what they say.

    Attributes:
        up: of each synapse.
        down: of each synapse but the first, read from above.
    """

    up: Sequence[str]
    down: Sequence[str]


def presentation(
    network: Network,
    scenario: Scenario,
    sample: int,
    label: int | None = None,
    beta: float | None = None,
    duration: float | None = None,
) -> Presentation:
    """What a deck shows to a network.

    Args:
        network: of one chip.
        scenario: of the network.
        sample: index of a test sample.
        label: number of the class to nudge towards; None: the sample's own wanted output.
        beta: nudging strength; None: the scenario's.
        duration: seconds; None: as long as the scenario lets samples settle, and at least as many time constants as it takes.

    Raises:
        InputError: there is no such sample or class.
    """
    data = load_data(scenario.data, scenario.seed)
    if not 0 <= sample < len(data.test_inputs):
        raise InputError(f"spice: sample {sample} is not there; allowed: 0 to {len(data.test_inputs) - 1}")
    rows = slice(sample, sample + 1)
    target = data.test_targets[rows][0]
    if label is not None:
        classes = len(data.classes or ())
        if not 0 <= label < classes:
            allowed = f"allowed: 0 to {classes - 1}" if classes else "the data have no classes; leave it out"
            raise InputError(f"spice: label {label} is no class of the data; {allowed}")
        target = torch.eye(classes)[label] if len(target) == classes else target.new_tensor([float(label)])
    nominal = torch.as_tensor(network.neurons[-1].beta).reshape(-1)[0]
    return Presentation(
        data.test_inputs[rows][0],
        target,
        float(nominal) if beta is None else beta,
        _settling(network, scenario) if duration is None else duration,
    )


def refusals(network: Network, scenario: Scenario, shown: Presentation) -> list[str]:
    """Why a network has no counterpart with dyads as circuits; none if it has one."""
    found = []
    if not all(wiring.plain for wiring in scenario.wirings):
        found.append("neurons: dyads are for layers that weights join all to all, without windows, pools or batches")
    dynamics = scenario.dynamics
    if isinstance(dynamics, TimedSettings) and not dynamics.axons.transparent:
        found.append("neurons: dyads get messages at once, but dynamics.axons has delays or thresholds")
    if getattr(scenario.neuron, "input_strength", 0.0):
        found.append("neurons: dyads have a clamped input, but neuron.input_strength is not 0")
    try:
        _populations(network, scenario, shown)
    except InputError as error:
        found.append(f"neurons: dyads are made from equations. {error}")
    return found


def left_out(scenario: Scenario) -> list[str]:
    """What a deck with dyads does without, though the scenario has it, a sentence each."""
    found, noise = [], scenario.noise.model_dump(exclude_defaults=True)
    if noise:
        found.append(f"Nothing fluctuates: noise ({', '.join(noise)}) is left out.")
    if scenario.synapse.noisy_reads:
        found.append("Reads have no noise.")
    converters = [name for name in ("dac", "adc") if getattr(scenario.synapse, name, None) is not None]
    if converters:
        found.append(f"Reads are exact: converters ({', '.join(converters)}) are left out.")
    if scenario.dynamics.clock != "continuous":
        found.append(
            f"Neurons relax with neuron.tau = {scenario.neuron.tau:g} s all at once, where the scenario has "
            f"clock: {scenario.dynamics.clock}."
        )
    if getattr(scenario.neuron, "damping", "none") != "none":
        found.append("Nothing is damped (neuron.damping), which would only slow relaxation down.")
    return found


def write_network(
    netlist: Netlist, network: Network, scenario: Scenario, shown: Presentation, reads: Reads, every_layer: bool = False
) -> None:
    """Add a deck's sources, reads, neurons and transient analysis, which begins with all states at 0 as a simulation does.

    Args:
        netlist: which has the subcircuits of ``reads``.
        network: of one chip, that :func:`refusals` finds nothing in.
        scenario: of the network.
        shown: what it is shown.
        reads: of its crossbars.
        every_layer: write the states of hidden layers, too.

    Raises:
        InputError: equations that a circuit cannot have.
    """
    last = len(network.layers)
    populations = _populations(network, scenario, shown)
    _write_sources(netlist, populations[-1], shown)
    for number in range(1, last + 1):
        _write_reads(netlist, network, number, reads)
    for number, population in enumerate(populations, start=1):
        netlist.comment(f"Neurons of layer {number}.")
        population.write(netlist)
    written = range(1, last + 1) if every_layer else (last,)
    signals = [f"V({name})" for number in written for name in state_nodes(network, number)]
    netlist.comment(
        "Trapezia (the simulator's usual method) of a twentieth of the shortest tau, with nodes to a nanovolt: "
    )
    netlist.comment("states are then right to some 1e-5 while they move, and to 1e-8 where they rest.")
    netlist.tolerances(**TOLERANCES)
    step = network.fastest_tau / LOOKS_PER_TAU
    netlist.transient(step, shown.duration, signals, RESULTS, largest=step, initial=True)


def state_nodes(network: Network, number: int) -> list[str]:
    """The nodes of layer ``number`` that results are written of: its compartments and its messages, units within each."""
    layer = network.layers[number - 1]
    names = (*layer.neuron.compartments, *MESSAGES)
    return list(chain.from_iterable(nodes(number, name, layer.units) for name in names))


def _populations(network: Network, scenario: Scenario, shown: Presentation) -> list[Population]:
    """The neurons of all layers; free ones do without a label."""
    last, settings, free = len(network.layers), scenario.neuron, shown.beta == 0
    return [
        Population(number, layer, layer.neuron.equations(settings, output=number == last, free=free))
        for number, layer in enumerate(network.layers, start=1)
    ]


def _settling(network: Network, scenario: Scenario) -> float:
    """Seconds that a network settles for: the scenario's, but no fewer than it takes to come to rest to nine digits."""
    slowest = max(float(torch.as_tensor(layer.tau).max()) for layer in network.layers)
    least = (SETTLING[0] + SETTLING[1] * len(network.layers)) * slowest
    dynamics = scenario.dynamics
    longest = dynamics.settle.at_most if isinstance(dynamics, TimedSettings) else None
    return max(longest or 0.0, least)


def _write_sources(netlist: Netlist, outputs: Population, shown: Presentation) -> None:
    netlist.comment("What the network is shown: one volt stands for one network unit.")
    _write_values(netlist, {f"input_{place}": value for place, value in enumerate(shown.inputs.tolist())})
    if shown.beta:
        netlist.comment("What outputs are nudged towards, and how strongly: other values may be written here.")
        _write_values(netlist, {f"label_{place}": value for place, value in enumerate(shown.target.tolist())})
        _write_values(netlist, {"beta": shown.beta})
    _write_values(netlist, outputs.shared)


def _write_values(netlist: Netlist, values: Mapping[str, float]) -> None:
    """Sources that hold the nodes of their names at a voltage."""
    for name, value in values.items():
        netlist.voltage_source(name, name, "0", value)


def _write_reads(netlist: Netlist, network: Network, number: int, reads: Reads) -> None:
    """What drives the neurons of layer ``number``: from below with their biases, and from above."""
    layer = network.layers[number - 1]
    netlist.comment(f"What layer {number} is given.")
    below = _inputs(network) if number == 1 else nodes(number - 1, "upward", network.layers[number - 2].units)
    drive, top_down = (nodes(number, name, layer.units) for name in GIVEN)
    read = drive if layer.bias is None else nodes(number, "read", layer.units)
    netlist.instance(f"up_{number}", [*below, *read], reads.up[number - 1])
    if layer.bias is not None:
        for name, plus, minus, bias in zip(
            nodes(number, "bias", layer.units), drive, read, layer.bias.reshape(-1).tolist(), strict=True
        ):
            netlist.voltage_source(name, plus, minus, bias)
    if number < len(network.layers):
        above = nodes(number + 1, "downward", network.layers[number].units)
        netlist.instance(f"down_{number}", [*above, *top_down], reads.down[number - 1])


def _inputs(network: Network) -> list[str]:
    return [f"input_{place}" for place in range(network.sizes[0])]
