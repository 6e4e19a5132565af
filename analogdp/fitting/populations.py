"""From the values of single devices, each with an error of its own, to a population: mean, spread, and their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2
from scipy.stats import t as student

from analogdp.fitting.estimation import Estimate
from analogdp.fitting.regression import steps_and_bounds
from analogdp.fitting.traces import Values

NORMAL_95 = 1.96
_FEWEST_SEEN = 2
_SEEN = 0.1
"""Error variance of a bound, in weights squared, above which hardly anything but where the search began tells of it."""


@dataclass(frozen=True)
class Figure:
    """A number with its standard error."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """Of 95 % confidence, for normal errors."""
        return self.value - NORMAL_95 * self.error, self.value + NORMAL_95 * self.error

    def over(self, scale: float) -> Figure:
        return Figure(self.value / scale, self.error / abs(scale))


def mean_and_spread(values: Values, variances: Values) -> tuple[Figure, Figure]:
    """Mean and standard deviation of a population of which each value is known with its own error variance.

    The spread t solves sum (x - mean)^2 / (t^2 + v) = n - 1 with mean = sum x / (t^2 + v) / sum 1 / (t^2 + v), and is 0
    where errors alone explain the differences. Paule & Mandel, J. Res. Natl. Bur. Stand. 87, 377 (1982). The spread of
    a single device is not known: 0, with an infinite error. Errors are widened for few devices: 1.96 of them reach as far as
    Student's distribution of the mean, and as the upper end of the chi-squared distribution of the spread.
    """

    def weighted(square: float) -> tuple[Values, float]:
        weights = 1.0 / (square + variances)
        return weights, float((weights * values).sum() / weights.sum())

    def excess(square: float) -> float:
        weights, mean = weighted(square)
        return float((weights * (values - mean) ** 2).sum()) - (len(values) - 1)

    variances = np.maximum(variances, 1e-24)
    if len(values) == 1:
        return Figure(float(values[0]), math.sqrt(variances[0])), Figure(0.0, math.inf)
    most = float(values.var(ddof=1) * len(values)) + 1e-24
    square = float(brentq(excess, 0.0, most, xtol=1e-18)) if excess(0.0) > 0 else 0.0
    weights, mean = weighted(square)
    spread = math.sqrt(square)
    # Var[t^2] = 2 / sum w^2 for normal values; a spread near 0 is known as the root of that of its square.
    error_of_square = math.sqrt(2.0 / float((weights**2).sum()) * len(values) / (len(values) - 1))
    error = error_of_square / (2 * spread) if square > error_of_square else math.sqrt(error_of_square)
    freedom = len(values) - 1
    widened = float(student.ppf(0.975, freedom)) / NORMAL_95
    relative = (math.sqrt(freedom / float(chi2.ppf(0.025, freedom))) - 1) / NORMAL_95
    return Figure(mean, widened / math.sqrt(float(weights.sum()))), Figure(spread, max(error, relative * spread))


@dataclass(frozen=True)
class Population:
    """What a card says of the devices that were fitted.

    Attributes:
        low, high: mean bounds in siemens.
        figures: fitted parameters of the card by name, with their errors; weights are normalised.
        settings: the card's ``parameters``.
    """

    low: Figure
    high: Figure
    figures: dict[str, Figure]
    settings: dict[str, Any]


def population(estimate: Estimate) -> Population:
    """The population that the devices of an estimate are a sample of.

    Steps follow the card's law: up = (min(u, 0) + g + r) step, down = (-max(u, 0) + g - r) step with the asymmetry u, the
    common spread of g and the opposite one of r; so half their sum spreads as g and half their difference as r.
    """
    names = ("up", "down", "upper", "lower", "common", "opposite")
    values, variances = _of_devices(estimate)
    there = seen(estimate)
    found = {
        name: mean_and_spread(own[there[name]], errors[there[name]]) if name in there else mean_and_spread(own, errors)
        for name, own, errors in zip(names, values, variances, strict=True)
    }
    up, down, upper, lower = (found[name][0] for name in names[:4])
    step, smaller = (up, down) if up.value >= down.value else (down, up)
    asymmetry = math.copysign(1 - smaller.value / step.value, up.value - down.value)
    reads = estimate.reads
    low, high = (Figure(reads.centre + reads.half * end.value, reads.half * end.error) for end in (lower, upper))
    if low.value < 0:
        low, lower = Figure(0.0, low.error), Figure(-reads.centre / reads.half, lower.error)
    figures = {
        "step": step,
        "asymmetry": Figure(asymmetry, 2 * found["opposite"][0].error / step.value),
        "upper": upper,
        "lower": lower,
        "step_spread": found["common"][1].over(step.value),
        "asymmetry_spread": found["opposite"][1].over(step.value),
        "upper_spread": found["upper"][1].over(upper.value),
        "lower_spread": found["lower"][1].over(-lower.value),
        "cycle_noise": Figure(estimate.cycle, estimate.noise_errors[0]),
        "write_noise": _write_noise(estimate, step),
    }
    shape = estimate.family.fields(estimate.shape, step.value)
    if "pulses" in shape:
        range_in_steps = (upper.value - lower.value) / step.value
        figures["pulses"] = Figure(range_in_steps, range_in_steps * step.error / step.value)
        del figures["step"]
    figures |= _shape_figures(estimate, step.value)
    settings = shape | {name: figure.value for name, figure in figures.items() if "[" not in name}
    return Population(low, high, figures, {name: _rounded(value) for name, value in settings.items()} | _form(estimate))


def seen(estimate: Estimate) -> dict[str, NDArray[np.bool_]]:
    """Which devices' bounds their reads tell of, by bound; where too few do, all count, with their large errors."""
    everyone = np.ones(len(estimate.own), dtype=bool)
    found = {}
    for name, column in (("upper", 2), ("lower", 3)):
        told = estimate.covariance[:, column, column] < _SEEN
        found[name] = told if told.sum() >= _FEWEST_SEEN else everyone
    return found


