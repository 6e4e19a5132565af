"""What a report says about one crossbar: distributions over all cells, and maps small enough to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogdp.exports import CrossbarConductances, LineResistances
from analogdp.reports.histograms import (
    Histogram,
    Values,
    count_edges,
    edges_around,
    finite,
    histogram,
    root_mean_square,
    symmetric_edges,
)
from analogdp.reports.programming import ProgrammingSummary, summarise_programming

LARGEST_MAP = 256
"""Rows and columns of a map; larger arrays are averaged over blocks."""

DEVICES_IN_A_ROW = 4
"""Histograms of single devices side by side."""

MAPS = ("target", "achieved", "difference", "plus_writes", "minus_writes")


@dataclass(frozen=True)
class WireLoss:
    """What the resistance of lines makes of the weights.

    Attributes:
        resistances: of the lines.
        mean, largest: magnitude of ``scale * (plus - minus)`` less what is read, over all chips, in network units.
        share: the mean relative to that of the magnitudes of ``scale * (plus - minus)``.
    """

    resistances: LineResistances
    mean: float
    largest: float
    share: float


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
        shares: of each device in the current of its cell.
        devices: conductances as ``conductances`` has them, of each device of a cell; none where a cell is one device.
        wires: what the resistance of lines does, or None if they have none.
        programming: of the initial weights, or None if they were put in place exactly.
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
    shares: tuple[float, ...] = (1.0,)
    devices: tuple[Histogram, ...] = ()
    wires: WireLoss | None = None
    programming: ProgrammingSummary | None = None

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
    edges = edges_around(target, achieved)
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
        conductances=histogram(cells, edges_around(plus, minus, nominal)),
        reference=reference,
        error=histogram({"error": error}, symmetric_edges(error)),
        agreement=np.histogram2d(*_both_finite(target, achieved), bins=(edges, edges))[0].astype(np.int64),
        agreement_edges=edges,
        writes=histogram(written or {"plus": writes[0]}, count_edges(int(writes.max()))),
        maps={
            chip: {name: block_average(values[place], block) for name, values in zip(MAPS, layers, strict=True)}
            for place, chip in enumerate(crossbar.chips[:mapped])
        },
        block=block,
        deviation=root_mean_square(error),
        written=float(np.mean(writes.any(axis=0))),
        most_writes=int(writes.max()),
        total_writes=int(writes.sum()),
        shares=crossbar.shares,
        devices=_devices(crossbar, nominal),
        wires=None if crossbar.resistances is None else _wire_loss(crossbar.resistances, crossbar),
        programming=summarise_programming(crossbar),
    )


def device_titles(summary: CrossbarSummary) -> list[str]:
    """Of the histogram of each device."""
    return [f"Device {number}, {100 * share:.3g} %" for number, share in enumerate(summary.shares)]


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
    values = np.concatenate([np.abs(finite(chip[name])) for chip in maps.values() for name in names])
    return (float(np.percentile(values, 99.5)) if values.size else 0.0) or 1.0


def _double(values: NDArray[Any]) -> Values:
    return values.astype(np.float64)


def _devices(crossbar: CrossbarConductances, nominal: Values) -> tuple[Histogram, ...]:
    """Of each device, those of all on the same edges."""
    found = {"plus": crossbar.plus_devices, "minus": crossbar.minus_devices}
    cells = {name: _double(values) for name, values in found.items() if values is not None}
    if not cells:
        return ()
    edges = edges_around(*cells.values(), nominal)
    return tuple(
        histogram({name: values[:, device] for name, values in cells.items()}, edges)
        for device in range(len(crossbar.shares))
    )


def _wire_loss(resistances: LineResistances, crossbar: CrossbarConductances) -> WireLoss:
    ideal = crossbar.scale * (_double(crossbar.plus) - _double(crossbar.minus))
    lost = np.abs(ideal - _double(crossbar.weights))
    known = np.isfinite(lost)
    if not known.any():
        return WireLoss(resistances, *(float("nan"),) * 3)
    mean, magnitude = float(lost[known].mean()), float(np.abs(ideal[known]).mean())
    return WireLoss(resistances, mean, float(lost[known].max()), mean / magnitude if magnitude else 0.0)


def _both_finite(first: Values, second: Values) -> tuple[Values, Values]:
    both = np.isfinite(first) & np.isfinite(second)
    return first[both], second[both]
