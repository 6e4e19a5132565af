"""Measured conductances in an HDF5 file: ``conductances.h5`` whose tiles were measured, or one that holds nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from analogdp.errors import InputError
from analogdp.exports.cells import DOWNWARD, UPWARD
from analogdp.exports.hdf5 import FORMAT, FORMAT_VERSION
from analogdp.files import check_format
from analogdp.imports.measured import (
    MISSING,
    STATES,
    Floats,
    Measured,
    MeasuredCrossbar,
    MeasuredTile,
    States,
    check_conductance,
    no_conductances,
    only_chip,
    put_together,
)

CELL_BYTES = 2
"""Least size of a number in a file."""


def read(path: Path, chip: int | None) -> Measured:
    """Read an HDF5 file; errors are those of :func:`analogdp.imports.read_measured`."""
    try:
        with h5py.File(path, "r") as file:
            check_format(path, file.attrs, FORMAT, FORMAT_VERSION, "conductances.h5")
            groups = [(kind, name) for kind in (UPWARD, DOWNWARD) if kind in file for name in _child(file, kind)]
            groups.sort(key=lambda group: (group[0] == DOWNWARD, int(group[1])))
            chips = {_number(name) for kind, name in groups for name in file[kind][name] if name.startswith("chip_")}
            if not chips:
                raise InputError(f"{path}: it holds no crossbar of any chip")
            own = only_chip(path, sorted(chips), chip)
            crossbars = tuple(_crossbar(path, _child(file[kind], name), kind, int(name), own) for kind, name in groups)
            return Measured(path, own, crossbars)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        hint = "" if h5py.is_hdf5(path) else "; give one, or the folder of CSV files with its index.json"
        raise InputError(f"{path}: damaged or not an HDF5 file: {error}{hint}") from error


def _crossbar(path: Path, group: h5py.Group, kind: str, layer: int, chip: int) -> MeasuredCrossbar:
    place = f"{path}: {group.name}"
    shape = int(group.attrs["word_lines"]), int(group.attrs["bit_lines"])
    if min(shape) < 1 or shape[0] * shape[1] * 2 * CELL_BYTES > path.stat().st_size:
        raise InputError(f"{place} says it has {shape[0]} x {shape[1]} pairs, which the file cannot hold")
    tiles = _tiles(path, _child(group, f"chip_{chip}"), shape)
    return put_together(place, shape, tiles, layer, downward=kind == DOWNWARD)


def _tiles(path: Path, chip: h5py.Group, most: tuple[int, int]) -> Iterator[MeasuredTile]:
    for name in chip:
        tile = _child(chip, name)
        place = f"{path}: {tile.name}"
        first = int(tile.attrs["first_word_line"]), int(tile.attrs["first_bit_line"])
        cells = [_cells(tile, polarity, most, place) for polarity in ("plus", "minus")]
        if cells[0][0].shape != cells[1][0].shape:
            raise InputError(
                f"{place}: plus is {cells[0][0].shape}, and minus is {cells[1][0].shape}; they are cells of pairs"
            )
        yield MeasuredTile(*first, cells[0][0], cells[1][0], cells[0][1], cells[1][1])


def _cells(tile: h5py.Group, polarity: str, most: tuple[int, int], place: str) -> tuple[Floats, States]:
    """Conductances and states of the cells of one polarity."""
    if tile.get(polarity, getlink=True) is None:
        raise InputError(f"{place}: no data set {polarity}; needed: plus, minus")
    values = _numbers(tile, polarity, most, place).astype(np.float64)
    states = np.zeros(values.shape, np.uint8)
    if (name := f"{polarity}_state") in tile:
        found = _numbers(tile, name, most, place)
        if found.shape != values.shape or not np.isin(found, range(len(STATES))).all():
            known = ", ".join(f"{number}: {state}" for number, state in enumerate(STATES))
            raise InputError(f"{place}/{name}: needs a number for each cell of {polarity}; {known}")
        states = found.astype(np.uint8)
    if (wrong := no_conductances(values, states)) is not None:
        check_conductance(float(values[wrong]), f"{place}/{polarity}: row {wrong[0]}, column {wrong[1]}")
    values[states == MISSING] = np.nan
    return values, states


def _numbers(tile: h5py.Group, name: str, most: tuple[int, int], place: str) -> np.ndarray[Any, Any]:
    """A data set of the file itself: one that lies in another file might be any file."""
    found = _child(tile, name)
    if not isinstance(found, h5py.Dataset) or found.ndim != 2 or found.dtype.kind not in "fiu" or 0 in found.shape:
        raise InputError(f"{place}/{name}: no array of numbers (rows, columns)")
    if found.shape[0] > most[0] or found.shape[1] > most[1]:
        raise InputError(f"{place}/{name}: {found.shape} cells are more than those of the crossbar, {most}")
    if found.is_virtual or found.external:
        raise InputError(f"{place}/{name}: its numbers lie in another file, which is not read; copy them into this one")
    if not name.endswith("_state"):
        _check_unit(found, f"{place}/{name}")
    return np.asarray(found[()])


def _check_unit(cells: h5py.Dataset, place: str) -> None:
    """Refuse numbers in anything but siemens, and those of which nobody says what they are in."""
    unit = cells.attrs.get("unit")
    if unit is None:
        raise InputError(f"{place}: no attribute 'unit' says what its numbers are in; give siemens, and say so")
    text = unit.decode(errors="replace") if isinstance(unit, bytes) else unit
    if not isinstance(text, str) or text not in ("siemens", "S"):
        raise InputError(f"{place}: its unit is {text!r}; give siemens")


def _child(group: h5py.Group, name: str) -> Any:
    """What lies in a group, but no link that leads elsewhere."""
    link = group.get(name, getlink=True)
    if link is None:
        raise InputError(f"{group.file.filename}: {group.name} has no {name}")
    if not isinstance(link, h5py.HardLink):
        raise InputError(
            f"{group.file.filename}: {group.name}/{name} is a link, which may lead anywhere; copy what it names"
        )
    return group[name]


def _number(name: str) -> int:
    return int(name.removeprefix("chip_"))
