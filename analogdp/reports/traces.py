"""What a report shows of recordings: a few units of one sample, in the first and in the last presentation recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analogdp.reports.source import Values
from analogdp.reports.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, prefix
from analogdp.runs.recordings import Recording, read_recordings

MOST_RECORDS = 6
"""Records that a page shows."""

MOST_UNITS = 6
"""Units of a record that are drawn, each in its colour."""

MOST_POINTS = 2000
"""Points of a line; more would only make the page heavy."""

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, BLACK, GREY)
_DASHES = ("solid", "dash", "dot")


@dataclass(frozen=True)
class Trace:
    """One compartment of one unit.

    Attributes:
        unit: which one, in words.
        compartment: its name, or what is recorded in place of compartments.
        colour: as a hexadecimal code; a unit has the same one everywhere.
        dash: ``solid``, ``dash`` or ``dot``; a compartment has the same one everywhere.
        values: ``(points,)``.
    """

    unit: str
    compartment: str
    colour: str
    dash: str
    values: Values


@dataclass(frozen=True)
class Presentation:
    """What was recorded while one batch was presented.

    Attributes:
        title: which one.
        times: ``(points,)``, in the unit of the chart's axis.
        traces: one for each unit and compartment.
    """

    title: str
    times: Values
    traces: tuple[Trace, ...]


@dataclass(frozen=True)
class TraceChart:
    """A figure of presentations side by side, on equal vertical axes.

    Attributes:
        name: of its file and its place in the page.
        title: what it shows.
        caption: what of the record it shows.
        axis: label of the horizontal axes, with the unit.
        quantity: label of the vertical axes.
        presentations: from left to right; at least one.
    """

    name: str
    title: str
    caption: str
    axis: str
    quantity: str
    presentations: tuple[Presentation, ...]


@dataclass(frozen=True)
class Traces:
    """The recordings of a run as figures.

    Attributes:
        charts: of the first records that have rows.
        omitted: how many more records there are.
    """

    charts: tuple[TraceChart, ...] = ()
    omitted: int = 0


def read_traces(path: Path) -> Traces:
    """The figures of a ``recordings.h5``, of which only what they show is read.

    Raises:
        InputError: the file is damaged.
    """
    recorded = [(number, each) for number, each in enumerate(read_recordings(path)) if len(each.values)]
    charts = tuple(_chart(f"record{number}", each) for number, each in recorded[:MOST_RECORDS])
    return Traces(charts, omitted=len(recorded) - len(charts))


def _chart(name: str, recording: Recording) -> TraceChart:
    first, last = int(recording.presentation[0]), int(recording.presentation[-1])
    rows = [_thinned(recording.rows(number)) for number in dict.fromkeys((first, last))]
    factor, axis = _axis([recording.time[own] for own in rows])
    return TraceChart(
        name=name,
        title=f"Layer {recording.layer}, {_name(recording)}",
        caption=_caption(recording),
        axis=axis,
        quantity="message" if recording.what in ("up", "down") else "state",
        presentations=tuple(_presentation(recording, own, factor) for own in rows),
    )


def _thinned(rows: slice) -> slice:
    return slice(rows.start, rows.stop, -(-(rows.stop - rows.start) // MOST_POINTS))


def _axis(times: Sequence[Values]) -> tuple[float | None, str]:
    """What times are divided by, and the label; None where there is no time and steps are counted."""
    largest = max(float(own[-1]) for own in times)
    if np.isnan(largest):
        return None, "step"
    factor, letter = prefix(largest)
    return factor, f"time ({letter}s)"


def _presentation(recording: Recording, rows: slice, factor: float | None) -> Presentation:
    times = recording.step[rows] if factor is None else recording.time[rows] / factor
    # The first chip and sample: (rows, compartments, units).
    values = recording.values[rows, :, 0, 0, :MOST_UNITS]
    traces = (
        Trace(f"unit {unit}", name, colour, dash, values[:, compartment, place])
        for place, (unit, colour) in enumerate(zip(recording.units, _COLOURS, strict=False))
        for compartment, (name, dash) in enumerate(zip(recording.compartments, _DASHES, strict=False))
    )
    update = int(recording.update[rows.start])
    return Presentation(f"after {update} update{'s' if update != 1 else ''}", times, tuple(traces))


def _name(recording: Recording) -> str:
    messages = {"up": "messages up", "down": "messages down", "states": "states"}
    return messages.get(recording.what, f"compartment {recording.what}")


def _caption(recording: Recording) -> str:
    """Which part of the record is drawn, where that is not all of it."""
    shown = min(len(recording.units), MOST_UNITS)
    parts = [f"chip {recording.chips[0]}, sample 0 of the batch"]
    if shown < len(recording.units):
        parts.append(f"the first {shown} of {len(recording.units)} units")
    presentations = int(recording.presentation[-1]) - int(recording.presentation[0]) + 1
    if presentations > 2:
        parts.append(f"the first and the last of {presentations} presentations")
    lines = zip(recording.compartments, ("solid", "dashed", "dotted"), strict=False)
    styles = ", ".join(f"{compartment} {style}" for compartment, style in lines)
    head = "; ".join(parts)
    return f"{head[0].upper()}{head[1:]}." + (f" Lines: {styles}." if len(recording.compartments) > 1 else "")
