"""What the independent engine cannot check, and what to change so that it can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

from analogdp import registry
from analogdp.dynamics.timed import TimedSettings
from analogdp.errors import InputError, Problem, ScenarioError
from analogdp.network import Network
from analogdp.scenario import Scenario

CLOCKS = ("continuous", "poisson")

MOST_NEURONS, MOST_SYNAPSES, MOST_NUMBERS = 2_000, 200_000, 20_000_000
"""Of all samples together: what takes Brian2 seconds to minutes. Numbers: states times steps, all of which are compared."""

LONGEST_DELAY_LINE = 200
"""Steps by which a continuous message may be delayed: each is a state variable of Brian2's neurons."""


def refuse_what_cannot_be_checked(scenario: Scenario) -> None:
    """Refuse scenarios with parts that Brian2 has no equations for.

    Raises:
        ScenarioError: with all of them, and with changes for ``--set`` that help.
    """
    if problems := [*refused_parts(scenario), *_refused_delays(scenario)]:
        raise ScenarioError(problems)


def refuse_noisy_reads(network: Network, scenario: Scenario) -> None:
    """Refuse synapses whose reads fluctuate.

    Raises:
        ScenarioError: with the way out.
    """
    paths = [*network.synapses, *(path for path in network.feedback_paths if path is not None)]
    if any(path.forward_noise.total or path.backward_noise.total for path in paths):
        card = getattr(scenario.synapse, "device", None)
        flickers = getattr(card, "flicker_noise", None) is not None
        quiet = "flicker_noise: null" if flickers else "read_noise: 0, read_time: null"
        change = f'--set "synapse.device={{card: {getattr(card, "name", "NAME")}, {quiet}}}"'
        raise ScenarioError([Problem("synapse.device.read_noise", f"Brian2 reads weights exactly; use {change}")])


def refuse_if_too_large(scenario: Scenario, samples: int, steps: int) -> None:
    """Refuse what would keep Brian2 busy for too long.

    Raises:
        InputError: with sizes and limits.
    """
    layers = scenario.sizes
    states = len(registry.neurons.get(scenario.neuron.model).compartments)
    neurons = samples * sum(layers[1:])
    synapses = 2 * samples * sum(below * above for below, above in pairwise(layers[1:]))
    sizes = (
        (neurons, MOST_NEURONS, "neurons"),
        (synapses, MOST_SYNAPSES, "synapses, up and down"),
        (states * neurons * steps, MOST_NUMBERS, "states to compare"),
    )
    for size, most, what in sizes:
        if size > most:
            small = json.dumps([layers[0], *(min(units, 32) for units in layers[1:-1]), layers[-1]])
            raise InputError(
                f"{samples} samples in a {'-'.join(map(str, layers))} network for {steps} steps are {size} {what}; "
                f"allowed: up to {most}. Take fewer --samples, fewer --steps or a smaller network, "
                f'such as --set "network.layers={small}"'
            )


def refused_parts(scenario: Scenario) -> Iterator[Problem]:
    """The parts of a scenario that Brian2 has no equations for, each with a change for ``--set`` that helps."""
    if not all(wiring.plain for wiring in scenario.wirings):
        dense = json.dumps([scenario.sizes[0], 32, scenario.sizes[-1]])
        message = "Brian2 joins every two units by a synapse of their own, and knows no windows, pools or batches"
        way_out = f'use --set "network.layers={dense}"'
        if scenario.network.architecture is not None:
            way_out += " --set network.architecture=null"
        yield Problem("network.layers", f"{message}; {way_out}")
    if scenario.dynamics.clock not in CLOCKS:
        message = f"{scenario.dynamics.clock} has no time that Brian2 could follow; use --set dynamics=continuous"
        yield Problem("dynamics.clock", message)
    if scenario.noise.conductance is not None:
        message = "weights are constant in this check; use --set noise.conductance=null"
        yield Problem("noise.conductance", message)
    if getattr(scenario.neuron, "input_strength", 0.0):
        message = "the input is clamped in this check; use --set neuron.input_strength=0"
        yield Problem("neuron.input_strength", message)
    for name in ("dac", "adc"):
        if getattr(scenario.synapse, name, None) is not None:
            yield Problem(f"synapse.{name}", f"Brian2 reads weights exactly; use --set synapse.{name}=null")
    wires = getattr(scenario.synapse, "wires", None)
    if wires is not None and wires.source != wires.sense:
        message = "Brian2 reads the same weights in both directions, which takes equal ends of lines"
        yield Problem("synapse.wires.sense", f"{message}; use --set synapse.wires.sense={wires.source:g}")
    if wires is not None and wires.method == "conjugate_gradients":
        message = "Brian2 reads weights, not circuits; use --set synapse.wires.method=transfer_matrix"
        yield Problem("synapse.wires.method", message)


def _refused_delays(scenario: Scenario) -> Iterator[Problem]:
    """Continuous messages that are on their way for very many steps; events may be."""
    dynamics = scenario.dynamics
    if not isinstance(dynamics, TimedSettings) or dynamics.dt is None:
        return
    for way in ("bottom_up", "top_down"):
        longest, threshold = max(getattr(dynamics.axons.delay, way)), getattr(dynamics.axons.threshold, way)
        if threshold is None and longest > LONGEST_DELAY_LINE * dynamics.dt:
            limit = f"{LONGEST_DELAY_LINE * dynamics.dt:g} s ({LONGEST_DELAY_LINE} steps) for continuous messages"
            message = f"{longest:g} s is more than Brian2's neurons can remember; allowed: up to {limit}"
            yield Problem(f"dynamics.axons.delay.{way}", f"{message}, or a longer dynamics.dt")
