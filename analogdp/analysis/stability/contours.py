"""Zeros of an analytic function in a rectangle: their number by the argument principle, the rightmost one by Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]
Analytic = Callable[[Complex], tuple[Complex, NDArray[np.float64]]]
"""Phase factors and logarithms of the modulus at many points: of determinants, which may exceed the range of numbers."""

LARGEST_CHANGE = np.pi / 3
"""Of the logarithm between two points of a contour; where it changes more, points are added between them."""
MOST_POINTS = 40_000
POINTS = 100
"""On a side, to begin with; twice as many on vertical ones."""
CLOSEST = 1e-12
"""Of the largest point's modulus: a phase that jumps between points so close together passes a zero."""
FINEST = 1e-4
"""Of the height of a rectangle: its outline's points are so close near the real axis."""
NEWTON_STEPS, POLISHED = 50, 1e-6
"""At most, and what the last one may be as a share of the precision."""
CLEAR = 1e-3
"""Of the precision: how far to the right of a zero there must be no other."""
DIVIDED = 0.48, 0.41
"""Where brackets are divided, the second if a zero lies at the first: they lie at round numbers more often than beside them."""
FINER, ROUNDS = 30, 4
"""By how much a bracket is narrowed where another zero was missed, and how often."""
AT_ONCE = 4096
"""Points at which a function is evaluated."""


@dataclass(frozen=True)
class Rectangle:
    """Of the complex plane, the real part from ``left`` to ``right`` and the imaginary one from ``low`` to ``high``.

    Attributes:
        spacing: largest distance between two points of its outline to begin with: phases that turn further than that are missed.
    """

    left: float
    right: float
    low: float
    high: float
    spacing: float = np.inf

    def heights(self) -> NDArray[np.float64]:
        """Along a vertical side, with more points near the real axis, where poles are close to the left side."""
        finest = FINEST * (self.high - self.low)
        low, high = np.arcsinh(self.low / finest), np.arcsinh(self.high / finest)
        close = finest * np.sinh(np.linspace(low, high, 2 * POINTS))
        even = np.linspace(self.low, self.high, self._points(self.high - self.low))
        return np.unique(np.concatenate([[self.low, self.high], close[1:-1], even[1:-1]]))

    def contour(self) -> Complex:
        """Its outline, anticlockwise, closed."""
        heights = self.heights()
        widths = np.linspace(self.left, self.right, max(POINTS, self._points(self.right - self.left)))
        sides = [widths + 1j * self.low, self.right + 1j * heights, widths[::-1] + 1j * self.high]
        return np.concatenate([*(side[:-1] for side in sides), self.left + 1j * heights[::-1]])

    def _points(self, length: float) -> int:
        """So many that they are close enough, or more than will be looked at."""
        return 2 + int(min(length / self.spacing, MOST_POINTS))


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
    phases, logarithms = _values(function, points)
    fresh = np.arange(len(points) - 1)
    # Half of every interval is looked at once, as a phase that turns all the way round looks as if it did not turn.
    while len(fresh) and len(points) + len(fresh) <= MOST_POINTS:
        middles = (points[fresh] + points[fresh + 1]) / 2
        turned, sizes = _values(function, middles)
        points, phases = np.insert(points, fresh + 1, middles), np.insert(phases, fresh + 1, turned)
        logarithms = np.insert(logarithms, fresh + 1, sizes)
        # Where the modulus does not change much, neither does the phase: next to two zeros at once it may turn in vain.
        with np.errstate(invalid="ignore"):
            fresh = np.flatnonzero(np.hypot(np.diff(logarithms), _turns(phases)) > LARGEST_CHANGE)
        if (np.abs(points[fresh + 1] - points[fresh]) < CLOSEST * np.abs(points).max()).any():
            break
    turns = _turns(phases)
    # A zero on the outline itself has no phase.
    defined = bool(np.isfinite(turns).all())
    return Count(round(float(np.nansum(turns)) / (2 * np.pi)), defined and not len(fresh))


