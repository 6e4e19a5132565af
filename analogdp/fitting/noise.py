"""The two noises of traces from the likelihood of the filter: the most likely ones, and how well they are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analogdp.fitting.filtering import Reads, follow, likelihood
from analogdp.fitting.regression import Law, Regression
from analogdp.fitting.traces import Values

LEAST, MOST = 1e-3, 100.0
"""Of a noise in steps."""
WIDE, NARROW = 1.5, 0.3
"""Reach of a search in logarithms, where little is known of the noises and where they are nearly known."""
_FINEST = 0.01
_SHRINKS = 0.35
_MOST_MOVES = 25
_WORTH = 2.0
"""Log-likelihood by which a noise must improve on none."""

_AROUND = np.array([(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)])
_FURTHEST = 1.5
_WITHIN = np.stack(np.meshgrid(*(np.linspace(-_FURTHEST, _FURTHEST, 61),) * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def most_likely(
    law: Law, reads: Reads, noises: Values, reach: float, lean: Values | None = None
) -> tuple[Values, float]:
    """Cycle noise (in the model's units) and write noise (in weights) of the highest likelihood, and its logarithm.

    Args:
        law: of the devices.
        reads: of the devices.
        noises: where the search starts.
        reach: of its first look around, in logarithms.
        lean: of what is added to the logarithm of the likelihood per logarithm of each noise; None: nothing.
    """
    table, scale = law.table, np.array((1.0, law.step))
    start = np.log(noises / scale)

    def logarithm(points: Values) -> Values:
        found = likelihood(table, reads, *(np.exp(points) * scale).T)
        return found if lean is None else found + (points - start) @ lean

    point, value = _climb(logarithm, start, reach)
    return np.exp(point) * scale, value


def restricted(law: Law, reads: Reads, noises: Values) -> Values:
    """Noises that are not too small for the numbers that were fitted: of the highest restricted likelihood.

    That of the reads less half the logarithm of the determinant of the fitted numbers' information. Patterson & Thompson,
    Biometrika 58, 545 (1971). The second term hardly bends, and counts as a line in the noises' logarithms.
    """
    by = 0.1

    def term(way: Values) -> float:
        held = follow(law.table, reads, *(noises * np.exp(by * way)).tolist())
        return -float(np.linalg.slogdet(Regression(law, reads, held).information())[1]) / 2

    lean = np.array([(term(way) - term(-way)) / (2 * by) for way in np.eye(2)])
    return most_likely(law, reads, noises, NARROW, lean)[0]


def with_errors(law: Law, reads: Reads, noises: Values) -> tuple[Values, Values]:
    """The noises, 0 where one improves the likelihood little, and their standard errors from its curvature.

    The error of a noise that is none is half the largest one that the reads allow.
    """
    by = 0.1
    candidates = np.concatenate((noises * np.exp(by * _AROUND), noises * ((0, 1), (1, 0))))
    found = likelihood(law.table, reads, *candidates.T)
    around, without = found[:9].reshape(3, 3), found[9:]
    none = without > around[1, 1] - _WORTH
    mixed = 0.0 if none.any() else (around[2, 2] - around[2, 0] - around[0, 2] + around[0, 0]) / 4
    of_cycle, of_write = (line[2] - 2 * line[1] + line[0] for line in (around[:, 1], around[1]))
    variances = np.diag(np.linalg.pinv(np.array(((of_cycle, mixed), (mixed, of_write))) / -(by**2)))
    errors = noises * np.sqrt(np.maximum(variances, 0.0))
    noises = np.where(none, 0.0, noises)
    largest = [_largest_credible(law, reads, noises, place) if none[place] else 0.0 for place in (0, 1)]
    return noises, np.where(none, np.array(largest) / 2, errors)


def _climb(height: Callable[[Values], Values], point: Values, reach: float) -> tuple[Values, float]:
    """The highest point of a smooth surface: on the parabola through nine points, ever closer together."""
    through = np.linalg.pinv(_parabola(_AROUND))
    surface = _parabola(_WITHIN)
    best, highest = point, -np.inf
    for _ in range(_MOST_MOVES):
        points = point + reach * _AROUND
        heights = height(points)
        top = int(heights.argmax())
        fell = heights[top] <= highest
        if not fell:
            best, highest = points[top], float(heights[top])
        wanted = best if fell else point + reach * _WITHIN[(surface @ (through @ heights)).argmax()]
        last, point = point, np.clip(wanted, np.log(LEAST), np.log(MOST))
        if fell or np.abs(point - last).max() < 0.99 * _FURTHEST * reach:
            reach *= _SHRINKS
        if reach < _FINEST:
            break
    return best, highest


def _parabola(points: Values) -> Values:
    """Terms of a parabola of two variables."""
    a, b = points.T
    return np.column_stack((np.ones_like(a), a, b, a * a, a * b, b * b))


def _largest_credible(law: Law, reads: Reads, noises: Values, place: int) -> float:
    """The largest noise (0: cycle, 1: write) that costs no more likelihood than one that is taken for none."""
    candidates = np.tile(noises, (60, 1))
    candidates[:, place] = np.geomspace(LEAST, 10.0, 60) * (1.0, law.step)[place]
    found = likelihood(law.table, reads, *candidates.T)
    return float(candidates[found > found.max() - _WORTH, place].max())
