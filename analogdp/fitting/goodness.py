"""How well a family of laws describes traces, in numbers that can be compared between families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analogdp.errors import InputError
from analogdp.fitting.estimation import Estimate, fit
from analogdp.fitting.families import FAMILIES
from analogdp.fitting.filtering import course
from analogdp.fitting.populations import Population, population
from analogdp.fitting.traces import Trace, Values

_BINS = 20
_FEWEST_IN_BIN = 5
_TOLD_APART = 2.0
"""Difference in BIC below which nothing speaks for either model. Kass & Raftery, J. Am. Stat. Assoc. 90, 773 (1995)."""


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes:
        model: its name.
        estimate: of the devices.
        population: that they are a sample of.
        step_score: R^2 of the mean size of a step, in bins of the device's range and direction.
        course_score: R^2 of the mean trajectory from the first read on, mean over devices.
        surprise: mean square of the standardised one-pulse prediction errors; 1 for a good model of the noise.
        correlation: of successive ones; 0 for a good model.
    """

    model: str
    estimate: Estimate
    population: Population
    step_score: float
    course_score: float
    surprise: float
    correlation: float


def compare(
    models: Sequence[str], traces: Sequence[Trace], started: Callable[[str], object] = lambda model: None
) -> list[Fit]:
    """All models fitted to the same traces, the most credible (lowest BIC) first; of those within 2 of it the simplest.

    Args:
        models: their names.
        traces: of all devices.
        started: called with each model's name before it is fitted.

    Raises:
        InputError: traces that none of the models can describe.
    """
    fits, reasons = [], []
    for model in models:
        started(model)
        try:
            fits.append(fitted(model, traces))
        except (ValueError, np.linalg.LinAlgError, ArithmeticError) as error:
            reasons.append(f"{model} ({error})")
    if not fits:
        raise InputError(
            f"no model can be fitted: {'; '.join(reasons)}; give more sweeps, from end to end of the range"
        )
    fits.sort(key=lambda each: each.estimate.bayes)
    equal = [each for each in fits if each.estimate.bayes < fits[0].estimate.bayes + _TOLD_APART]
    first = min(equal, key=lambda each: list(FAMILIES).index(each.model))
    return [first, *(each for each in fits if each is not first)]


def fitted(model: str, traces: Sequence[Trace]) -> Fit:
    """One model fitted to traces."""
    estimate = fit(model, traces)
    standard = estimate.filtered.standardised
    there = estimate.reads.there
    both = there[1:] & there[:-1]
    mean_square = float((standard[there] ** 2).mean())
    correlation = float((standard[1:] * standard[:-1] * both).sum() / max(both.sum(), 1) / mean_square)
    return Fit(
        model,
        estimate,
        population(estimate),
        _step_score(estimate),
        _course_score(estimate),
        mean_square,
        correlation,
    )


def mean_steps(estimate: Estimate) -> tuple[Values, Values, Values, Values, Values]:
    """Mean sizes of steps by direction and by where in its own range a device was, over all devices.

    Returns:
        The bins' centres in shares of the range ``(bins,)``; and measured and modelled mean size in weights, the standard error
        of the measured one, and the number of pulses, each ``(2, bins)``, down first; NaN where there were fewer than 5.
    """
    filtered, reads, own = estimate.filtered, estimate.reads, estimate.own
    share = (filtered.before - own[:, 3]) / (own[:, 2] - own[:, 3])
    sign = 2.0 * reads.rising - 1.0
    measured = sign * (reads.weights[1:] - filtered.before)
    modelled = measured - sign * filtered.surprise
    place = np.clip((share * _BINS).astype(int), 0, _BINS - 1) + _BINS * reads.rising
    chosen = place[reads.there]
    number = np.bincount(chosen, minlength=2 * _BINS).astype(float)
    enough = np.where(number < _FEWEST_IN_BIN, np.nan, number)

    def mean(values: Values) -> Values:
        return np.asarray(np.bincount(chosen, values[reads.there], 2 * _BINS) / enough)

    average = mean(measured)
    error = np.sqrt(np.maximum(mean(measured**2) - average**2, 0.0) / enough)
    centres = (np.arange(_BINS) + 0.5) / _BINS
    first, second, third, fourth = (values.reshape(2, _BINS) for values in (average, mean(modelled), error, number))
    return centres, first, second, third, fourth


def _step_score(estimate: Estimate) -> float:
    _, measured, modelled, _, number = mean_steps(estimate)
    there = np.isfinite(measured)
    measured, modelled, number = measured[there], modelled[there], number[there]
    total = float((number * (measured - np.average(measured, weights=number)) ** 2).sum())
    return 1 - float((number * (measured - modelled) ** 2).sum()) / total if total else 0.0


def _course_score(estimate: Estimate) -> float:
    reads = estimate.reads
    there = np.vstack((np.ones_like(reads.there[:1]), reads.there))
    mean = (reads.weights * there).sum(axis=0) / there.sum(axis=0)
    missed = ((reads.weights - course(estimate.table, reads)) ** 2 * there).sum(axis=0)
    total = ((reads.weights - mean) ** 2 * there).sum(axis=0)
    return float((1 - missed / total).mean())
