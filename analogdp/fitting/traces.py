"""Conductance against pulses, read after every one: files of such traces, and samples of them from a device card."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from analogdp.devices.cards import DeviceCard
from analogdp.errors import InputError
from analogdp.files import write_text
from analogdp.scenario.quantities import to_si
from analogdp.streams import Stream

Values = NDArray[np.float64]

FEWEST_PULSES = 10
"""In each direction, of every device: fewer say nothing about how the step depends on the conductance."""
MOST_BYTES = 200_000_000

_DIRECTIONS = {"up": 1, "down": -1, "start": 0, "+1": 1, "1": 1, "1.0": 1, "-1": -1, "-1.0": -1, "0": 0, "0.0": 0}
_CONDUCTANCE = re.compile(r"conductance(?:[ _]*[\[(]?(?P<unit>[A-Za-zµμ]*(?:S|siemens))[\])]?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Trace:
    """Reads of one device.

    Attributes:
        device: its label.
        directions: +1 or -1 of every pulse, ``(pulses,)``.
        conductances: in siemens, at the start and after every pulse, ``(pulses + 1,)``.
    """

    device: str
    directions: Values
    conductances: Values


class _Columns(NamedTuple):
    """Where in a row the values stand, and the siemens in one unit of conductance."""

    device: int
    direction: int
    conductance: int
    pulse: int | None
    siemens: float


def read_traces(path: Path, unit: str | None = None) -> list[Trace]:
    """The traces of all devices in a CSV file with the columns ``device``, ``direction`` and ``conductance``.

    One row per read, those of a device in the order of their pulses: its start (direction 0), then what each pulse (+1 or
    up, -1 or down) left. The unit of the conductance stands in its heading (``conductance_uS``), or in ``unit``. Pulses may
    be numbered in a column ``pulse``; further columns are ignored.

    Raises:
        InputError: the file cannot be read as that; with the line, the column, the value and what is needed.
    """
    rows = _rows(path)
    if not rows:
        raise InputError(
            f"{path}: the file is empty; its first line names the columns device, direction, conductance_uS"
        )
    columns = _columns(path, rows[0][1], unit)
    found: dict[str, list[tuple[int, float]]] = {}
    numbers: dict[str, int] = {}
    for line, row in rows[1:]:
        _refuse_more(path, line, row, rows[0][1])
        device = _cell(path, line, row, columns.device, "device")
        direction = _direction(path, line, row, columns, first=device not in found)
        reads = found.setdefault(device, [])
        if columns.pulse is not None:
            numbers[device] = _next_number(path, line, row, columns.pulse, numbers.get(device))
        reads.append((direction, _conductance(path, line, row, columns)))
    if not found:
        raise InputError(f"{path}: there are no reads below the heading; write one row for every read of a device")
    traces = [_trace(device, reads) for device, reads in found.items()]
    for trace in traces:
        _check(path, trace)
    return traces


def write_traces(path: Path, traces: Sequence[Trace]) -> None:
    """Write traces as :func:`read_traces` reads them, in microsiemens to nine digits, atomically."""
    rows = ["device,pulse,direction,conductance_uS"]
    for trace in traces:
        directions = [0, *trace.directions.astype(int).tolist()]
        for number, (direction, siemens) in enumerate(zip(directions, trace.conductances.tolist(), strict=True)):
            rows.append(f"{trace.device},{number},{direction},{siemens * 1e6:.9g}")
    write_text(path, "\n".join(rows) + "\n")


def sample_traces(card: DeviceCard, devices: int, sweeps: int, pulses: int, seed: int = 0) -> list[Trace]:
    """Traces that a card's devices would give: fabricated, put at the low end, and pulsed one pulse at a time.

    Args:
        card: of a device that pulses move in both directions.
        devices: how many are fabricated.
        sweeps: each of ``pulses`` pulses up and as many down.
        pulses: in one direction.
        seed: of the fabrication and of all noise.

    Raises:
        InputError: a card whose devices are not written by counted pulses in both directions, or a number below 1.
    """
    for name, value in (("devices", devices), ("sweeps", sweeps), ("pulses", pulses)):
        if value < 1:
            raise InputError(f"{name}: {value} is not at least 1")
    device = card.device()
    if device.unidirectional or device.closed_loop:
        raise InputError(f"card {card.name}: no counted pulses up and down; choose another, such as reram_sb")
    stream = Stream(seed, "traces", dtype=torch.float64)
    state = device.sample((devices,), stream.child("cells"))
    like = torch.ones((1, devices), dtype=torch.float64)
    device.program(state, like * card.low, stream.child("start"))
    directions = np.tile(np.repeat([1.0, -1.0], pulses), sweeps)
    reads = [device.conductance(state)]
    for number, direction in enumerate(directions.tolist()):
        device.pulse(state, like * direction, stream.child("write").at(number))
        reads.append(device.conductance(state))
    table = torch.stack(reads).squeeze(1).numpy()
    return [Trace(f"{card.name}-{number + 1}", directions, table[:, number]) for number in range(devices)]


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """All rows that are not empty, with their line numbers."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: more than {MOST_BYTES / 1e6:.0f} MB; give fewer devices or sweeps")
        with path.open(encoding="utf-8-sig", newline="") as file:
            heading = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=heading.count), strict=True)
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from None


