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
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix, vstack

from analogdp.devices.pulsed import PulsedDevice
from analogdp.errors import InputError
from analogdp.fitting.families import FAMILIES, SPAN, Family
from analogdp.fitting.filtering import Filtered, LawTable, Reads, follow, likelihood, surprises
from analogdp.fitting.traces import Trace, Values

_ROUNDS = 3
_OWN_LOWEST = (np.log(1e-6), np.log(1e-6), 0.02, -20.0)
_OWN_HIGHEST = (np.log(SPAN), np.log(SPAN), 20.0, -0.02)
_PRIOR = (3.0, 3.0, 1.0, 1.0)
"""Standard deviations around the start, of ln step and of a bound: as wide as half the range that was seen, so that a bound
that no read tells of stays near the last read, and one that reads tell of is theirs."""
_SHAPE_PRIOR = 10.0
_DIFFERENCE = 1e-4
_LEAST_NOISE, _MOST_NOISE = 1e-3, 100.0
_CANDIDATES = 7
_WIDE, _NARROW = (3.4, 7), (0.7, 5)
"""Searches for noise: reach in logarithms, and how often it is halved."""
_SETTLED = 0.05
_WORTH = 2.0
"""Log-likelihood by which a noise must improve on none."""


@dataclass(frozen=True)
class Estimate:
    """A family fitted to traces; weights are normalised as ``reads`` says.

    Attributes:
        family: the law.
        form: of the cycle noise.
        own: ln step up, ln step down, upper and lower bound of each device, ``(devices, 4)``.
        shape: of the family.
        cycle: cycle noise in the model's units.
        write: write noise in weights.
        covariance: of ``own`` with the shape held, ``(devices, 4, 4)``.
        shape_covariance: of the shape.
        noise_errors: standard errors of ``cycle`` and ``write``; half the largest credible one where none is significant.
        reads: what was fitted.
        filtered: what the filter makes of it.
        logarithm: log-likelihood of the reads in siemens.
    """

    family: Family
    form: str
    own: Values
    shape: Values
    cycle: float
    write: float
    reads: Reads
    covariance: Values
    shape_covariance: Values
    noise_errors: tuple[float, float]
    filtered: Filtered
    logarithm: float

    @property
    def device(self) -> PulsedDevice:
        return _device(self.family, self.shape, self.own, self.form)

    @property
    def table(self) -> LawTable:
        return LawTable(self.device, steps_and_bounds(self.own))

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


def steps_and_bounds(own: Values) -> Values:
    """Steps themselves instead of their logarithms."""
    return np.concatenate((np.exp(own[..., :2]), own[..., 2:]), axis=-1)


def fit(model: str, traces: Sequence[Trace]) -> Estimate:
    """The best fit of a model to traces, over its branches and both forms of cycle noise.

    Raises:
        InputError: a model that cannot be fitted.
    """
    if model not in FAMILIES:
        raise InputError(f"unknown model {model!r}; known: {', '.join(FAMILIES)}")
    first = [_rounds(_start(family, traces), traces, 2) for family in FAMILIES[model]]
    best = max(first, key=lambda estimate: estimate.logarithm)
    other = _with_noise(replace(best, form="additive"), *_WIDE)
    best = max(best, other, key=lambda estimate: estimate.logarithm)
    return _with_errors(_rounds(best, traces, _ROUNDS))


def _start(family: Family, traces: Sequence[Trace]) -> Estimate:
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
    own = np.clip(own, _OWN_LOWEST, _OWN_HIGHEST)
    both = reads.there[1:] & reads.there[:-1] & (reads.rising[1:] == reads.rising[:-1])
    rest = (increments - np.where(reads.rising == 1, steps[0], -steps[1])) * reads.there
    total = (rest**2).sum() / reads.number
    write = max(-(rest[1:] * rest[:-1] * both).sum() / max(both.sum(), 1), 1e-3 * total)
    cycle = np.sqrt(max(total - 2 * write, 1e-2 * total)) / np.mean(steps)
    shape, nothing = np.array(family.start), np.zeros(0)
    return Estimate(
        family,
        "multiplicative",
        own,
        shape,
        float(cycle),
        float(np.sqrt(write)),
        reads,
        nothing,
        nothing,
        (0.0, 0.0),
        _NONE,
        0.0,
    )


_NONE = Filtered(*(np.zeros(0) for _ in range(5)))


def _rounds(estimate: Estimate, traces: Sequence[Trace], number: int) -> Estimate:
    """At most so many rounds, fewer when the likelihood stays as it is."""
    for _ in range(number):
        last = estimate.logarithm
        search = _NARROW if last else _WIDE
        estimate = _with_noise(_with_law(_scaled_anew(estimate, traces)), *search)
        if last and abs(estimate.logarithm - last) < _SETTLED:
            break
    return estimate


