"""What a report says about one crossbar: distributions over all cells, and maps small enough to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogdp.exports import CrossbarConductances

Values = NDArray[np.float64]

LARGEST_MAP = 256
"""Rows and columns of a map; larger arrays are averaged over blocks."""

BINS = 60
MAPS = ("target", "achieved", "difference", "plus_writes", "minus_writes")


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, for several sets of values on the same edges."""

    edges: Values
    counts: Mapping[str, NDArray[np.int64]]

    @property
    def centres(self) -> Values:
        """Middle of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2


@dataclass(frozen=True)
class CrossbarSummary:
    """One crossbar, reduced.

    Attributes:
        layer: it joins this layer to the next.
        shape: word lines and bit lines.
        grid: rows and columns of tiles.
        tile: word lines and bit lines of the largest tile.
        chips: indices of all its chips.
        scale: weight per siemens.
        low, high: nominal conductance range in siemens.
        card: the device card.
        conductances: of the plus and minus cells of all chips, in siemens; without the minus cells if ``reference`` is.
        reference: conductance of all minus cells in siemens, where they are one and the same fixed reference; else None.
        error: achieved minus target weights.
        agreement: cells by target weight (rows) and achieved weight (columns), both on ``agreement_edges``.
        agreement_edges: as said.
        writes: pulses per cell, plus and minus; cells of a polarity that is never written, fixed references, are left out.
        maps: for each chip shown, arrays over (word lines, bit lines), named as in ``MAPS``.
        block: word lines and bit lines that one element of a map stands for.
        deviation: root mean square of the error.
        written: share of pairs that received any pulse.
        most_writes: pulses of the cell written most often.
        total_writes: pulses of all cells.
    """

    layer: int
    shape: tuple[int, int]
    grid: tuple[int, int]
    tile: tuple[int, int]
    chips: tuple[int, ...]
    scale: float
    low: float
    high: float
    card: Mapping[str, Any]
    conductances: Histogram
    reference: float | None
    error: Histogram
    agreement: NDArray[np.int64]
    agreement_edges: Values
    writes: Histogram
    maps: Mapping[int, Mapping[str, Values]]
    block: tuple[int, int]
    deviation: float
    written: float
    most_writes: int
    total_writes: int

    @property
    def agreement_shade(self) -> Values:
        """Decimal logarithm of ``agreement``, achieved weights as rows; NaN where there is no cell."""
        counts = self.agreement.T.astype(np.float64)
        return np.log10(counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def summarise(crossbar: CrossbarConductances, mapped: int) -> CrossbarSummary:
    """Reduce a crossbar to what a report shows, with maps of the first ``mapped`` chips.

    Distributions are over all chips; values that are not finite are left out of them.
    """
    target, achieved = _double(crossbar.target_weights), _double(crossbar.weights)
    error = achieved - target
    plus, minus = _double(crossbar.plus), _double(crossbar.minus)
    nominal = np.array([crossbar.low, crossbar.high])
    writes = np.stack((crossbar.plus_writes, crossbar.minus_writes))
    written = {name: counts for name, counts in zip(("plus", "minus"), writes, strict=True) if counts.any()}
    reference = float(minus.flat[0]) if np.ptp(minus) == 0 and "minus" not in written else None
    cells = {"plus": plus} if reference is not None else {"plus": plus, "minus": minus}
    edges = _edges(target, achieved)
    block = (-(-crossbar.shape[0] // LARGEST_MAP), -(-crossbar.shape[1] // LARGEST_MAP))
    layers = (target, achieved, error, _double(writes[0]), _double(writes[1]))
    return CrossbarSummary(
        layer=crossbar.layer,
        shape=crossbar.shape,
        grid=crossbar.grid,
        tile=crossbar.tile,
        chips=crossbar.chips,
        scale=crossbar.scale,
        low=crossbar.low,
        high=crossbar.high,
        card=crossbar.card,
        conductances=_histogram(cells, _edges(plus, minus, nominal)),
        reference=reference,
        error=_histogram({"error": error}, _symmetric_edges(error)),
        agreement=np.histogram2d(*_both_finite(target, achieved), bins=(edges, edges))[0].astype(np.int64),
        agreement_edges=edges,
        writes=_histogram(written or {"plus": writes[0]}, _count_edges(int(writes.max()))),
        maps={
            chip: {name: block_average(values[place], block) for name, values in zip(MAPS, layers, strict=True)}
            for place, chip in enumerate(crossbar.chips[:mapped])
        },
        block=block,
        deviation=float(np.sqrt(np.mean(_finite(error) ** 2))) if _finite(error).size else float("nan"),
        written=float(np.mean(writes.any(axis=0))),
        most_writes=int(writes.max()),
        total_writes=int(writes.sum()),
    )


def block_average(values: Values, block: tuple[int, int]) -> Values:
    """Means over blocks of a matrix; blocks at the far edges may be smaller."""
    if block == (1, 1):
        return values
    rows, columns = np.arange(0, values.shape[0], block[0]), np.arange(0, values.shape[1], block[1])
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights, widths = np.diff(rows, append=values.shape[0]), np.diff(columns, append=values.shape[1])
    return np.asarray(sums / np.outer(heights, widths))


def largest(maps: Mapping[int, Mapping[str, Values]], *names: str) -> float:
    """A colour range for maps: the 99.5th percentile of the magnitudes over all chips shown, so that outliers saturate."""
    values = np.concatenate([np.abs(_finite(chip[name])) for chip in maps.values() for name in names])
    return (float(np.percentile(values, 99.5)) if values.size else 0.0) or 1.0


def _double(values: NDArray[Any]) -> Values:
    return values.astype(np.float64)


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    finite: NDArray[Any] = values[np.isfinite(values)]
    return finite


def _both_finite(first: Values, second: Values) -> tuple[Values, Values]:
    both = np.isfinite(first) & np.isfinite(second)
    return first[both], second[both]


def _edges(*arrays: NDArray[Any]) -> Values:
    """Equal bins from the smallest to the largest finite value, widened where that leaves no room for bins."""
    values = np.concatenate([_finite(array).ravel() for array in arrays])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(high) / 2 or 0.5
        low, high = low - margin, high + margin
    edges: Values = np.linspace(low, high, BINS + 1)
    return edges


def _count_edges(most: int) -> Values:
    """Bins of equally many whole numbers each, from 0 to at least ``most``."""
    width = -(-(most + 1) // BINS)
    edges: Values = np.arange(0, most + width + 1, width, dtype=np.float64) - 0.5
    return edges


def _symmetric_edges(values: Values) -> Values:
    finite = _finite(values)
    reach = float(np.abs(finite).max(initial=0)) or 1.0
    edges: Values = np.linspace(-reach, reach, BINS + 1)
    return edges


def _histogram(sets: Mapping[str, NDArray[Any]], edges: Values) -> Histogram:
    return Histogram(edges, {name: np.histogram(_finite(values), edges)[0] for name, values in sets.items()})
