"""A phase diagram: at every point of a grid what becomes of samples in the simulator, and what theory predicts.

Networks of points that differ in asymmetry, nudging strength, mismatch or seeds lie side by side on the axis of chips; other
points come one group after the other. Every chip's numbers are its own, so results do not depend on who lies beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from analogdp import registry
from analogdp.analysis.stability.grid import Point, refuse_unless_whole, together
from analogdp.analysis.stability.outcomes import OUTCOMES, Outcomes, observe
from analogdp.analysis.stability.predict import Prediction, Where, predict
from analogdp.data import Dataset, load
from analogdp.dynamics import Clock, Diverged, Simulation
from analogdp.dynamics.step_limit import exact_twin
from analogdp.dynamics.timed import TOLERANCE_PER_BETA
from analogdp.errors import InputError
from analogdp.learning.base import calibrate
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.network.stacking import Replicas, build_together, put_side_by_side, put_together
from analogdp.neurons.dyadic import Dyadic
from analogdp.registry import suggestion
from analogdp.scenario.estimate import NOISE_BLOCK, STATE_COPIES, available_memory
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.schema import Scenario
from analogdp.scenario.variations import MOST
from analogdp.streams import Stream

MOST_TOGETHER = 128
"""Chips in one group: more are no faster, as their states leave the caches."""
SHARE = 0.5
"""Of the free memory that a group may take."""
REFUSED = "refused"
KINDS = (*OUTCOMES, REFUSED)
"""What a point may be."""

DIGITS = 10
"""That cells have."""
DOUBLE = 8
"""Bytes of a number in predictions."""

Found = TypeVar("Found", Outcomes, Prediction)
Progress = Callable[[int, int], None]
"""Is told how many of all networks are done."""


@dataclass(frozen=True)
class Cell:
    """One point of a phase diagram: over all its networks, chips and samples.

    Attributes:
        x, y: values of the two settings, SI.
        outcome: what became of most samples; the later of :data:`KINDS` where equally many.
        settled, approaching, oscillating, diverged, undecided: shares of the samples, see
            :class:`~analogdp.analysis.stability.outcomes.Outcomes`.
        steps: to settle, mean over the samples that did.
        growth: by which a distance is multiplied in a step, in the second half of the time: that of the fastest sample.
        loop_gain: g Lambda, the largest.
        predicted_growth: by which deviations are multiplied in a step, of the fastest sample.
        predicted_stable: share of the samples.
        predicted_steps: mean over the samples that settled and are predicted to.
        certified: share of the samples that g Lambda < 1 vouches for, of the linearised network and near rest; None where
            nothing can be vouched for, as none was linearised at rest and the network is not linear.
        agreement: of which share theory says rightly whether they are stable: of the samples whose fate is decided and whose
            eigenvalue has converged; None without any.
        linearised_at_rest: share of the samples; others are linearised at the free state.
        converged: share of the samples whose leading eigenvalue is.
        way: how eigenvalues were found, see :class:`~analogdp.analysis.stability.spectrum.Spectrum`; several with commas.
        reason: why the point is refused, or has no prediction; or empty.
    """

    x: float
    y: float
    outcome: str
    settled: float | None = None
    approaching: float | None = None
    oscillating: float | None = None
    diverged: float | None = None
    undecided: float | None = None
    steps: float | None = None
    growth: float | None = None
    loop_gain: float | None = None
    predicted_growth: float | None = None
    predicted_stable: float | None = None
    predicted_steps: float | None = None
    certified: float | None = None
    agreement: float | None = None
    linearised_at_rest: float | None = None
    converged: float | None = None
    way: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Trained:
    """Weights to take in place of random ones: as they lie in a network of the same structure."""

    state: dict[str, Tensor]

    @classmethod
    def of(cls, network: Network, scenario: Scenario, wanted: Scenario) -> Trained:
        """The state of a trained network for a scenario; of its own or of ideal synapses, which get the weights that are read.

        Raises:
            InputError: the scenario has other synapses.
        """
        if wanted.synapse == scenario.synapse:
            return cls(network.state_dict())
        if wanted.synapse.model != "ideal" or wanted.feedback.separate:
            raise InputError(
                f"synapse: the run's weights lie in synapses of model {scenario.synapse.model} with settings of their own; "
                "leave them as they are, or use ideal"
            )
        return cls(exact_twin(network, None).state_dict())

    def put_into(self, network: Network, copies: int) -> None:
        """Give each of several networks side by side this state."""
        network.load_state_dict(put_together([self.state] * copies))


class _Job(NamedTuple):
    """One network of a point, by its number."""

    point: int
    scenario: Scenario


class _Fate(NamedTuple):
    """What became of one network's samples, ``(chips, batch)``; or why nothing did."""

    outcomes: Outcomes | None
    prediction: Prediction | None
    reason: str = ""


