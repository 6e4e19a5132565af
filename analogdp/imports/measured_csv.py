"""Measured conductances in a folder of CSV files, one for each tile, which ``index.json`` lists."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError
from analogdp.exports.csv_tiles import FORMAT, FORMAT_VERSION
from analogdp.files import check_version
from analogdp.imports.measured import (
    MISSING,
    STATES,
    Measured,
    MeasuredCrossbar,
    MeasuredTile,
    check_conductance,
    only_chip,
    put_together,
)

INDEX = "index.json"

SIEMENS = {"S": 1.0, "kS": 1e3, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9, "pS": 1e-12}
"""Units of a conductance, by what a header may say."""

LEAST_LINE = 8
"""Bytes of a line: ``0,0,0,0`` and its end."""

POLARITIES = ("plus", "minus")

_HEADER = re.compile(r"(\w+)\s*(?:\[\s*(\S+)\s*\])?")
_DEVICE = re.compile(r"(plus|minus)_\d+")


def read(folder: Path, chip: int | None) -> Measured:
    """Read a folder of CSV files; errors are those of :func:`analogdp.imports.read_measured`."""
    index = _index(folder / INDEX)
    place = str(folder / INDEX)
    own = only_chip(folder / INDEX, [_whole(index, "chip", place)], chip)
    layers = index.get("layers")
    if not isinstance(layers, list) or not layers:
        raise InputError(f"{place}: 'layers' lists no crossbars")
    crossbars = [_crossbar(folder, layer, f"{place}: layers[{number}]") for number, layer in enumerate(layers)]
    names = [crossbar.name for crossbar in crossbars]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{place}: {name} is listed {names.count(name)} times")
    return Measured(folder, own, tuple(sorted(crossbars, key=lambda crossbar: (crossbar.downward, crossbar.layer))))


def _index(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a folder of measured conductances has one, as: analogdp export --format csv"
        )
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged: {error}") from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise InputError(
            f"{path}: not of the format {FORMAT!r}; give a folder in the layout of: analogdp export --format csv"
        )
    check_version(path, _whole(index, "format_version", str(path)), FORMAT_VERSION)
    return index


def _crossbar(folder: Path, layer: Any, place: str) -> MeasuredCrossbar:
    if not isinstance(layer, dict) or not isinstance(layer.get("files"), list):
        raise InputError(f"{place}: 'files' lists no tiles")
    word_lines, bit_lines = (_whole(layer, name, place, 1) for name in ("word_lines", "bit_lines"))
    most = tuple(_whole(layer, f"tile_{name}", place, 1) for name in ("word_lines", "bit_lines"))
    shape = word_lines, bit_lines
    files = [
        _file(folder, each, shape, (most[0], most[1]), f"{place}.files[{number}]")
        for number, each in enumerate(layer["files"])
    ]
    if word_lines * bit_lines * LEAST_LINE > sum(file.path.stat().st_size for file in files):
        raise InputError(f"{place}: {word_lines} x {bit_lines} cells are more than its files can hold")
    downward = layer.get("direction", "up") == "down"
    return put_together(place, shape, map(_tile, files), _whole(layer, "layer", place), downward)


class _File(NamedTuple):
    """A tile's table, the word line and bit line at which it begins, and how many of them it has."""

    path: Path
    first: tuple[int, int]
    size: tuple[int, int]


def _file(folder: Path, entry: Any, shape: tuple[int, int], most: tuple[int, int], place: str) -> _File:
    """What the index says of a tile of a crossbar, if its file can hold that."""
    path = _path(folder, entry, place)
    first = _whole(entry, "first_word_line", place), _whole(entry, "first_bit_line", place)
    size = min(most[0], shape[0] - first[0]), min(most[1], shape[1] - first[1])
    if min(size) < 1:
        raise InputError(
            f"{path}: {place} begins it at word line {first[0]} and bit line {first[1]}, of {shape[0]} x {shape[1]}"
        )
    if size[0] * size[1] * LEAST_LINE > (found := path.stat().st_size):
        raise InputError(
            f"{path}: {found} bytes are too few for a table of {size[0]} x {size[1]} cells; is it empty or cut off?"
        )
    return _File(path, first, size)


def _path(folder: Path, entry: Any, place: str) -> Path:
    """Of a tile's file, which lies in the folder itself: none leads out of it."""
    name = entry.get("file") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise InputError(f"{place}: 'file' is no name")
    if name in (".", "..") or "\0" in name or PurePosixPath(name).name != name or PureWindowsPath(name).name != name:
        raise InputError(
            f"{place}: {name!r} is a path; the files of an index lie beside it, and are named without folders"
        )
    path = folder / name
    if path.is_symlink():
        raise InputError(f"{path}: a link, which may lead anywhere; put the file itself into the folder")
    if not path.is_file():
        raise InputError(f"{path}: no such file, which {place} lists")
    return path