def _scaled_anew(estimate: Estimate, traces: Sequence[Trace]) -> Estimate:
    """With the devices' mean bounds at the weights 1 and -1; steps at weight 0 are left for the next fit to find."""
    reads, own = estimate.reads, estimate.own.copy()
    high, low = (reads.centre + reads.half * float(np.median(own[:, column])) for column in (2, 3))
    new = Reads.of(list(traces), low, high)
    ratio = reads.half / new.half
    own[:, :2] += np.log(ratio)
    own[:, 2:] = (own[:, 2:] * reads.half + reads.centre - new.centre) / new.half
    own = np.clip(own, _OWN_LOWEST, _OWN_HIGHEST)
    return replace(estimate, reads=new, own=own, write=estimate.write * ratio)


def _device(family: Family, shape: Values, own: Values, form: str) -> PulsedDevice:
    return family.device(shape, float(np.exp(own[:, :2]).mean()), form)


def _with_law(estimate: Estimate) -> Estimate:
    """Steps, bounds and shape by least squares, with the filter's gains held."""
    held = follow(estimate.table, estimate.reads, estimate.cycle, estimate.write)
    problem = _Problem(estimate, held)
    start = problem.joined(estimate.own, estimate.shape)
    margin = 1e-6 * (problem.highest - problem.lowest)
    found = least_squares(
        problem.residuals,
        np.clip(start, problem.lowest + margin, problem.highest - margin),
        problem.jacobian,
        bounds=(problem.lowest, problem.highest),
        x_scale="jac",
        max_nfev=6,
        xtol=1e-5,
        ftol=1e-5,
        tr_solver="lsmr",
    )
    own, shape = problem.parted(found.x)
    return replace(estimate, own=own, shape=shape)


class _Problem:
    """Residuals of all reads and of what was known before, and their derivatives, as functions of all unknowns."""

    def __init__(self, estimate: Estimate, held: Filtered) -> None:
        self.estimate, self.held = estimate, held
        devices, family = len(estimate.own), estimate.family
        self.lowest, self.highest = (
            np.concatenate((np.tile(own, devices), shape))
            for own, shape in ((_OWN_LOWEST, family.lowest), (_OWN_HIGHEST, family.highest))
        )
        self.expected = self.joined(estimate.own, np.array(family.start))
        self.spread = self.joined(np.tile(_PRIOR, (devices, 1)), np.full(len(family.start), _SHAPE_PRIOR))

    def joined(self, own: Values, shape: Values) -> Values:
        return np.concatenate((own.ravel(), shape))

    def parted(self, unknowns: Values) -> tuple[Values, Values]:
        split = self.estimate.own.size
        return unknowns[:split].reshape(-1, 4), unknowns[split:]

    def residuals(self, unknowns: Values) -> Values:
        own, shape = self.parted(unknowns)
        prior = (unknowns - self.expected) / self.spread
        return np.concatenate((self._surprises(own[None], shape)[0].ravel(), prior))

    def jacobian(self, unknowns: Values) -> csr_matrix:
        """By differences; those of a device's own numbers for all devices at once, as no device depends on another."""
        own, shape = self.parted(unknowns)
        variants = own + _DIFFERENCE * np.eye(4)[:, None, :]
        at = self._surprises(np.concatenate((own[None], variants)), shape)
        of_own = (at[1:] - at[0]) / _DIFFERENCE
        of_shape = [
            (self._surprises(own[None], self._moved(shape, place, step))[0] - at[0]) / step
            for place, step in enumerate(self._differences(shape))
        ]
        return self._sparse(of_own, of_shape)

    def _differences(self, shape: Values) -> list[float]:
        """Steps that stay within the range."""
        highest = self.estimate.family.highest
        return [
            _DIFFERENCE if value + _DIFFERENCE < most else -_DIFFERENCE
            for value, most in zip(shape, highest, strict=True)
        ]

    @staticmethod
    def _moved(shape: Values, place: int, step: float) -> Values:
        moved = shape.copy()
        moved[place] += step
        return moved

    def _surprises(self, own: Values, shape: Values) -> Values:
        """Of variants ``(variants, devices, 4)`` of the devices' numbers, ``(variants, pulses, devices)``."""
        estimate = self.estimate
        device = _device(estimate.family, shape, own[0], estimate.form)
        table = LawTable(device, steps_and_bounds(own.reshape(-1, 4)))
        return surprises(table, estimate.reads, self.held, len(own))

    def _sparse(self, of_own: Values, of_shape: list[Values]) -> csr_matrix:
        _, pulses, devices = of_own.shape
        columns = 4 * np.arange(devices)[None, :, None] + np.arange(4)
        columns = np.broadcast_to(columns, (pulses, devices, 4)).reshape(-1, 4)
        shared = np.broadcast_to(4 * devices + np.arange(len(of_shape)), (len(columns), len(of_shape)))
        values = np.moveaxis(np.concatenate((of_own, np.array(of_shape).reshape(-1, pulses, devices))), 0, -1)
        width, unknowns = 4 + len(of_shape), 4 * devices + len(of_shape)
        rows = np.arange(len(columns) + 1) * width
        data = (values.ravel(), np.concatenate((columns, shared), axis=1).ravel(), rows)
        prior = np.arange(unknowns)
        of_prior = csr_matrix((1 / self.spread, (prior, prior)))
        return csr_matrix(vstack((csr_matrix(data, (len(columns), unknowns)), of_prior)))


