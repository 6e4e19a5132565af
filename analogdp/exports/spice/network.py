"""A whole network of dyads as a circuit: one sample at the input, crossbars up and down, neurons that settle in a transient."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import load as load_data
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation, converged, diverged
from analogdp.dynamics.adaptive import DormandPrince
from analogdp.dynamics.clocks import whole_steps
from analogdp.dynamics.timed import TimedSettings
from analogdp.errors import AnalogdpWarning, InputError, Problem
from analogdp.exports.spice.netlist import Netlist
from analogdp.exports.spice.neurons import GIVEN, MESSAGES, Population, nodes
from analogdp.network import Network
from analogdp.neurons import NeuronModel
from analogdp.scenario.schema import Scenario

LOOKS_PER_TAU = 20
"""Time steps of the circuit in the shortest time constant, at least: trapezia err by some 1e-5 of a state's size."""

LONGEST = 200
"""Slowest time constants within which a network has to come to rest, unless somebody says how long to look at it."""

RESTLESS = (
    f"The network does not come to rest within {LONGEST} of its slowest time constants. It may oscillate, and where it is after "
    "so long depends on the slightest error: compare a shorter duration, or use a smaller beta or another path of feedback."
)

REST, RESOLVED = 1e-9, 20
"""Distance from its target of a neuron at rest, and how many times larger than rounding it is at least."""

FOLLOWED = {torch.float32: 1e-6, torch.float64: 1e-9}
"""Relative error of an integration that ends before the network is at rest."""

TOLERANCES = {"reltol": 1e-6, "abstol": 1e-12, "vntol": 1e-9, "gmin": 1e-15, "chgtol": 1e-18}
"""Of a transient: to a nanovolt, where nudging makes differences of millivolts."""


@dataclass(frozen=True)
class Presentation:
    """What is shown to a network in a deck.

    Attributes:
        inputs: ``(inputs,)``.
        target: the wanted output ``(outputs,)``.
        beta: nudging strength; 0 leaves the outputs free, without a label.
        duration: seconds.
        restless: whether the network is not known ever to come to rest.
    """

    inputs: Tensor
    target: Tensor
    beta: float
    duration: float
    restless: bool = False


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
        duration: seconds; None: as long as the scenario lets samples settle, or longer until they are at rest to nine digits.

    A network that does not come to rest within :data:`LONGEST` is warned of.

    Raises:
        InputError: there is no such sample or class, or the states leave their bounds.
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
    nominal = float(torch.as_tensor(network.neurons[-1].beta).reshape(-1)[0])
    dynamics = scenario.dynamics
    longest = dynamics.settle.at_most if isinstance(dynamics, TimedSettings) else None
    shown = Presentation(
        data.test_inputs[rows][0], target, nominal if beta is None else beta, duration or longest or 0.0
    )
    return shown if duration else _until_rest(network, shown)


def why_no_dyads(scenario: Scenario) -> list[Problem]:
    """What neurons of a scenario have that dyads in a deck have not."""
    found = []
    if not all(wiring.plain for wiring in scenario.wirings):
        found.append("dyads are joined all to all by weights, without windows, pools or batch normalisation")
    dynamics = scenario.dynamics
    if isinstance(dynamics, TimedSettings) and not dynamics.axons.transparent:
        found.append("dyads get messages at once, but dynamics.axons has delays or thresholds")
    if getattr(scenario.neuron, "input_strength", 0.0):
        found.append("dyads have a clamped input, but neuron.input_strength is not 0")
    if registry.neurons.get(scenario.neuron.model).equations is NeuronModel.equations:
        found.append(f"dyads are made from equations, which neuron.model: {scenario.neuron.model} does not write")
    return [Problem("neurons", f"{each}; use neurons: none") for each in found]


def left_out(scenario: Scenario) -> list[str]:
    """What neurons of a deck do without, though the scenario has it, a sentence each."""
    found, noise = [], scenario.noise.model_dump(exclude_defaults=True)
    if noise:
        found.append(f"Nothing fluctuates in time: noise ({', '.join(noise)}) is left out.")
    if scenario.dynamics.clock != "continuous":
        found.append(
            f"Neurons relax all at once with neuron.tau = {scenario.neuron.tau:g} s, where the scenario has "
            f"clock: {scenario.dynamics.clock}."
        )
    if getattr(scenario.neuron, "damping", "none") != "none":
        found.append("Nothing is damped (neuron.damping), which would only slow relaxation down.")
    return found


def write_network(
    netlist: Netlist,
    network: Network,
    scenario: Scenario,
    shown: Presentation,
    file: str,
    every_layer: bool = False,
) -> None:
    """Add a deck's sources, reads, neurons and transient analysis, which begins with all states at 0 as a simulation does.

    Args:
        netlist: which has the subcircuits of all crossbars, in both directions.
        network: of one chip.
        scenario: of the network.
        shown: what it is shown.
        file: text file for the states of the outputs, beside the deck.
        every_layer: write the states of hidden layers, too.

    Raises:
        InputError: the neurons have no equations, or such as a circuit cannot have.
    """
    last = len(network.layers)
    populations = _populations(network, scenario, shown)
    _write_sources(netlist, populations[-1], shown)
    for number in range(1, last + 1):
        _write_reads(netlist, network, number)
    for number, population in enumerate(populations, start=1):
        netlist.comment(f"Neurons of layer {number}.")
        population.write(netlist)
    signals = [f"V({name})" for name in state_nodes(network, every_layer)]
    netlist.comment(
        f"Trapezia of at most 1/{LOOKS_PER_TAU} of the shortest tau, and nodes to a nanovolt: states are right to some 1e-5 of\n"
        "their size while they move, and to 1e-8 when they rest."
    )
    netlist.tolerances(**TOLERANCES)
    netlist.transient(_step(network), shown.duration, signals, file, largest=_step(network), initial=True)


