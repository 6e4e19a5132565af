"""Fit a family of laws to traces: every device's steps and bounds, the shape that they share, and the noise of all.

Rounds of two halves. Least squares of the filter's standardised surprises, with its gains held, gives steps, bounds and
shape: generalised least squares for a state with noise, so what cycle noise has accumulated is not taken for the
law. Then the likelihood of the filter gives the two noises. Every round scales the weights anew, so that the
devices' mean bounds end at -1 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analogdp.errors import InputError
from analogdp.fitting.families import FAMILIES, Family
from analogdp.fitting.filtering import Filtered, Reads, follow
from analogdp.fitting.noise import NARROW, WIDE, most_likely, restricted, with_errors
from analogdp.fitting.regression import OWN_HIGHEST, OWN_LOWEST, Law, Regression
from analogdp.fitting.traces import Trace, Values

_FIRST_ROUNDS, _ROUNDS = 2, 4
_SETTLED = 0.05
"""Log-likelihood by which a round must differ from the last for another to follow."""


@dataclass(frozen=True)
class Estimate(Law):
    """A family fitted to traces; weights are normalised as ``reads`` says.

    Attributes:
        cycle: cycle noise in the model's units.
        write: write noise in weights.
        covariance: of ``own`` with the shape held, ``(devices, 4, 4)``.
        shape_covariance: of the shape.
        noise_errors: standard errors of ``cycle`` and ``write``; half the largest credible one where none is significant.
        reads: what was fitted.
        filtered: what the filter makes of it.
        logarithm: highest log-likelihood of the reads in siemens.
    """

    cycle: float
    write: float
    reads: Reads
    covariance: Values
    shape_covariance: Values
    noise_errors: tuple[float, float]
    filtered: Filtered
    logarithm: float

    @property
    def numbers(self) -> int:
        """How many were fitted."""
        return self.own.size + self.shape.size + 2

    @property
    def akaike(self) -> float:
        return 2 * self.numbers - 2 * self.logarithm

    @property
    def bayes(self) -> float:
        """Schwarz's criterion, BIC."""
        return float(self.numbers * np.log(self.reads.number) - 2 * self.logarithm)


@dataclass(frozen=True)
class _Round:
    """A law, cycle and write noise on the way to the best, and their log-likelihood in siemens."""

    law: Law
    noises: Values
    reads: Reads
    logarithm: float = -np.inf


def fit(model: str, traces: Sequence[Trace]) -> Estimate:
    """The best fit of a model to traces, over its branches and both forms of cycle noise.

    Raises:
        InputError: a model that cannot be fitted.
    """
    if model not in FAMILIES:
        raise InputError(f"unknown model {model!r}; known: {', '.join(FAMILIES)}")
    first = [_rounds(_start(family, traces), traces, _FIRST_ROUNDS) for family in FAMILIES[model]]
    best = max(first, key=lambda each: each.logarithm)
    additive = _with_noise(replace(best, law=replace(best.law, form="additive")), WIDE)
    other = _rounds(additive, traces, 1)
    best = max(best, other, key=lambda each: each.logarithm)
    return _estimate(_rounds(best, traces, _ROUNDS))


def _start(family: Family, traces: Sequence[Trace]) -> _Round:
    """Bounds from the extremes of reads, steps and noise from the increments."""
    extremes = np.array([np.percentile(trace.conductances, (1, 99)) for trace in traces])
    low, high = extremes.mean(axis=0)
    reads = Reads.of(list(traces), low, high)
    bounds = (extremes - reads.centre) / reads.half
    increments = np.diff(reads.weights, axis=0)
    steps = [
        np.maximum((increments * sign * chosen).sum(axis=0) / chosen.sum(axis=0), 1e-4)
        for sign, chosen in ((1, reads.there & (reads.rising == 1)), (-1, reads.there & (reads.rising == 0)))
    ]
    own = np.column_stack((*np.log(steps), bounds[:, 1], bounds[:, 0]))
    own = np.clip(own, OWN_LOWEST, OWN_HIGHEST)
    both = reads.there[1:] & reads.there[:-1] & (reads.rising[1:] == reads.rising[:-1])
    rest = (increments - np.where(reads.rising == 1, steps[0], -steps[1])) * reads.there
    total = (rest**2).sum() / reads.number
    write = max(-(rest[1:] * rest[:-1] * both).sum() / max(both.sum(), 1), 1e-3 * total)
    cycle = np.sqrt(max(total - 2 * write, 1e-2 * total)) / np.mean(steps)
    return _Round(Law(family, "multiplicative", own, np.array(family.start)), np.array((cycle, np.sqrt(write))), reads)


def _rounds(last: _Round, traces: Sequence[Trace], number: int) -> _Round:
    """The best of at most so many rounds, fewer when the likelihood stays as it is: a round may make it worse."""
    best = last
    for _ in range(number):
        reach = NARROW if np.isfinite(last.logarithm) else WIDE
        scaled = _scaled_anew(last, traces)
        held = follow(scaled.law.table, scaled.reads, *scaled.noises.tolist())
        law = Regression(scaled.law, scaled.reads, held).best()
        found = _with_noise(replace(scaled, law=law), reach)
        best = max(best, found, key=lambda each: each.logarithm)
        settled, last = abs(found.logarithm - last.logarithm) < _SETTLED, found
        if settled:
            break
    return best


def _scaled_anew(last: _Round, traces: Sequence[Trace]) -> _Round:
    """With the devices' mean bounds at the weights 1 and -1; steps at weight 0 are left for the next fit to find."""
    reads, own = last.reads, last.law.own.copy()
    high, low = (reads.centre + reads.half * float(np.median(own[:, column])) for column in (2, 3))
    new = Reads.of(list(traces), low, high)
    ratio = reads.half / new.half
    own[:, :2] += np.log(ratio)
    own[:, 2:] = (own[:, 2:] * reads.half + reads.centre - new.centre) / new.half
    law = replace(last.law, own=np.clip(own, OWN_LOWEST, OWN_HIGHEST))
    return _Round(law, last.noises * (1.0, ratio), new)


def _with_noise(last: _Round, reach: float) -> _Round:
    noises, logarithm = most_likely(last.law, last.reads, last.noises, reach)
    return replace(last, noises=noises, logarithm=logarithm - last.reads.number * float(np.log(last.reads.half)))


def _estimate(last: _Round) -> Estimate:
    """With the noises' bias taken out, covariances, and what the filter says."""
    law, reads = last.law, last.reads
    noises, errors = with_errors(law, reads, restricted(law, reads, last.noises))
    cycle, write = noises.tolist()
    filtered = follow(law.table, reads, cycle, write)
    information = Regression(law, reads, filtered).information()
    split = law.own.size
    blocks = [information[first : first + 4, first : first + 4] for first in range(0, split, 4)]
    return Estimate(
        law.family,
        law.form,
        law.own,
        law.shape,
        cycle=cycle,
        write=write,
        reads=reads,
        covariance=np.linalg.inv(np.stack(blocks)),
        shape_covariance=np.asarray(np.linalg.inv(information)[split:, split:], dtype=np.float64),
        noise_errors=(float(errors[0]), float(errors[1])),
        filtered=filtered,
        logarithm=last.logarithm,
    )
