"""What time makes of a trained network whose cells are left alone, with and without compensation of their drift."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import Dataset
from analogdp.dynamics import Clock, Diverged, Simulation
from analogdp.errors import InputError, RunError
from analogdp.learning.evaluation import evaluate
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.scenario import Scenario
from analogdp.scenario.quantities import to_si
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse

Compensation = Literal["none", "global", "column"]

COMPENSATIONS: tuple[Compensation, ...] = get_args(Compensation)
"""Nothing; one factor for each crossbar; one for each of its output lines."""

USUAL_TIMES = ("1 s", "1 min", "1 h", "1 day", "1 month", "1 year")

LONGEST = 1e12
"""Seconds, 30 thousand years."""

MOST_READS = 1000
"""Of a measurement of line currents."""

MOST_GAIN = 1000.0
"""Of a line that has lost nearly all of its current: an amplifier has its limits, and noise would be all that it gets."""


@dataclass(frozen=True)
class Moment:
    """How a network does some time after training; tuples have a number for each chip.

    Attributes:
        after: seconds since the end of training.
        conductance_change: of the sum of all programmable cells without read noise, relative to the end of training.
        loss: on the test set with the run's noise, by compensation.
        accuracy: likewise; empty for regression.
    """

    after: float
    conductance_change: tuple[float, ...]
    loss: Mapping[str, tuple[float, ...]]
    accuracy: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Aging:
    """How a network does over time.

    Attributes:
        chips: indices of the simulated chips.
        reads: how many noisy reads were averaged for a measurement of line currents.
        compensations: which were tried.
        moments: in order; the first is the end of training, when there is nothing to compensate.
    """

    chips: tuple[int, ...]
    reads: int
    compensations: tuple[str, ...]
    moments: tuple[Moment, ...]

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Aging | None:
        """What :meth:`to_json` wrote to a file, or None if there is none.

        Raises:
            InputError: the file is damaged.
        """
        try:
            found = json.loads(path.read_bytes())
            moments = tuple(
                Moment(
                    each["after"], tuple(each["conductance_change"]), *map(_tuples, (each["loss"], each["accuracy"]))
                )
                for each in found["moments"]
            )
            return cls(tuple(found["chips"]), found["reads"], tuple(found["compensations"]), moments)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: damaged: {error}") from error


def _tuples(lists: Mapping[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in lists.items()}


def in_seconds(after: str | float | Iterable[str | float]) -> tuple[float, ...]:
    """Times as users write them, such as ``"1 hour, 1 day"``: seconds, in order, each once.

    Raises:
        InputError: no time, or one out of range.
    """
    given = [after] if isinstance(after, str | float | int) else list(after)
    written = [part for each in given for part in (each.split(",") if isinstance(each, str) else [each])]
    try:
        times = {float(to_si(each, "second")) for each in written}
    except (ValueError, TypeError) as error:
        raise InputError(f"after: {error}") from None
    if not times:
        raise InputError("after: there is no time; write for example '1 day'")
    for seconds in times:
        if not 0 < seconds <= LONGEST:
            raise InputError(
                f"after: {seconds:g} s is out of range; give times above 0 s and up to {LONGEST:g} s, after the end of training"
            )
    return tuple(sorted(times))


def age(
    scenario: Scenario,
    network: Network,
    dataset: Dataset,
    after: Sequence[float],
    compensations: Sequence[Compensation] = COMPENSATIONS,
    reads: int = 1,
) -> Aging:
    """Test a trained network after its cells were left alone for a while; it comes back as it was.

    Each time starts from the network as it is given, and its random numbers are keyed by its seconds: its results do not
    depend on which other times are asked for. All compensations of a time are tested with the same noise.

    A compensation multiplies what a line reads, in both directions, by the ratio of its current at the end of training
    to its current now; the global one takes the ratio of the sums over all lines of a crossbar. Converters keep
    the ranges that training has left them.

    Args:
        scenario: of the network.
        network: as trained.
        dataset: whose test set is used.
        after: seconds since the end of training, in order.
        compensations: which to try.
        reads: noisy reads that are averaged for each measurement of line currents.

    Raises:
        InputError: the weights of this network do not change in time.
        RunError: an aged network diverged.
    """
    _check(compensations, reads)
    synapses = {name: synapse for name, synapse in named_synapses(network).items() if synapse.volatile}
    if not synapses:
        raise InputError(_why_ageless(network))
    stream = Stream(scenario.seed, "age", network.chip_indices, network.device, network.dtype)
    clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    simulation = Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau, compiled=scenario.run.compile)
    placed = dataset.to(network.device, network.dtype)
    trained = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    known, total = _measured(synapses, stream.child("0.0"), reads), _conductance(synapses)
    moments = [_fresh(simulation, placed, stream.child("0.0"), compensations)]
    try:
        for seconds in after:
            network.load_state_dict(trained)
            for name, synapse in synapses.items():
                synapse.relax(seconds, stream.child(f"relax/{name}"))
            own = stream.child(repr(seconds))
            gains = _gains(synapses, known, _measured(synapses, own, reads))
            tests = _tests(simulation, placed, seconds, own.child("test"), compensations, gains)
            change = torch.where(total > 0, _conductance(synapses) / total - 1, 0.0)
            moments.append(Moment(seconds, tuple(change.tolist()), *tests))
    finally:
        network.load_state_dict(trained)
    return Aging(network.chip_indices, reads, tuple(compensations), tuple(moments))


Currents = dict[str, Tensor]
Gains = dict[Compensation, list[tuple[Synapse, Tensor]]]


def _check(compensations: Sequence[Compensation], reads: int) -> None:
    if unknown := [name for name in compensations if name not in COMPENSATIONS]:
        raise InputError(f"compensation: {unknown[0]!r} is unknown; there are {', '.join(COMPENSATIONS)}")
    if not compensations:
        raise InputError(f"compensation: at least one of {', '.join(COMPENSATIONS)} is needed")
    if not 1 <= reads <= MOST_READS:
        raise InputError(f"reads: {reads} is out of range; average 1 to {MOST_READS} reads")


def _why_ageless(network: Network) -> str:
    table = network.synapses[0].conductances()
    what = "ideal weights" if table is None else f"cells of card {table.card['name']!r}"
    return (
        f"{what} do not change in time; what makes cells age are the sections drift, relaxation, retention and "
        "flicker_noise of a device card, and the parameter lifetime of linear devices"
    )


def _measured(synapses: Mapping[str, Synapse], stream: Stream, reads: int) -> Currents:
    """Line currents of each synapse ``(chips, out)``, averaged over some reads."""
    return {
        name: torch.stack([_currents(synapse, stream.child(name).at(read)) for read in range(reads)]).mean(0)
        for name, synapse in synapses.items()
    }


def _currents(synapse: Synapse, stream: Stream | None) -> Tensor:
    currents = synapse.line_currents(stream)
    assert currents is not None, "what changes in time has cells"
    return currents


def _conductance(synapses: Mapping[str, Synapse]) -> Tensor:
    """Of all programmable cells together, in siemens ``(chips,)``."""
    return torch.stack([_currents(synapse, None).double().sum(1) for synapse in synapses.values()]).sum(0)


def _gains(synapses: Mapping[str, Synapse], known: Currents, now: Currents) -> Gains:
    """Factors that bring the line currents back, for each way that has any."""
    per_column = [(synapse, _ratio(known[name], now[name])) for name, synapse in synapses.items()]
    whole = [
        (synapse, _ratio(known[name].sum(1, keepdim=True), now[name].sum(1, keepdim=True)))
        for name, synapse in synapses.items()
    ]
    return {"global": whole, "column": per_column}


def _ratio(known: Tensor, now: Tensor) -> Tensor:
    """Of two currents; a line that had none is not amplified."""
    return torch.where(known > 0, known / torch.maximum(now, known / MOST_GAIN), 1.0)


def _fresh(simulation: Simulation, dataset: Dataset, stream: Stream, compensations: Sequence[str]) -> Moment:
    """The end of training: whatever the compensation, it has nothing to do."""
    tests = _tests(simulation, dataset, 0.0, stream.child("test"), ("none",), {})
    loss, accuracy = ({name: each["none"] for name in compensations if each} for each in tests)
    return Moment(0.0, (0.0,) * simulation.network.chips, loss, accuracy)


def _tests(
    simulation: Simulation,
    dataset: Dataset,
    seconds: float,
    stream: Stream,
    compensations: Sequence[Compensation],
    gains: Gains,
) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Loss and accuracy of every chip, by compensation."""
    loss: dict[str, tuple[float, ...]] = {}
    accuracy: dict[str, tuple[float, ...]] = {}
    for name in compensations:
        own = gains.get(name, [])
        for synapse, gain in own:
            synapse.compensate(gain)
        try:
            test = evaluate(simulation, dataset.test_inputs, dataset.test_targets, dataset.test_labels, stream)
        except Diverged as error:
            raise RunError(f"{seconds:g} s after training, compensation {name}: {error}") from error
        finally:
            for synapse, _ in own:
                synapse.compensate(None)
        loss[name] = tuple(test.loss.tolist())
        if test.accuracy is not None:
            accuracy[name] = tuple(test.accuracy.tolist())
    return loss, accuracy