def _tile(file: _File) -> MeasuredTile:
    path, first, size = file
    values, states = np.full((2, *size), np.nan), np.zeros((2, *size), np.uint8)
    lines = np.zeros(size, np.int64)
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened)
            columns, factors = _columns(next(reader, []), f"{path}:1")
            for cells in reader:
                if cells:
                    _line(cells, columns, f"{path}:{reader.line_num}", reader.line_num, values, states, lines)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no table: {error}") from None
    if not lines.all():
        row, column = np.argwhere(lines == 0)[0]
        raise InputError(
            f"{path}: row {row}, column {column} of {size[0]} x {size[1]} is absent; mark a cell that was not measured as missing"
        )
    values *= np.asarray(factors)[:, None, None]
    return MeasuredTile(first[0], first[1], *values, *states)


def _columns(header: list[str], place: str) -> tuple[dict[str, int], list[float]]:
    """Where the columns are, by name, and the units of plus and minus in siemens."""
    found: dict[str, int] = {}
    units: dict[str, str | None] = {}
    for number, text in enumerate(header):
        # Keyboards and character maps know two signs for micro.
        match = _HEADER.fullmatch(unicodedata.normalize("NFKC", text.strip()).replace("μ", "u"))
        name = match[1] if match else text.strip()
        known = {"row", "column", *POLARITIES, "state", "plus_state", "minus_state"}
        if match is None or (name not in known and not _DEVICE.fullmatch(name)):
            raise InputError(
                f"{place}: unknown column {text[:40]!r}; known: row, column, plus [S], minus [S], state, with commas between them"
            )
        if name in found:
            raise InputError(f"{place}: column {name!r} is there twice")
        found[name], units[name] = number, match[2]
    for name in ("row", "column", *POLARITIES):
        if name not in found:
            raise InputError(f"{place}: no column {name!r}; needed: row, column, plus [S], minus [S]")
    if "state" in found and ("plus_state" in found or "minus_state" in found):
        raise InputError(f"{place}: 'state' is that of both cells; leave it out beside plus_state and minus_state")
    return found, [_factor(name, units[name], place) for name in POLARITIES]


def _factor(name: str, unit: str | None, place: str) -> float:
    if unit is None:
        raise InputError(f"{place}: {name} has no unit; write it as {name} [S], or in one of {', '.join(SIEMENS)}")
    if unit not in SIEMENS:
        reason = (
            "a resistance; give conductances, 1/R" if re.search(r"ohm|Ω|Ω", unit, re.I) else "no unit of a conductance"
        )
        raise InputError(f"{place}: {name} [{unit}] is {reason}, in one of {', '.join(SIEMENS)}")
    return SIEMENS[unit]


def _line(
    cells: list[str],
    columns: Mapping[str, int],
    place: str,
    number: int,
    values: NDArray[np.float64],
    states: NDArray[np.uint8],
    lines: NDArray[np.int64],
) -> None:
    """Put one line of a file where it belongs."""
    if len(cells) != len(columns):
        hint = "; a decimal comma? write 6.4e-05" if len(cells) > len(columns) else ""
        raise InputError(f"{place}: {len(cells)} values, but the header has {len(columns)} columns{hint}")
    row, column = (
        _place(cells[columns[name]], name, most, place)
        for name, most in zip(("row", "column"), lines.shape, strict=True)
    )
    if lines[row, column]:
        raise InputError(f"{place}: row {row}, column {column} is there already, in line {lines[row, column]}")
    lines[row, column] = number
    for polarity, name in enumerate(POLARITIES):
        own = columns.get(f"{name}_state", columns.get("state"))
        state = 0 if own is None else _state(cells[own], place)
        states[polarity, row, column] = state
        if state != MISSING:
            values[polarity, row, column] = _conductance(
                cells[columns[name]], f"{place}: row {row}, column {column}: {name}"
            )


def _place(text: str, name: str, most: int, place: str) -> int:
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit() and len(plain) < 10 and int(plain) < most):
        raise InputError(f"{place}: {name} {text[:40]!r} is no place in this tile; allowed: 0 to {most - 1}")
    return int(plain)


def _state(text: str, place: str) -> int:
    plain = text.strip() or STATES[0]
    if plain not in STATES:
        raise InputError(f"{place}: unknown state {text[:40]!r}; known: {', '.join(STATES)}")
    return STATES.index(plain)


def _conductance(text: str, place: str) -> float:
    try:
        value = float(text.replace("_", "?")) if text.strip() else np.nan  # Python alone takes 6_4 for 64
    except ValueError:
        raise InputError(f"{place}: {text[:40]!r} is no number") from None
    check_conductance(value, place)
    return value


def _whole(section: Mapping[str, Any], name: str, place: str, least: int = 0) -> int:
    value = section.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
        raise InputError(f"{place}: {name}: {value!r} is no whole number from {least}")
    return value