def _columns(path: Path, heading: list[str], unit: str | None) -> _Columns:
    plain = [name.lower() for name in heading]
    matches = [_CONDUCTANCE.fullmatch(name) for name in heading]
    places = {
        name: [place for place, own in enumerate(plain) if own == name] for name in ("device", "direction", "pulse")
    }
    places["conductance"] = [place for place, match in enumerate(matches) if match]
    for name, found in places.items():
        if len(found) > 1 or (not found and name != "pulse"):
            number = "no column" if not found else f"{len(found)} columns"
            listed = ", ".join(heading)
            raise InputError(f"{path}: {number} {name!r} among {listed}; needed are device, direction, conductance_uS")
    match = matches[places["conductance"][0]]
    written = match["unit"] if match else None
    if written and unit:
        raise InputError(f"{path}: the heading says {written!r} and --unit says {unit!r}; leave one of them out")
    if not written and not unit:
        raise InputError(f"{path}: column 'conductance' has no unit; call it conductance_uS, or give --unit uS")
    try:
        siemens = float(to_si(f"1 {written or unit}", "siemens"))
    except ValueError as error:
        raise InputError(f"{path}: unit of the conductance: {error}") from None
    pulse = places["pulse"][0] if places["pulse"] else None
    return _Columns(places["device"][0], places["direction"][0], places["conductance"][0], pulse, siemens)


def _refuse(path: Path, line: int, column: str, value: str, needed: str) -> NoReturn:
    raise InputError(f"{path}:{line}: {column}: {value!r}: {needed}")


def _refuse_more(path: Path, line: int, row: list[str], heading: list[str]) -> None:
    if any(row[len(heading) :]):
        needed = "more values than the heading has columns; write decimals with a point, and quote text with commas"
        raise InputError(f"{path}:{line}: {', '.join(row)}: {needed}")


def _cell(path: Path, line: int, row: list[str], place: int, column: str) -> str:
    value = row[place] if place < len(row) else ""
    if not value:
        _refuse(
            path, line, column, value, "an empty cell; every row needs a value here (leave a missing read's device out)"
        )
    return value


def _direction(path: Path, line: int, row: list[str], columns: _Columns, first: bool) -> int:
    value = _cell(path, line, row, columns.direction, "direction")
    direction = _DIRECTIONS.get(value.lower())
    if direction is None:
        _refuse(path, line, "direction", value, "write +1 or up, -1 or down, and 0 or start in a device's first row")
    if first != (direction == 0):
        needed = "a device's first row is its start" if first else "this device has started already"
        _refuse(path, line, "direction", value, f"{needed}; 0 stands in the first row of a device, and only there")
    return direction


def _next_number(path: Path, line: int, row: list[str], place: int, last: int | None) -> int:
    value = _cell(path, line, row, place, "pulse")
    try:
        number = int(value)
    except ValueError:
        _refuse(path, line, "pulse", value, "not a whole number; number the pulses of a device one by one")
    if last is not None and number != last + 1:
        needed = f"{last + 1} should follow {last}; a read after every pulse of a device is needed, in their order"
        _refuse(path, line, "pulse", value, needed)
    return number


def _conductance(path: Path, line: int, row: list[str], columns: _Columns) -> float:
    value = _cell(path, line, row, columns.conductance, "conductance")
    try:
        conductance = float(value)
    except ValueError:
        _refuse(path, line, "conductance", value, "not a number; write for example 12.5 or 1.25e1")
    if not math.isfinite(conductance) or conductance < 0:
        _refuse(path, line, "conductance", value, "a finite conductance of at least 0 is needed")
    if conductance * columns.siemens > 1:
        _refuse(path, line, "conductance", value, "more than 1 S; check the unit")
    return conductance * columns.siemens


def _trace(device: str, reads: list[tuple[int, float]]) -> Trace:
    table = np.asarray(reads)
    return Trace(device, table[1:, 0], table[:, 1])


def _check(path: Path, trace: Trace) -> None:
    for name, count in _pulses(trace):
        if count < FEWEST_PULSES:
            raise InputError(
                f"{path}: device {trace.device!r} has {count} pulses {name}; at least {FEWEST_PULSES} up and"
                f" {FEWEST_PULSES} down are needed, best several sweeps from end to end of its range"
            )
    if np.ptp(trace.conductances) == 0:
        raise InputError(f"{path}: device {trace.device!r} does not move; leave devices that are stuck out")


def _pulses(trace: Trace) -> Iterator[tuple[str, int]]:
    yield "up", int((trace.directions > 0).sum())
    yield "down", int((trace.directions < 0).sum())
