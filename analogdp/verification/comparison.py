"""Compares this package with an independent engine, state by state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analogdp.dynamics.continuous import ContinuousSettings
from analogdp.dynamics.timed import TimedSettings
from analogdp.errors import InputError
from analogdp.scenario import Scenario
from analogdp.scenario.threads import computing_with
from analogdp.verification.engine import TIMEOUT, run_jobs
from analogdp.verification.job import Job, Outcome
from analogdp.verification.presentation import MOTIONS, Presentation, Trajectory, checkable
from analogdp.verification.refusals import (
    refuse_if_too_large,
    refuse_noisy_reads,
    refuse_what_cannot_be_checked,
)
from analogdp.verification.translation import job_for

TOLERANCE = 1e-12
"""Allowed difference of states of order 1: some thousand roundings in double precision."""

MOST_STEPS_BY_DEFAULT = 200


@dataclass(frozen=True)
class Difference:
    """How far apart the two engines are in one compartment of a layer.

    Attributes:
        layer: 1 for the first hidden layer.
        compartment: its name.
        largest: absolute difference, over all samples, neurons and steps.
        step: after which it was seen, from 1.
        allowed: the tolerance times the largest state, if that is above 1.
    """

    layer: int
    compartment: str
    largest: float
    step: int
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within what is allowed; NaN is not."""
        return self.largest <= self.allowed


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes:
        scenario: its name.
        engine: the independent engine and its version.
        method: how both sides moved the states.
        chip, samples, steps, dt: what was simulated.
        differences: one for each layer and compartment.
        events: sent up and down, by this package and by the engine; None where messages are continuous.
        equations: of each layer, as the engine read them.
    """

    scenario: str
    engine: str
    method: str
    chip: int
    samples: int
    steps: int
    dt: float
    differences: tuple[Difference, ...]
    events: tuple[tuple[int, int], tuple[int, int]] | None
    equations: tuple[str, ...]

    @property
    def largest(self) -> float:
        """The largest difference of all states; NaN if any is."""
        return float(np.max([each.largest for each in self.differences]))

    @property
    def passed(self) -> bool:
        """Whether all states agree, and all counts of events."""
        return all(each.passed for each in self.differences) and (
            self.events is None or self.events[0] == self.events[1]
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in which what is not a number is None."""
        differences = [asdict(each) | {"largest": _finite(each.largest)} for each in self.differences]
        return {"passed": self.passed, "largest": _finite(self.largest)} | asdict(self) | {"differences": differences}


@dataclass(frozen=True)
class Case:
    """A check of which this package's side is done.

    Attributes:
        scenario: as the user has it.
        presentation, trajectory: this package's side.
        job: for the engine.
    """

    scenario: Scenario
    chip: int
    presentation: Presentation
    trajectory: Trajectory
    job: Job


def verify(
    scenario: Scenario,
    *,
    chip: int = 0,
    samples: int = 2,
    steps: int | None = None,
    tolerance: float = TOLERANCE,
    timeout: float = TIMEOUT,
) -> Verification:
    """Have Brian2 simulate a scenario's untrained network on its first training samples, nudged, and compare all states.

    Args:
        scenario: what to check.
        chip: index of the chip.
        samples: how many samples.
        steps: how many time steps; by default those of the longest settling, at most 200.
        tolerance: allowed difference of states of order 1.
        timeout: seconds that Brian2 may take.

    Raises:
        InputError: Brian2 cannot check this; the message says what to change.
        RunError: Brian2 failed, or the dynamics diverge. States that differ are no error, see :attr:`Verification.passed`.
    """
    if not 0 < tolerance < math.inf:
        raise InputError(f"tolerance: {tolerance:g} is out of range; allowed: above 0")
    with computing_with(1):
        case = prepare(scenario, chip, samples, steps)
    (outcome,) = run_jobs([case.job], timeout)
    return compare(case, outcome, tolerance)


def prepare(scenario: Scenario, chip: int = 0, samples: int = 2, steps: int | None = None) -> Case:
    """Do this package's side of a check; see :func:`verify`."""
    if not 0 <= chip < scenario.chips:
        raise InputError(f"there is no chip {chip}; allowed: 0 to {scenario.chips - 1}, or --set chips={chip + 1}")
    for name, value in (("samples", samples), ("steps", steps)):
        if value is not None and value < 1:
            raise InputError(f"{value} {name} leave nothing to compare; allowed: from 1")
    refuse_what_cannot_be_checked(scenario)
    assert isinstance(scenario.dynamics, TimedSettings)
    if steps is None:
        steps = min(scenario.dynamics.most_steps(), MOST_STEPS_BY_DEFAULT)
    refuse_if_too_large(scenario, samples, steps)
    presentation = Presentation(checkable(scenario), chip, samples, steps)
    refuse_noisy_reads(presentation.network, scenario)
    trajectory = presentation.simulate()
    return Case(scenario, chip, presentation, trajectory, job_for(presentation, trajectory))


def compare(case: Case, outcome: Outcome, tolerance: float = TOLERANCE) -> Verification:
    """Hold the two sides of a check against each other."""
    plan, states = case.job.plan, case.trajectory.states
    allowed = tolerance * max(1.0, float(states.abs().max()))
    events = None
    if case.trajectory.packets:
        ours, theirs = (each.sum(1).tolist() for each in (case.trajectory.sent.numpy(), outcome.sent))
        events = ((ours[0], ours[1]), (theirs[0], theirs[1]))
    return Verification(
        scenario=case.scenario.name,
        engine=outcome.engine,
        method=_method(case.scenario, case.presentation.scenario),
        chip=case.chip,
        samples=plan.samples,
        steps=plan.steps,
        dt=plan.dt,
        differences=tuple(_differences(case, outcome, allowed)),
        events=events,
        equations=outcome.equations,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _differences(case: Case, outcome: Outcome, allowed: float) -> Iterator[Difference]:
    layers = zip(case.presentation.layout.views(case.trajectory.states), outcome.states, strict=True)
    for number, (ours, theirs) in enumerate(layers, start=1):
        for place, (compartment, values) in enumerate(theirs.items()):
            apart = np.abs(ours[:, place].flatten(1).numpy() - values).max(1)
            step = int(apart.argmax())
            yield Difference(number, compartment, float(apart[step]), step + 1, allowed)


def _method(scenario: Scenario, checked: Scenario) -> str:
    """How the states were moved, in words."""
    ours, theirs = scenario.dynamics, checked.dynamics
    if not isinstance(ours, ContinuousSettings) or not isinstance(theirs, ContinuousSettings):
        return "random clocks with the same dice"
    method = f"Brian2's {MOTIONS[theirs.integrator]} with this package's {theirs.integrator}"
    return method if ours == theirs else f"{method}; the scenario's {ours.integrator} was not checked"
