"""Reading the pulse programs of ``conductances.h5``, which :mod:`analogdp.exports.pulse_programs` made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
from numpy.typing import NDArray

from analogdp.errors import InputError
from analogdp.exports.cells import DOWNWARD, UPWARD
from analogdp.exports.pulse_programs import UNITS
from analogdp.exports.reading import opened


class Run(NamedTuple):
    """Equal pulses, or one exposure of a cell with a state equation.

    Attributes:
        polarity: 1 raises the conductance, -1 lowers it.
        pulses: how many, of the card's; None of an exposure.
        voltage: across the cell in volts; None of pulses.
        duration: in seconds; None of pulses.
    """

    polarity: int
    pulses: int | None = None
    voltage: float | None = None
    duration: float | None = None


@dataclass(frozen=True, repr=False)
class PulsePrograms:
    """How the cells of one crossbar of a chip are brought to their targets, as the nominal device predicts.

    Attributes:
        start: conductance in siemens that cells have before.
        reset: whether that is after a reset; else as delivered.
        largest_error: by which a nominal device may miss its target, in siemens.
        unmet: how many devices of the chip miss theirs by more than the tolerance; None if the file does not say.
        warning: that programs may miss targets by more than the tolerance, and by how much; None if they do not.
        tile: word lines and bit lines of the largest tile.
        tiles: data sets by row and column of the tile, as they are in the file.
    """

    start: float
    reset: bool
    largest_error: float
    unmet: int | None
    warning: str | None
    tile: tuple[int, int]
    tiles: dict[tuple[int, int], dict[str, NDArray[Any]]]

    def __repr__(self) -> str:
        begin = "after a reset" if self.reset else "as delivered"
        grid = " x ".join(str(1 + max(place)) for place in zip(*self.tiles, strict=True))
        return f"PulsePrograms({grid} tiles, from {self.start:g} S {begin}, largest error {self.largest_error:.3g} S)"

    def of(self, word_line: int, bit_line: int, device: int = 0) -> list[Run]:
        """The runs of a device, in their order; devices of the plus cell count first, then those of the minus cell.

        Raises:
            InputError: there is no such device.
        """
        (row, line), (column, own) = divmod(word_line, self.tile[0]), divmod(bit_line, self.tile[1])
        lists = self.tiles.get((row, column))
        place = (device, line, own)
        if (
            lists is None
            or min(place) < 0
            or any(k >= n for k, n in zip(place, lists["program_runs"].shape, strict=True))
        ):
            raise InputError(f"no device {device} at word line {word_line} and bit line {bit_line}")
        first = int(lists["program_start"][place])
        runs = slice(first, first + int(lists["program_runs"][place]))
        kinds = [name.removeprefix("program_") for name, values in lists.items() if values.ndim == 1]
        columns = [lists[f"program_{kind}"][runs].tolist() for kind in kinds]
        return [Run(**dict(zip(kinds, values, strict=True))) for values in zip(*columns, strict=True)]


def read_pulse_programs(path: Path | str, layer: int, chip: int | None = None, feedback: bool = False) -> PulsePrograms:
    """Read the pulse programs of a crossbar from ``conductances.h5``.

    Args:
        path: the file.
        layer: the layer below the crossbar.
        chip: index of the chip; default: the first.
        feedback: that of the crossbar which carries messages down beside it.

    Raises:
        InputError: those of :func:`~analogdp.exports.reading.read_conductances`; or there are no programs, with the reason.
    """
    with opened(Path(path)) as file:
        name = f"{DOWNWARD if feedback else UPWARD}/{layer}"
        if name not in file:
            raise InputError(f"{path}: no crossbar {name}")
        group = file[name]
        index = int(file.attrs["chips"][0]) if chip is None else chip
        if f"chip_{index}" not in group:
            raise InputError(f"{path}: no chip {index}; chips: {', '.join(map(str, file.attrs['chips']))}")
        if "program_from" not in group.attrs:
            reason = group.attrs.get("no_program", "the file has none, as those of format version 1")
            raise InputError(f"{path}: no pulse programs of {name}: {reason}")
        return _programs(group, group[f"chip_{index}"])


def _programs(group: h5py.Group, chip: h5py.Group) -> PulsePrograms:
    attributes = group.attrs
    tile = int(attributes["tile_word_lines"]), int(attributes["tile_bit_lines"])
    tiles = {}
    for own in chip.values():
        place = int(own.attrs["first_word_line"]) // tile[0], int(own.attrs["first_bit_line"]) // tile[1]
        tiles[place] = {name: own[name][()] for name in UNITS if name in own}
    return PulsePrograms(
        start=float(attributes["program_start_conductance"]),
        reset=attributes["program_from"] == "reset",
        largest_error=float(attributes["program_largest_error"]),
        unmet=int(chip.attrs["program_unmet"]) if "program_unmet" in chip.attrs else None,
        warning=attributes.get("program_warning"),
        tile=tile,
        tiles=tiles,
    )
