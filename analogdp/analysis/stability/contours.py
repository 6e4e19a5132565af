"""Zeros of an analytic function in a rectangle: their number by the argument principle, the rightmost one by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
Analytic = Callable[[Complex], tuple[Complex, NDArray[np.float64]]]
"""Phase factors and logarithms of the modulus at many points: of determinants, which may exceed the range of numbers."""

LARGEST_TURN = np.pi / 3
"""Of the phase between two points of a contour; where it turns further, points are added between them."""
MOST_POINTS = 40_000
POINTS = 100
"""On a side, to begin with; twice as many on vertical ones."""
CLOSEST = 1e-12
"""Of the largest point's modulus: a phase that jumps between points so close together passes a zero."""
FINEST = 1e-4
"""Of the height of a rectangle: its outline's points are so close near the real axis."""
NEWTON_STEPS = 50
UNEVEN = 0.48
"""Where brackets are divided: zeros lie at round numbers more often than beside them."""


@dataclass(frozen=True)
class Rectangle:
    """Of the complex plane, the real part from ``left`` to ``right`` and the imaginary one from ``low`` to ``high``."""

    left: float
    right: float
    low: float
    high: float

    def contour(self) -> Complex:
        """Its outline, anticlockwise, closed; with more points near the real axis, where poles are close to the left side."""
        finest = FINEST * (self.high - self.low)
        low, high = np.arcsinh(self.low / finest), np.arcsinh(self.high / finest)
        heights = finest * np.sinh(np.linspace(low, high, 2 * POINTS))
        widths = np.linspace(self.left, self.right, POINTS)
        sides = [widths + 1j * self.low, self.right + 1j * heights, widths[::-1] + 1j * self.high]
        return np.concatenate([*(side[:-1] for side in sides), self.left + 1j * heights[::-1]])


@dataclass(frozen=True)
class Count:
    """Zeros within a contour, and whether the phase was followed all the way round it."""

    zeros: int
    certain: bool


@dataclass(frozen=True)
class Root:
    """The rightmost zero of a rectangle.

    Attributes:
        value: itself, or None if there is none.
        certain: whether the search was complete: the zero has converged and none was counted to the right of it.
    """

    value: complex | None
    certain: bool


def count_zeros(function: Analytic, region: Rectangle) -> Count:
    """How many zeros a function without poles has in a rectangle: how often its phase turns along the outline."""
    points = region.contour()
    phases, _ = function(points)
    turns = _turns(phases)
    fresh = np.arange(len(turns))
    # Half of every interval is looked at once, as a phase that turns all the way round looks as if it did not turn.
    while len(fresh) and len(points) + len(fresh) <= MOST_POINTS:
        middles = (points[fresh] + points[fresh + 1]) / 2
        points, phases = np.insert(points, fresh + 1, middles), np.insert(phases, fresh + 1, function(middles)[0])
        turns = _turns(phases)
        fresh = np.flatnonzero(np.abs(turns) > LARGEST_TURN)
        if (np.abs(points[fresh + 1] - points[fresh]) < CLOSEST * np.abs(points).max()).any():
            break
    # A zero on the outline itself has no phase.
    defined = bool(np.isfinite(turns).all())
    return Count(round(float(np.nansum(turns)) / (2 * np.pi)), defined and not len(fresh))


def _turns(phases: Complex) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.angle(phases[1:] / phases[:-1]), dtype=np.float64)


def rightmost_zero(function: Analytic, region: Rectangle, precision: float) -> Root:
    """The zero with the largest real part: bracketed by counting, polished by Newton's method.

    Args:
        function: without poles in the region.
        region: where to look.
        precision: of the real part, to which it is bracketed before it is polished.
    """
    whole = count_zeros(function, region)
    if whole.zeros <= 0:
        return Root(None, whole.certain)
    left, right, certain = region.left, region.right, whole.certain
    while right - left > precision:
        middle = left + UNEVEN * (right - left)
        count = count_zeros(function, Rectangle(middle, region.right, region.low, region.high))
        certain &= count.certain
        left, right = (middle, right) if count.zeros > 0 else (left, middle)
    line = np.asarray(left + 1j * np.linspace(region.low, region.high, 40 * POINTS + 1), dtype=np.complex128)
    # The line passes within the precision of the zero, where the function is small beside what it is around there.
    steps = _newton_steps(function, line, precision / 10)
    starts = line[np.argsort(np.abs(steps))[:8]]
    found = [_polished(function, complex(start), precision) for start in starts]
    good = [zero for zero in found if zero is not None and abs(zero.real - (left + right) / 2) < 2 * precision]
    if not good:
        return Root(complex((left + right) / 2, 0), False)
    value = max(good, key=lambda zero: (round(zero.real / precision, 6), zero.imag))
    beyond = count_zeros(function, Rectangle(value.real + precision, region.right, region.low, region.high))
    return Root(value, certain and beyond.certain and not beyond.zeros)


def _newton_steps(function: Analytic, points: Complex, width: float) -> Complex:
    """How far away the zeros are by the slope there, from differences of a width."""
    sides = [function(points + turn * width) for turn in (0, 1, -1)]
    top = np.max([logarithm for _, logarithm in sides], axis=0)
    middle, ahead, behind = (phase * np.exp(logarithm - top) for phase, logarithm in sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        step: Complex = -middle * 2 * width / (ahead - behind)
    return np.where(np.isfinite(step), step, np.inf)


def _polished(function: Analytic, start: complex, reach: float) -> complex | None:
    """A zero near a start, or None if Newton's method does not come to one."""
    point, width = np.array([start]), reach / 10
    for _ in range(NEWTON_STEPS):
        step = _newton_steps(function, point, width)[0]
        if not np.isfinite(step) or abs(step) > 100 * reach:
            return None
        point = point + step
        width = max(min(width, abs(step)), 1e-7 * reach)
        if abs(step) < 1e-9 * reach:
            return complex(point[0])
    return None
