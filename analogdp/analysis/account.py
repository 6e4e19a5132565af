"""The account of a trained network: what inference and training would take on the chip that was simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from analogdp import registry
from analogdp.analysis.energy import Schedule, conversions, line_conductance, read_power
from analogdp.analysis.report import EnergyReport, Part
from analogdp.data import Dataset, Samples
from analogdp.dynamics import Clock, Settling, Simulation
from analogdp.dynamics.axons import AxonSettings
from analogdp.learning.always_on import AlwaysOnSettings
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.synapses.base import Synapse
from analogdp.synapses.converter_settings import ConverterSettings
from analogdp.synapses.settings import CrossbarSettings

SAMPLES = 64
"""Of the test and of the training set, whose messages stand for all."""


@dataclass(frozen=True)
class History:
    """What a training took, means over chips.

    Attributes:
        samples: that were presented.
        steps: mean number of steps for each, or None if that was not counted.
        pulses: all write pulses.
        write_energy: theirs in joules, or None where cards do not state the voltages.
    """

    samples: int
    steps: float | None
    pulses: float
    write_energy: float | None

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, float | int]], samples: int) -> History:
        """From all evaluations, one row for each chip."""
        chips = len({row["chip"] for row in rows}) or 1

        def total(*names: str) -> float:
            return sum(row.get(name) or 0 for row in rows for name in names) / chips

        steps = [row["settle_steps_mean"] for row in rows if row.get("settle_steps_mean") is not None]
        counted = any(row.get("write_energy") is not None for row in rows)
        mean = sum(steps) / len(steps) if steps else None
        pulses = total("pulses_up", "pulses_down")
        return cls(samples, mean, pulses, total("write_energy") if counted or not pulses else None)


@dataclass(frozen=True)
class Presentation:
    """Samples as they settled: how long that took, and the messages at the end.

    Attributes:
        schedule: of a sample, on average.
        up: what every synapse is shown from below, ``(chips, rows, in)``: a row for each sample and position.
        down: what it is shown from above, ``(chips, rows, out)``.
    """

    schedule: Schedule
    up: tuple[Tensor, ...]
    down: tuple[Tensor, ...]


def account(network: Network, scenario: Scenario, dataset: Dataset, history: History) -> EnergyReport:
    """What the network, as it is now, takes for a sample, and its training took.

    Messages are those of samples that settled without noise: test samples without nudging for inference, training samples
    with nudging for training. Tests are not part of the training.

    Raises:
        Diverged: the network does.
    """
    clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    simulation = Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau)
    data = dataset.to(network.device, network.dtype)
    nudging = float(network.neurons[-1].beta)
    presentations = (
        _present(simulation, scenario, data.test_inputs, None, 0.0, None),
        _present(
            simulation, scenario, data.train_inputs, data.train_targets, nudging, _steps(scenario, clock, history)
        ),
    )
    parts = [
        *_reads(network, scenario, presentations, history),
        *_converters(network, scenario, presentations, history),
        _neurons(network, scenario, presentations, history),
        _writes(scenario, history),
    ]
    return EnergyReport(tuple(parts))


def _steps(scenario: Scenario, clock: Clock, history: History) -> float | None:
    learning = scenario.learning
    if isinstance(learning, AlwaysOnSettings) and learning.dwell is not None and clock.timestep is not None:
        return learning.dwell / clock.timestep
    return history.steps


def _present(
    simulation: Simulation,
    scenario: Scenario,
    samples: Samples,
    targets: Samples | None,
    nudging: float,
    steps: float | None,
) -> Presentation:
    """Settle the first samples; ``steps`` that each takes on average, if that is known better."""
    clock, network = simulation.clock, simulation.network
    inputs = samples[:SAMPLES].unsqueeze(0)
    simulation.present(inputs, None if targets is None else targets[:SAMPLES].unsqueeze(0), nudging)
    settling = simulation.settle()
    pairs = list(zip(network.neurons, settling.state, strict=True))
    up = (inputs.expand(network.chips, -1, -1), *(neuron.upward(state) for neuron, state in pairs[:-1]))
    down = tuple(neuron.downward(state) for neuron, state in pairs)
    shown = [passage.inputs(*messages) for passage, *messages in zip(simulation.field.passages, up, down, strict=True)]
    up, down = zip(*shown, strict=True)
    taken = _mean_steps(settling) if steps is None else steps
    live, per_step = scenario.synapse.noisy_reads, scenario.dynamics.evaluations() / clock.steps
    if clock.timestep is None:
        assert scenario.energy.read_time is not None
        schedule = Schedule.in_sweeps(taken, scenario.energy.read_time, _positions(network), live)
    else:
        schedule = Schedule.in_time(taken, clock.timestep, per_step, live)
    return Presentation(schedule, up, down)


def _positions(network: Network) -> list[int]:
    """How often each synapse is read for a sample."""
    return [own.wiring.positions for own in network.projections]


def _mean_steps(settling: Settling) -> float:
    """Steps until a sample had settled, or all where it did not."""
    if settling.settled_after is None:
        return float(settling.chip_steps.double().mean())
    after = settling.settled_after
    return float(torch.where(after < 0, settling.steps, after).double().mean())


def _part(
    name: str,
    assumption: str,
    energies: tuple[float, float] | None,
    times: tuple[float, float] | None,
    history: History,
) -> Part:
    """A line, from joules and seconds for one sample of inference and of training."""
    energy, time = energies or (None, None), times or (None, None)
    whole = [None if own[1] is None else own[1] * history.samples for own in (energy, time)]
    return Part(name, energy[0], whole[0], time[0], whole[1], assumption)


Both = tuple[Presentation, Presentation]


def _ways(network: Network) -> Iterator[tuple[Synapse, int, bool]]:
    """Every read of an evaluation: of which synapse, between which layers, and whether of its cells' transposed."""
    for number, synapse in enumerate(network.synapses):
        yield synapse, number, False
    for number, path in list(enumerate(network.feedback_paths))[1:]:
        yield (network.synapses[number], number, True) if path is None else (path, number, False)


