"""Histograms of a report: counts of finite values, on edges that leave room for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BINS = 60


@dataclass(frozen=True)
class Histogram:
    """Counts between edges, for several sets of values on the same edges."""

    edges: Values
    counts: Mapping[str, NDArray[np.int64]]

    @property
    def centres(self) -> Values:
        """Middle of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def most(self) -> int:
        """The largest count."""
        return max(int(counts.max(initial=0)) for counts in self.counts.values())


def histogram(sets: Mapping[str, NDArray[Any]], edges: Values) -> Histogram:
    """Counts of all finite values of each set."""
    return Histogram(edges, {name: np.histogram(finite(values), edges)[0] for name, values in sets.items()})


def finite(values: NDArray[Any]) -> NDArray[Any]:
    """The values that are finite, flat."""
    chosen: NDArray[Any] = values[np.isfinite(values)]
    return chosen


def root_mean_square(values: NDArray[Any]) -> float:
    """Of the finite values; NaN if there is none."""
    chosen = finite(values)
    return float(np.sqrt(np.mean(chosen**2))) if chosen.size else float("nan")


def edges_around(*arrays: NDArray[Any]) -> Values:
    """Equal bins from the smallest to the largest finite value, widened where that leaves no room for bins."""
    values = np.concatenate([finite(array).ravel() for array in arrays])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        margin = abs(high) / 2 or 0.5
        low, high = low - margin, high + margin
    edges: Values = np.linspace(low, high, BINS + 1)
    return edges


def count_edges(most: int) -> Values:
    """Bins of equally many whole numbers each, from 0 to at least ``most``."""
    width = -(-(most + 1) // BINS)
    edges: Values = np.arange(0, most + width + 1, width, dtype=np.float64) - 0.5
    return edges


def symmetric_edges(values: NDArray[Any], bins: int = BINS) -> Values:
    """Equal bins around zero, as far as the finite values reach."""
    reach = float(np.abs(finite(values)).max(initial=0)) or 1.0
    edges: Values = np.linspace(-reach, reach, bins + 1)
    return edges