def _write_noise(estimate: Estimate, step: Figure) -> Figure:
    """In mean steps, whose error it shares."""
    write = Figure(estimate.write, estimate.noise_errors[1]).over(step.value)
    return Figure(write.value, math.hypot(write.error, write.value * step.error / step.value))


def _form(estimate: Estimate) -> dict[str, str]:
    return {"cycle_noise_form": estimate.form}


def _of_devices(estimate: Estimate) -> tuple[Values, Values]:
    """Steps, bounds, and half the sum and difference of the steps: values and error variances, each ``(6, devices)``."""
    own = steps_and_bounds(estimate.own)
    steps = own[:, :2]
    scale = np.concatenate((steps, np.ones_like(steps)), axis=1)
    covariance = estimate.covariance * scale[:, :, None] * scale[:, None, :]
    mix = np.vstack((np.eye(4), (0.5, 0.5, 0, 0), (0.5, -0.5, 0, 0)))
    return mix @ own.T, np.einsum("ij,djk,ik->id", mix, covariance, mix)


def _shape_figures(estimate: Estimate, step: float) -> dict[str, Figure]:
    """The model's own parameters, with errors carried over from those of the shape."""

    def flat(shape: Values) -> dict[str, float]:
        values: dict[str, float] = {}
        for name, value in estimate.family.fields(shape, step).items():
            if isinstance(value, tuple):
                values |= {f"{name}[{place}]": node for place, node in enumerate(value)}
            elif name not in ("step", "pulses", "scale", "offset"):
                values[name] = value
        return values

    by, here = 1e-5, flat(estimate.shape)
    moved = [flat(estimate.shape + by * way) for way in np.eye(len(estimate.shape))]
    found = {}
    for name, value in here.items():
        gradient = np.array([(other[name] - value) / by for other in moved])
        found[name] = Figure(value, math.sqrt(max(float(gradient @ estimate.shape_covariance @ gradient), 0.0)))
    return found


def _rounded(value: Any) -> Any:
    """Five digits, of lists too."""
    return [_rounded(part) for part in value] if isinstance(value, tuple) else float(f"{value:.5g}")
