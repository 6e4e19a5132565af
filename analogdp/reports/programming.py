"""What a report says about programming initial weights by pulses: what it took, and how far off it left the devices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analogdp.exports import CrossbarConductances
from analogdp.reports.histograms import Histogram, count_edges, histogram, root_mean_square, symmetric_edges
from analogdp.reports.style import count, quantity

FINE_BINS = 151
"""Bins of errors: a few devices that are far off leave room to see what became of the others."""


@dataclass(frozen=True)
class ProgrammingSummary:
    """The programming of one crossbar, over all devices of all cells of all chips.

    Attributes:
        method, tolerance, budget: as the scenario says; None where it does not.
        pulses: of each device, of ``plus`` and, where these are programmable, ``minus`` cells.
        device_error: how far off programming left each device, in percent of the nominal conductance range; likewise.
        weight_error: what that makes of each pair in network units, ``error``.
        device_deviation, weight_deviation: root mean squares of these errors.
        total_pulses, total_reads: of all devices.
        mean_pulses, mean_reads: per device.
        unfinished: share of devices out of tolerance at their last read; None if none was read.
        energy: of the pulses in joules per chip, or None if it is not known.
    """

    method: str | None
    tolerance: float | None
    budget: int | None
    pulses: Histogram
    device_error: Histogram
    weight_error: Histogram
    device_deviation: float
    weight_deviation: float
    total_pulses: int
    total_reads: int
    mean_pulses: float
    mean_reads: float
    unfinished: float | None
    energy: float | None


def summarise_programming(crossbar: CrossbarConductances) -> ProgrammingSummary | None:
    """Reduce what programming took to what a report shows; None if the weights were put in place exactly."""
    found = crossbar.programming
    if found is None:
        return None
    devices, (chips, cells, *lines) = len(crossbar.shares), found.pulses.shape
    pulses, error = (
        values.astype(np.float64).reshape(chips, cells // devices, devices, *lines)
        for values in (found.pulses, found.error)
    )
    percent = error * (100 / (crossbar.high - crossbar.low))
    units = np.einsum("cpdij,d->cpij", error, np.array(crossbar.shares))
    weights = crossbar.scale * (units[:, 0] - (units[:, 1] if units.shape[1] == 2 else 0.0))
    names = ("plus", "minus")[: pulses.shape[1]]
    return ProgrammingSummary(
        method=found.method,
        tolerance=found.tolerance,
        budget=found.budget,
        pulses=histogram({name: pulses[:, p] for p, name in enumerate(names)}, count_edges(int(pulses.max()))),
        device_error=histogram(
            {name: percent[:, p] for p, name in enumerate(names)}, symmetric_edges(percent, FINE_BINS)
        ),
        weight_error=histogram({"error": weights}, symmetric_edges(weights, FINE_BINS)),
        device_deviation=root_mean_square(percent),
        weight_deviation=root_mean_square(weights),
        total_pulses=int(pulses.sum()),
        total_reads=int(found.reads.sum(dtype=np.int64)),
        mean_pulses=float(pulses.mean()),
        mean_reads=float(found.reads.mean()),
        unfinished=None if found.unfinished is None else float(found.unfinished.mean()),
        energy=None if found.energy is None else float(found.energy.mean()),
    )


def describe_programming(summary: ProgrammingSummary) -> str:
    """The same in words."""
    return " ".join(_sentences(summary))


def _sentences(summary: ProgrammingSummary) -> Iterator[str]:
    yield _method(summary)
    yield f"{count(summary.total_pulses)} pulses, {_mean(summary.mean_pulses)} per device."
    if summary.unfinished is not None:
        yield (
            f"{count(summary.total_reads)} reads, {_mean(summary.mean_reads)} per device; "
            f"{100 * summary.unfinished:.3g} % of the devices were out of tolerance at their last one."
        )
    yield (
        f"Root mean square error {summary.device_deviation:.3g} % of the conductance range, "
        f"{summary.weight_deviation:.3g} of a weight."
    )
    if summary.energy is None:
        yield "The card does not state the energy of pulses."
    else:
        yield f"The pulses took {quantity(summary.energy, 'J')} per chip."


def _mean(value: float) -> str:
    return count(round(value)) if value >= 100 else f"{value:.3g}"


def _method(summary: ProgrammingSummary) -> str:
    if summary.method == "open_loop":
        return "Open loop: as many pulses as a nominal device would need."
    if summary.method != "write_verify":
        return "By pulses."
    bounds = [
        "" if summary.tolerance is None else f", to {100 * summary.tolerance:.3g} % of the conductance range",
        "" if summary.budget is None else f", in at most {count(summary.budget)} reads of a device",
    ]
    return f"Pulses and reads in turn{''.join(bounds)}."