def settled_states(network: Network, shown: Presentation, every_layer: bool = False) -> dict[str, float]:
    """The package's own states at the end of a presentation without noise, by the node of a deck that has the same.

    Where it ends before the network is at rest, an integration of high order tells where that is; a network that never comes to
    rest is soon elsewhere by any.

    Raises:
        InputError: the states leave their bounds.
    """
    steps = whole_steps(shown.duration, _step(network))
    simulation = _simulation(network, shown)
    if not (_run(simulation, steps, steps) or shown.restless):
        error, steps = FOLLOWED[network.dtype], whole_steps(shown.duration, network.fastest_tau)
        followed = Continuous(DormandPrince, shown.duration / steps, 1, tolerance=None, rtol=error, atol=error / 10)
        simulation = _simulation(network, shown, followed)
        _run(simulation, steps, steps)
    states: dict[str, float] = {}
    for number, (layer, own) in enumerate(zip(network.layers, simulation.state, strict=True), start=1):
        values = torch.cat((own, layer.neuron.upward(own).unsqueeze(0), layer.neuron.downward(own).unsqueeze(0)))
        states |= zip(_nodes_of(network, number), values.reshape(-1).tolist(), strict=True)
    return {name: states[name] for name in state_nodes(network, every_layer)}


def state_nodes(network: Network, every_layer: bool) -> list[str]:
    """The nodes that results are written of, of the outputs or of all layers."""
    last = len(network.layers)
    written = range(1, last + 1) if every_layer else (last,)
    return list(chain.from_iterable(_nodes_of(network, number) for number in written))


def _nodes_of(network: Network, number: int) -> list[str]:
    """Those of layer ``number``: its compartments and its messages, units within each."""
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


def _until_rest(network: Network, shown: Presentation) -> Presentation:
    """The same until the package's own simulation is at rest, or longer."""
    simulation = _simulation(network, shown)
    slowest = max(float(torch.as_tensor(layer.tau).max()) for layer in network.layers)
    rests = _run(simulation, whole_steps(LONGEST * slowest, _step(network)), LOOKS_PER_TAU)
    if not rests:
        warnings.warn(f"spice: {RESTLESS}", AnalogdpWarning, stacklevel=2)
    return replace(shown, duration=max(shown.duration, _short(simulation.time)), restless=not rests)


def _run(simulation: Simulation, steps: int, every: int) -> bool:
    """Move on until the network is at rest, or by so many steps; whether it came to rest.

    Raises:
        InputError: the states leave their bounds.
    """
    rest = max(REST, RESOLVED * torch.finfo(simulation.network.dtype).eps)
    ends = [converged(rest), diverged()]
    for _ in simulation.run(steps, every, ends):
        pass
    if bool(ends[1](simulation)):
        raise InputError(
            "spice: the network does not settle, its states leave their bounds; use a smaller beta, or beta: 0"
        )
    return bool(ends[0](simulation))


def _simulation(network: Network, shown: Presentation, clock: Continuous | None = None) -> Simulation:
    """The package's own, without noise, at the beginning of a presentation; in exponential Euler's steps unless told."""
    simulation = Simulation(network, clock or Continuous(ExponentialEuler, _step(network), 1, tolerance=None))
    inputs, target = (each.to(network.device, network.dtype).view(1, 1, -1) for each in (shown.inputs, shown.target))
    simulation.present(inputs, target if shown.beta else None, shown.beta)
    return simulation


def _step(network: Network) -> float:
    return _short(network.fastest_tau / LOOKS_PER_TAU)


def _short(seconds: float) -> float:
    """A time with as many digits as anybody needs who reads it."""
    return float(f"{seconds:.6g}")


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


def _write_reads(netlist: Netlist, network: Network, number: int) -> None:
    """What drives the neurons of layer ``number``: from below with their biases, and from above."""
    layer = network.layers[number - 1]
    netlist.comment(f"What layer {number} is given.")
    below = _inputs(network) if number == 1 else nodes(number - 1, "upward", network.layers[number - 2].units)
    drive, top_down = (nodes(number, name, layer.units) for name in GIVEN)
    read = drive if layer.bias is None else nodes(number, "read", layer.units)
    netlist.instance(f"up_{number}", [*below, *read], f"layer{number - 1}_up")
    if layer.bias is not None:
        for name, plus, minus, bias in zip(
            nodes(number, "bias", layer.units), drive, read, layer.bias.reshape(-1).tolist(), strict=True
        ):
            netlist.voltage_source(name, plus, minus, bias)
    if number < len(network.layers):
        above = nodes(number + 1, "downward", network.layers[number].units)
        path = f"layer{number}_down" if network.feedback_paths[number] is None else f"feedback{number}_up"
        netlist.instance(f"down_{number}", [*above, *top_down], path)


def _inputs(network: Network) -> list[str]:
    return [f"input_{place}" for place in range(network.sizes[0])]