class Surveyor:
    """Finds out about points.

    Args:
        samples: of the test set, which all networks are shown; those of the first point's seed.
        at: where predictions linearise.
        trained: weights in place of random ones.
        most: networks side by side; by default as many as are good for the memory. Messages call it ``together``.

    Attributes:
        ignored: settings that predictions left out of account.

    Raises:
        InputError: a number out of range, or no such state.
    """

    def __init__(
        self, samples: int, at: Where = "free", trained: Trained | None = None, most: int | None = None
    ) -> None:
        refuse_unless_whole("samples", samples, 1, MOST)
        if most is not None:
            refuse_unless_whole("together", most, 1, MOST)
        if at not in (states := get_args(Where)):
            raise InputError(f"at: no state is called {at!r}: {suggestion(str(at), states)}")
        self.samples, self.at, self.trained, self.most = samples, at, trained, most
        self.ignored: set[str] = set()
        self._datasets: dict[str, Dataset] = {}
        self._seed = 0

    def survey(self, points: Sequence[Point], progress: Progress | None = None) -> list[Cell]:
        """What there is to know of each point.

        Raises:
            InputError: the neurons are no dyads, or there are fewer samples.
        """
        jobs = [_Job(number, own) for number, point in enumerate(points) for own in point.scenarios]
        self._seed = jobs[0].scenario.seed
        fates: dict[int, list[_Fate]] = {number: [] for number in range(len(points))}
        done = 0
        for group in self._groups(jobs):
            for job, fate in zip(group, self._fates([job.scenario for job in group]), strict=True):
                fates[job.point].append(fate)
            done += len(group)
            if progress is not None:
                progress(done, len(jobs))
        return [_cell(point, fates[number]) for number, point in enumerate(points)]

    def _groups(self, jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
        groups: dict[str, list[_Job]] = {}
        for job in jobs:
            groups.setdefault(together(job.scenario), []).append(job)
        for group in groups.values():
            most = self.most or _most_together(group[0].scenario, self.samples)
            yield from (group[start : start + most] for start in range(0, len(group), most))

    def _fates(self, scenarios: Sequence[Scenario]) -> list[_Fate]:
        try:
            return self._together(scenarios)
        except (InputError, Diverged) as error:
            if len(scenarios) == 1:
                return [_Fate(None, None, str(error))]
            # One of them is to blame, which halving finds.
            half = len(scenarios) // 2
            return [*self._fates(scenarios[:half]), *self._fates(scenarios[half:])]

    def _together(self, scenarios: Sequence[Scenario]) -> list[_Fate]:
        first, replicas = scenarios[0], Replicas(tuple(scenarios))
        network = build_together(replicas)
        clock: Clock = registry.clocks.get(first.dynamics.clock).build(first.dynamics)
        inputs, labels = self._shown(first, network)
        beta = network.neurons[-1].beta
        tolerance = _tolerances(replicas, network)
        if self.trained is not None:
            self.trained.put_into(network, len(scenarios))
        elif any(synapse.calibrated for synapse in named_synapses(network).values()):
            simulation = Simulation(network, clock, first.noise, first.neuron.tau)
            calibrate(simulation, self._dataset(first).to(network.device, network.dtype), beta)
        outcomes = observe(
            network,
            clock,
            inputs,
            labels,
            beta,
            Stream(replicas.seed, "stability", network.chip_indices, network.device, network.dtype),
            noise=first.noise,
            tau=first.neuron.tau,
            tolerance=tolerance,
        )
        prediction, reason = None, ""
        try:
            put_side_by_side(replicas, network, torch.float64)
            beta = network.neurons[-1].beta
            prediction = predict(network, clock, inputs, labels, beta, self.at, tolerance.double())
            self.ignored |= {*prediction.ignored, *_ignored(first, network)}
        except InputError as error:
            reason = f"not predicted: {error}"
        return [
            _Fate(_of_rows(outcomes, rows), None if prediction is None else _of_rows(prediction, rows), reason)
            for rows in replicas.rows
        ]

    def _dataset(self, scenario: Scenario) -> Dataset:
        key = scenario.data.model_dump_json()
        if key not in self._datasets:
            self._datasets[key] = load(scenario.data, self._seed)
        return self._datasets[key]

    def _shown(self, scenario: Scenario, network: Network) -> tuple[Tensor, Tensor]:
        dataset = self._dataset(scenario)
        shown = (dataset.test_inputs[: self.samples], dataset.test_targets[: self.samples])
        inputs, labels = (own.to(network.device, network.dtype).unsqueeze(0) for own in shown)
        return inputs, labels


def refuse_unless_analysable(scenario: Scenario, samples: int) -> None:
    """Refuse scenarios of which there is no diagram.

    Raises:
        InputError: as the message says.
    """
    model = registry.neurons.get(scenario.neuron.model)
    if not issubclass(model, Dyadic):
        raise InputError(
            f"neuron.model: {scenario.neuron.model} neurons are no dyads, whose asymmetric nudging is what a diagram is of; "
            "use dp or dp_transposed"
        )
    _, test = scenario.data.counts()
    refuse_unless_whole("samples", samples, 1, test, ", the samples of the test set")


def _tolerances(replicas: Replicas, network: Network) -> Tensor:
    """Of each chip's own run, ``(chips, 1)``: the clock's, or that which clocks have by default."""
    each = []
    for scenario in replicas.scenarios:
        own = getattr(getattr(scenario.dynamics, "settle", scenario.dynamics), "tolerance", None)
        each.append(own or TOLERANCE_PER_BETA * getattr(scenario.neuron, "beta", 1.0))
    return network.synapses[0].weights.new_tensor(replicas.of_chips(each)).unsqueeze(1)


def _most_together(scenario: Scenario, samples: int) -> int:
    """How many networks lie side by side: as many as half of the free memory takes, up to a number that is fast."""
    number = torch.finfo(getattr(torch, scenario.run.dtype)).bits // 8
    chips, units, outputs = len(scenario.simulated_chips), sum(scenario.sizes), scenario.sizes[-1]
    held = sum(wiring.fan_in * wiring.lines for wiring in scenario.wirings)
    weights = held * (scenario.synapse.cell_bytes(number) + 3 * DOUBLE)
    states = samples * units * (2 * STATE_COPIES * number + 6 * outputs * DOUBLE)
    noise = 4 * NOISE_BLOCK * number if scenario.noise != NoiseSettings() or scenario.synapse.noisy_reads else 0
    fits = int(SHARE * available_memory(scenario.run.device) / (chips * (weights + states + noise)))
    return max(1, min(MOST_TOGETHER // chips, fits))


def _ignored(scenario: Scenario, network: Network) -> Iterator[str]:
    """Settings that linearised networks do not have."""
    for name in NoiseSettings.model_fields:
        if getattr(scenario.noise, name):
            yield f"noise.{name}"
    synapses = named_synapses(network).values()
    if any(synapse.forward_noise.total or synapse.backward_noise.total for synapse in synapses):
        yield "read noise of synapse"
    if any(synapse.calibrated for synapse in synapses):
        yield "converters of synapse"


def _of_rows(found: Found, rows: slice) -> Found:
    """What belongs to some of the chips."""
    own: dict[str, Any] = {name: value[rows] for name, value in vars(found).items() if isinstance(value, Tensor)}
    return replace(found, **own)


def _cell(point: Point, fates: Sequence[_Fate]) -> Cell:
    refused = next((fate.reason for fate in fates if fate.outcomes is None), point.refusal)
    observed = [fate.outcomes for fate in fates if fate.outcomes is not None]
    if refused or not observed:
        return Cell(point.x, point.y, REFUSED, reason=refused)
    kind = torch.cat([own.kind.flatten() for own in observed])
    counts = kind.bincount(minlength=len(OUTCOMES)).tolist()
    settled = kind == OUTCOMES.index("settled")
    steps, growth = (torch.cat([getattr(own, name).flatten() for own in observed]) for name in ("steps", "growth"))
    cell = Cell(
        point.x,
        point.y,
        OUTCOMES[max(range(len(OUTCOMES)), key=lambda number: (counts[number], number))],
        **dict(zip(OUTCOMES, (count / len(kind) for count in counts), strict=True)),
        steps=_mean(steps[settled]),
        growth=_largest(growth.exp()),
        reason=fates[0].reason,
    )
    predicted = [fate.prediction for fate in fates if fate.prediction is not None]
    if len(predicted) < len(observed):
        return cell
    names = ("loop_gain", "growth", "stable", "steps", "certificate", "converged", "at_rest")
    theory = {name: torch.cat([getattr(own, name).flatten() for own in predicted]) for name in names}
    stable, decided = (torch.cat([getattr(own, name).flatten() for own in observed]) for name in ("stable", "decided"))
    certificate, at_rest = theory["certificate"], theory["at_rest"]
    return replace(
        cell,
        loop_gain=_largest(theory["loop_gain"]),
        predicted_growth=_largest(theory["growth"]),
        predicted_stable=_mean(theory["stable"]),
        predicted_steps=_mean(theory["steps"][settled & theory["steps"].isfinite()]),
        certified=_mean(certificate) if bool((certificate | at_rest).any()) else None,
        agreement=_mean((theory["stable"] == stable)[decided & theory["converged"]]),
        linearised_at_rest=_mean(at_rest),
        converged=_mean(theory["converged"]),
        way=", ".join(sorted({own.way for own in predicted})),
    )


def _mean(values: Tensor) -> float | None:
    return float(values.double().mean()) if values.numel() else None


def _largest(values: Tensor) -> float | None:
    """The largest number of those that are finite."""
    finite = values[values.isfinite()]
    return _rounded(finite.max()) if finite.numel() else None


def _rounded(value: Tensor) -> float:
    """Logarithms and sums of many networks round differently in their last digits, depending on how many these are."""
    return float(f"{float(value):.{DIGITS}g}")