def _with_noise(estimate: Estimate, reach: float, zooms: int) -> Estimate:
    """The most likely noises, by a search on a grid of e^``reach`` either way that is halved around its best point."""
    table, reads, step = estimate.table, estimate.reads, float(np.exp(estimate.own[:, :2]).mean())
    centre = np.log((estimate.cycle, estimate.write / step))
    offsets = np.linspace(-1.0, 1.0, _CANDIDATES)
    grid = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    best = -np.inf
    for _ in range(zooms):
        candidates = np.clip(centre + reach * grid, np.log(_LEAST_NOISE), np.log(_MOST_NOISE))
        found = likelihood(table, reads, *np.exp(candidates.T) * np.array([[1.0], [step]]))
        best, centre, reach = float(found.max()), candidates[found.argmax()], reach / 2
    cycle, write = np.exp(centre)
    logarithm = best - reads.number * np.log(reads.half)
    return replace(estimate, cycle=float(cycle), write=float(write * step), logarithm=float(logarithm))


def _with_errors(estimate: Estimate) -> Estimate:
    """With covariances, and what the filter says."""
    estimate = _with_noise_errors(estimate)
    held = follow(estimate.table, estimate.reads, estimate.cycle, estimate.write)
    problem = _Problem(estimate, held)
    jacobian = problem.jacobian(problem.joined(estimate.own, estimate.shape))
    information = (jacobian.T @ jacobian).toarray()
    split, devices = estimate.own.size, len(estimate.own)
    blocks = [np.linalg.inv(information[4 * d : 4 * d + 4, 4 * d : 4 * d + 4]) for d in range(devices)]
    shape_covariance = np.linalg.inv(information)[split:, split:]
    return replace(estimate, covariance=np.stack(blocks), shape_covariance=shape_covariance, filtered=held)


def _with_noise_errors(estimate: Estimate) -> Estimate:
    """Standard errors of both noises from the curvature of the likelihood; a noise that improves it little is none."""
    by, noises = 0.1, np.array((estimate.cycle, estimate.write))
    ways = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)])
    candidates = np.concatenate((noises * np.exp(by * ways), noises * ((0, 1), (1, 0))))
    found = likelihood(estimate.table, estimate.reads, *candidates.T)
    around, without = found[:9].reshape(3, 3), found[9:]
    none = without > around[1, 1] - _WORTH
    mixed = 0.0 if none.any() else (around[2, 2] - around[2, 0] - around[0, 2] + around[0, 0]) / 4
    of_cycle, of_write = (line[2] - 2 * line[1] + line[0] for line in (around[:, 1], around[1]))
    variances = np.diag(np.linalg.pinv(np.array(((of_cycle, mixed), (mixed, of_write))) / -(by**2)))
    errors = noises * np.sqrt(np.maximum(variances, 0.0))
    cycle, write = np.where(none, 0.0, noises).tolist()
    estimate = replace(estimate, cycle=cycle, write=write)
    of_cycle, of_write = (
        _largest_credible(estimate, place) / 2 if absent else error
        for place, (absent, error) in enumerate(zip(none.tolist(), errors.tolist(), strict=True))
    )
    return replace(estimate, noise_errors=(of_cycle, of_write))


def _largest_credible(estimate: Estimate, place: int) -> float:
    """The largest noise (0: cycle, 1: write) that costs no more likelihood than one that is taken for none."""
    step = float(np.exp(estimate.own[:, :2]).mean())
    candidates = np.tile((estimate.cycle, estimate.write), (60, 1))
    candidates[:, place] = np.geomspace(_LEAST_NOISE, 10.0, 60) * (1.0, step)[place]
    found = likelihood(estimate.table, estimate.reads, *candidates.T)
    return float(candidates[found > found.max() - _WORTH, place].max())