def _reads(network: Network, scenario: Scenario, presentations: Both, history: History) -> Iterator[Part]:
    crossbar = scenario.synapse if isinstance(scenario.synapse, CrossbarSettings) else None
    times = (presentations[0].schedule.duration, presentations[1].schedule.duration)
    axons = getattr(scenario.dynamics, "axons", None)
    if crossbar is None:
        yield _part("reads", "not stated: the weights are no crossbars", None, times, history)
        return
    if isinstance(axons, AxonSettings) and (axons.threshold.bottom_up or axons.threshold.top_down):
        yield _part("reads", "not stated: messages are events, which have no length", None, times, history)
        return
    voltage, pair = scenario.energy.read_voltage, str(crossbar.pair)
    wires = ", as if wires had no resistance" if getattr(crossbar, "wires", None) else ""
    clock = "while samples settle" if scenario.dynamics.has_time else f"for {scenario.energy.read_time:g} s each"
    positions = _positions(network)
    copies = ""
    if max(positions) > 1:
        copies = ", a crossbar for each position" if scenario.dynamics.has_time else ", one position after the other"
    assumption = f"{voltage:g} V for a message of 1, {clock}{copies}, messages as at rest and before converters{wires}"
    for name, downward in (("reads, bottom-up", False), ("reads, top-down", True)):
        energies = [0.0, 0.0]
        for place, (synapse, number, transposed) in enumerate(_ways(network)):
            if (place >= len(network.synapses)) is not downward:
                continue
            table = synapse.conductances()
            assert table is not None
            lines = line_conductance(table, pair)[1 if transposed else 0]
            for which, shown in enumerate(presentations):
                messages = shown.down[number] if downward else shown.up[number]
                reading = shown.schedule.reading[0 if number == 0 else 1]
                power = float(read_power(messages, lines, voltage).mean()) * positions[number]
                energies[which] += power * reading
        yield _part(name, assumption, (energies[0], energies[1]), None if downward else times, history)


def _converters(network: Network, scenario: Scenario, presentations: Both, history: History) -> Iterator[Part]:
    crossbar = scenario.synapse
    if not isinstance(crossbar, CrossbarSettings):
        return
    kinds: tuple[tuple[str, ConverterSettings | None], ...] = (("DACs", crossbar.dac), ("ADCs", crossbar.adc))
    for which, (name, settings) in enumerate(kinds):
        if settings is None:
            continue
        counts = [_conversions(network, crossbar.tile, shown.schedule, which) for shown in presentations]
        energy, time = settings.conversion_energy, settings.conversion_time
        rounds = [shown.schedule.rounds for shown in presentations]
        told = "not stated: no figure_of_merit" if energy is None else f"{energy:.3g} J for a conversion"
        assumption = f"{told}; {counts[0]:.4g} conversions for a sample" + ("" if time else "; no conversion_time")
        yield _part(
            name,
            assumption,
            None if energy is None else (counts[0] * energy, counts[1] * energy),
            None if time is None else (rounds[0] * time, rounds[1] * time),
            history,
        )


def _conversions(network: Network, tile: tuple[int, int] | None, schedule: Schedule, which: int) -> float:
    """Digital-analog (0) or analog-digital (1) conversions while a sample is presented."""
    total = 0.0
    for place, (synapse, number, transposed) in enumerate(_ways(network)):
        lines = (synapse.outputs, synapse.inputs) if transposed else (synapse.inputs, synapse.outputs)
        most = None if tile is None else tile[1 if transposed else 0]
        reads = (schedule.input_reads if place == number == 0 else schedule.reads) * _positions(network)[number]
        total += conversions(*lines, most)[which] * reads
    return total


def _neurons(network: Network, scenario: Scenario, presentations: Both, history: History) -> Part:
    power, count = scenario.energy.neuron_power, sum(network.sizes[1:])
    if power is None:
        return _part("neurons", "not stated: no energy.neuron_power", None, None, history)
    inference, training = (shown.schedule.duration * count * power for shown in presentations)
    return _part("neurons", f"{power:g} W for each of {count}, all the time", (inference, training), None, history)


def _writes(scenario: Scenario, history: History) -> Part:
    part = partial(Part, "writes", 0.0)
    if not isinstance(scenario.synapse, CrossbarSettings):
        return part(None, 0.0, None, "not stated: the weights are no crossbars")
    pulse = scenario.synapse.device.device().write_pulse
    if pulse is None:
        return part(None, 0.0, None, f"not stated: card {scenario.synapse.device.name!r} has no write_pulse")
    if history.write_energy is None:
        return part(None, 0.0, None, "not stated: this run did not add it up")
    voltages = f"pulses of {pulse.up:g} V up and {pulse.down:g} V down for {pulse.width:g} s, {pulse.shape}"
    time = f"; {history.pulses:.4g} pulses, at most as long as one after the other"
    limits = "; of the written cells alone: not those on their lines, resets or programming"
    return part(history.write_energy, 0.0, history.pulses * pulse.width, voltages + time + limits)