def _values(function: Analytic, points: Complex) -> tuple[Complex, NDArray[np.float64]]:
    parts = [function(points[start : start + AT_ONCE]) for start in range(0, len(points), AT_ONCE)]
    return np.concatenate([phase for phase, _ in parts]), np.concatenate([logarithm for _, logarithm in parts])


def _turns(phases: Complex) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.angle(phases[1:] / phases[:-1]), dtype=np.float64)


def rightmost_zero(function: Analytic, region: Rectangle, precision: float) -> Root:
    """The zero with the largest real part: bracketed by counting, polished by Newton's method, and none counted beyond it.

    Args:
        function: without poles in the region.
        region: where to look.
        precision: of the real part, to which it is bracketed before it is polished; less, if zeros lie closer together.
    """
    whole = count_zeros(function, region)
    if whole.zeros <= 0:
        return Root(None, whole.certain and whole.zeros == 0)
    certain, best = whole.certain, None
    for _ in range(ROUNDS):
        bracket, sure = _bracket(function, region, precision)
        certain &= sure
        zeros = _polished(function, bracket, precision)
        if len(zeros):
            best = max(
                map(complex, zeros), key=lambda zero: (round(zero.real / (10 * POLISHED * precision)), zero.imag)
            )
            beyond = count_zeros(function, replace(region, left=best.real + CLEAR * precision))
            if beyond.zeros == 0:
                return Root(best, certain and beyond.certain)
            region = replace(region, left=best.real + CLEAR * precision)
        precision /= FINER
    return Root(complex((bracket.left + bracket.right) / 2, 0) if best is None else best, False)


def _bracket(function: Analytic, region: Rectangle, precision: float) -> tuple[Rectangle, bool]:
    """The strip as wide as the precision that holds the rightmost zero, and whether it does for sure."""
    left, right, certain = region.left, region.right, True
    while right - left > precision:
        for share in DIVIDED:
            middle = left + share * (right - left)
            count = count_zeros(function, replace(region, left=middle))
            if count.certain:
                break
        certain &= count.certain
        left, right = (middle, right) if count.zeros > 0 else (left, middle)
    return replace(region, left=left, right=right), certain


def _newton_steps(function: Analytic, points: Complex, widths: NDArray[np.float64]) -> Complex:
    """How far away the zeros are by the slope there, from differences of a width."""
    sides = [_values(function, points + turn * widths) for turn in (0, 1, -1)]
    top = np.max([logarithm for _, logarithm in sides], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, ahead, behind = (phase * np.exp(logarithm - top) for phase, logarithm in sides)
        step: Complex = -middle * 2 * widths / (ahead - behind)
    return np.where(np.isfinite(step), step, np.inf)


def _polished(function: Analytic, strip: Rectangle, precision: float) -> Complex:
    """Zeros in a strip as wide as the precision, from where they seem nearest on its left side."""
    heights = np.linspace(strip.low, strip.high, max(40 * POINTS, 2 * len(strip.heights())))
    line = np.asarray(strip.left + 1j * np.union1d(heights, strip.heights()), dtype=np.complex128)
    # The line passes within the precision of the zeros, where the function is small beside what it is around there.
    sizes = np.abs(_newton_steps(function, line, np.full(len(line), precision / 10)))
    padded = np.concatenate([[np.inf], sizes, [np.inf]])
    points = line[(sizes <= padded[:-2]) & (sizes <= padded[2:]) & np.isfinite(sizes)]
    widths, steps = np.full(len(points), precision / 10), np.full(len(points), np.inf, complex)
    for _ in range(NEWTON_STEPS):
        going = np.abs(steps) > POLISHED * precision
        if not going.any():
            break
        own = _newton_steps(function, points[going], widths[going])
        # One that loses its way is lost, and comes back no more.
        own = np.where(np.abs(own) > 100 * precision, np.nan, own)
        steps[going], points[going] = own, points[going] + own
        widths[going] = np.clip(np.abs(own), 1e-7 * precision, widths[going])
    near = (np.abs(steps) <= POLISHED * precision) & (np.abs(points.real - strip.left) < 2 * precision)
    inside = (points.imag >= strip.low) & (points.imag <= strip.high)
    return np.asarray(points[near & inside], dtype=np.complex128)
