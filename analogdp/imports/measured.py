"""Conductances that were measured on a chip: the tiles of a folder of CSV files or of an HDF5 file, put together and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError

Floats = NDArray[np.float64]
States = NDArray[np.uint8]

OK, STUCK, MISSING = range(3)
STATES = ("ok", "stuck", "missing")
"""What is known of a cell, by its number: it was measured, it was measured and does not move, or nothing."""


class MeasuredTile(NamedTuple):
    """One physical array; rows are word lines, columns are bit lines.

    Attributes:
        word_line, bit_line: of the layer at which it begins.
        plus, minus: conductances in siemens, NaN where they are missing.
        plus_state, minus_state: numbers of :data:`STATES`.
    """

    word_line: int
    bit_line: int
    plus: Floats
    minus: Floats
    plus_state: States
    minus_state: States


@dataclass(frozen=True, eq=False)
class MeasuredCrossbar:
    """The cells of one crossbar: arrays of shape ``(word lines, bit lines)``.

    Attributes:
        layer: it joins layer ``layer`` to layer ``layer + 1``.
        downward: whether it carries messages down instead.
        plus, minus: conductances in siemens, NaN where they are missing.
        plus_state, minus_state: numbers of :data:`STATES`.
    """

    layer: int
    downward: bool
    plus: Floats
    minus: Floats
    plus_state: States
    minus_state: States

    @property
    def name(self) -> str:
        """As the networks' synapses are named."""
        return f"{'feedback' if self.downward else 'synapse'}{self.layer}"

    @property
    def shape(self) -> tuple[int, int]:
        """Word lines and bit lines."""
        return self.plus.shape[0], self.plus.shape[1]

    def count(self, state: int) -> int:
        """Cells in a state."""
        return int((self.plus_state == state).sum() + (self.minus_state == state).sum())


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one chip.

    Attributes:
        source: the folder or file.
        chip: its index, as the file says.
        crossbars: in order, those that carry messages up first.
    """

    source: Path
    chip: int
    crossbars: tuple[MeasuredCrossbar, ...]

    def __iter__(self) -> Iterator[MeasuredCrossbar]:
        return iter(self.crossbars)

    def __getitem__(self, name: int | str) -> MeasuredCrossbar:
        """The crossbar above a layer, or one by its name, such as ``feedback1``."""
        known = {crossbar.name: crossbar for crossbar in self}
        wanted = f"synapse{name}" if isinstance(name, int) else name
        if wanted not in known:
            raise InputError(f"{self.source}: nothing was measured of {wanted}; there are {', '.join(known)}")
        return known[wanted]

    def __repr__(self) -> str:
        lines = [
            f"  {own.name}: {own.shape[0]} word lines x {own.shape[1]} bit lines, "
            f"{own.count(STUCK)} stuck and {own.count(MISSING)} missing cells"
            for own in self
        ]
        return "\n".join((f"Measured({self.source}, chip {self.chip})", *lines))


def read_measured(path: Path | str, chip: int | None = None) -> Measured:
    """Read what was measured of a chip.

    Args:
        path: the folder of CSV files, or the HDF5 file; both as ``analogdp export`` writes them.
        chip: which one of an HDF5 file with several; None: the only one.

    Raises:
        InputError: nothing is there, it is damaged, of a newer version, or holds what is no conductance.
    """
    from analogdp.imports import measured_csv, measured_hdf5

    if not isinstance(path, str | Path):
        raise InputError(f"{path!r} is no path; give a folder of CSV files or an HDF5 file of measured conductances")
    path = Path(path)
    if path.is_dir():
        return measured_csv.read(path, chip)
    if path.is_file():
        return measured_hdf5.read(path, chip)
    raise InputError(
        f"{path}: no such file or folder; give measured conductances in the layout of: analogdp export RUN --format csv, or hdf5"
    )


def put_together(
    place: str, shape: tuple[int, int], tiles: Iterator[MeasuredTile], layer: int, downward: bool = False
) -> MeasuredCrossbar:
    """A crossbar from its tiles.

    Args:
        place: the file and the crossbar in it, for messages.
        shape: word lines and bit lines.
        tiles: in any order.
        layer: which it joins to the next one.
        downward: whether it carries messages down instead.

    Raises:
        InputError: tiles overlap, go beyond the array, or leave cells out.
    """
    whole: dict[str, NDArray[Any]] = {name: np.full(shape, np.nan) for name in ("plus", "minus")}
    whole |= {name: np.zeros(shape, np.uint8) for name in ("plus_state", "minus_state")}
    covered = np.zeros(shape, bool)
    for tile in tiles:
        rows, columns = tile.plus.shape
        extent = slice(tile.word_line, tile.word_line + rows), slice(tile.bit_line, tile.bit_line + columns)
        told = f"{place}: the tile from word line {tile.word_line} and bit line {tile.bit_line}, of {rows} x {columns} cells"
        if min(tile.word_line, tile.bit_line) < 0 or extent[0].stop > shape[0] or extent[1].stop > shape[1]:
            raise InputError(f"{told}, goes beyond the {shape[0]} word lines and {shape[1]} bit lines of the crossbar")
        if covered[extent].any():
            raise InputError(f"{told}, lies on another one; every cell belongs to one tile")
        covered[extent] = True
        for name, values in whole.items():
            values[extent] = getattr(tile, name)
    if not covered.all():
        row, column = np.argwhere(~covered)[0]
        raise InputError(
            f"{place}: no tile has the cells of word line {row} and bit line {column}; mark cells that could not be measured as "
            "missing"
        )
    return MeasuredCrossbar(layer, downward, **whole)


def only_chip(path: Path, chips: list[int], chip: int | None) -> int:
    """The index of the chip to read.

    Raises:
        InputError: there is none of that index, or nobody said which.
    """
    listed = ", ".join(map(str, chips))
    if chip is not None and (isinstance(chip, bool) or not isinstance(chip, int | np.integer)):
        raise InputError(f"chip: {chip!r} is no index of a chip; chips: {listed}")
    if chip is None and len(chips) == 1:
        return chips[0]
    if chip is None:
        raise InputError(f"{path}: several chips were measured; name one of {listed}: --chip N, or chip=N")
    if chip not in chips:
        raise InputError(f"{path}: nothing was measured of chip {chip}; chips: {listed}")
    return chip


def check_conductance(value: float, place: str, unit: str = "S") -> None:
    """Refuse what no cell conducts.

    Args:
        value: as it stands in the file.
        place: of it, for messages.
        unit: of it.

    Raises:
        InputError: it is negative, infinite or not a number.
    """
    if np.isnan(value):
        raise InputError(f"{place}: no number; mark a cell that could not be measured as missing")
    if not 0 <= value < np.inf:
        raise InputError(f"{place}: {value:g} {unit} is no conductance, which is at least 0 S and finite")


def no_conductances(values: Floats, states: States) -> tuple[int, int] | None:
    """Place of the first cell whose value is not a conductance, and which is not marked as missing; None: there is none."""
    with np.errstate(invalid="ignore"):
        wrong = (states != MISSING) & ~((values >= 0) & (values < np.inf))
    if not wrong.any():
        return None
    row, column = np.argwhere(wrong)[0]
    return int(row), int(column)
