"""Reading ``conductances.h5``, whose layout :mod:`analogdp.exports.hdf5` describes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError
from analogdp.exports.bench import WRITE_ORDER
from analogdp.exports.calibration import Calibration, read_converters
from analogdp.exports.cells import DEVICES, DOWNWARD, TARGET_DEVICES, TARGETS, UNITS, UPWARD
from analogdp.exports.drift import Drift, read_drift
from analogdp.exports.geometry import read_geometry
from analogdp.exports.hdf5 import FORMAT, FORMAT_VERSION, RESISTANCES
from analogdp.exports.programming import Programming, read_programming
from analogdp.files import check_format
from analogdp.scenario.wiring import Wiring

_FURTHER = (*DEVICES, *TARGETS, *TARGET_DEVICES)
"""Data sets of a tile that are not there in every file."""

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


class LineResistances(NamedTuple):
    """Resistances of a crossbar's lines in ohms: between two cells, of each line's driver, and of what senses its current."""

    word_line: float
    bit_line: float
    source: float
    sense: float


@dataclass(frozen=True)
class Tile:
    """One physical array; rows are word lines, columns are bit lines.

    Attributes:
        word_lines, bit_lines: which inputs and outputs of the layer the tile joins.
        plus, minus: conductances in siemens.
        target_weights, weights: what was asked for and what the network reads, in network units.
        plus_writes, minus_writes: write pulses each cell has received.
        plus_devices, minus_devices: conductances of single devices ``(devices, word lines, bit lines)``, or None.
        plus_target, minus_target: conductances in siemens that a controller is to reach, or None.
        plus_target_devices, minus_target_devices: those of single devices, or None.
    """

    word_lines: slice
    bit_lines: slice
    plus: Floats
    minus: Floats
    target_weights: Floats
    weights: Floats
    plus_writes: Integers
    minus_writes: Integers
    plus_devices: Floats | None = None
    minus_devices: Floats | None = None
    plus_target: Floats | None = None
    minus_target: Floats | None = None
    plus_target_devices: Floats | None = None
    minus_target_devices: Floats | None = None

    def __repr__(self) -> str:
        return (
            f"Tile(word lines {self.word_lines.start} to {self.word_lines.stop - 1}, "
            f"bit lines {self.bit_lines.start} to {self.bit_lines.stop - 1})"
        )


@dataclass(frozen=True)
class CrossbarConductances:
    """The cells of one synapse, assembled from its tiles: arrays of shape ``(chips, word lines, bit lines)``.

    Attributes:
        layer: which synapse: it joins layer ``layer`` to layer ``layer + 1``.
        chips: index of each chip along the first axis.
        plus, minus: conductances in siemens, without read noise.
        target_weights: what the pairs were asked to hold, in network units.
        weights: what the network reads, ``scale * (plus - minus)`` through the resistance of the lines; a torch weight is
            its transpose.
        plus_writes, minus_writes: write pulses each cell has received since fabrication, all of its devices together.
        scale: weight per siemens.
        low, high: nominal conductance range in siemens.
        tile: word lines and bit lines of the largest tile.
        biases: resting drives ``(chips, bit lines)`` of the neurons driven, one for each channel of a convolution, or None.
        card: the resolved device card.
        downward: whether it carries messages down instead, from layer ``layer + 1`` to layer ``layer``.
        shares: of each device in the current of its cell.
        plus_devices, minus_devices: conductances of single devices in siemens ``(chips, devices, word lines, bit lines)``;
            None where a cell is one device, or the minus cells are a reference.
        resistances: of the lines, or None if they have none.
        programming: what programming the initial weights took, or None if they were put in place exactly.
        wiring: the images, kernel and pools around the weights, or None if these join every unit with every unit.
        plus_target, minus_target: conductances in siemens at which cells hold what the trained ones do, which a controller is to
            reach; None in files of version 1, as all that follow.
        plus_target_devices, minus_target_devices: those of single devices ``(chips, devices, word lines, bit lines)``.
        target_tolerance: largest error of a device in siemens that is left.
        write_order: steps of writing ``(steps, 3)``: row and column of the tile, word line in it.
        converters: calibration of the lines' converters, by ``dac`` and ``adc``, then by ``forward`` and ``backward``.
        drift: what time is expected to make of programmed cells, or None if they stay.
    """

    layer: int
    chips: tuple[int, ...]
    plus: Floats
    minus: Floats
    target_weights: Floats
    weights: Floats
    plus_writes: Integers
    minus_writes: Integers
    scale: float
    low: float
    high: float
    tile: tuple[int, int]
    biases: Floats | None
    card: dict[str, Any]
    downward: bool = False
    shares: tuple[float, ...] = (1.0,)
    plus_devices: Floats | None = None
    minus_devices: Floats | None = None
    resistances: LineResistances | None = None
    programming: Programming | None = None
    wiring: Wiring | None = None
    plus_target: Floats | None = None
    minus_target: Floats | None = None
    plus_target_devices: Floats | None = None
    minus_target_devices: Floats | None = None
    target_tolerance: float | None = None
    write_order: Integers | None = None
    converters: dict[str, dict[str, Calibration]] = field(default_factory=dict)
    drift: Drift | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Word lines and bit lines."""
        return self.plus.shape[1], self.plus.shape[2]

    @property
    def kernels(self) -> Floats:
        """The weights of a convolution as torch has them, ``(chips, channels above, channels below, size, size)``.

        Raises:
            InputError: this is no convolution.
        """
        kernel = None if self.wiring is None else self.wiring.kernel
        if kernel is None:
            raise InputError(f"layer {self.layer} is no convolution; its weights are a matrix: weights")
        matrix = self.weights if self.downward else self.weights.swapaxes(1, 2)
        return matrix.reshape(len(self.chips), kernel.channels, -1, kernel.size, kernel.size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])

    def at(self, row: int, column: int, chip: int | None = None) -> Tile:
        """The tile in ``row`` and ``column`` of the grid, of the chip with index ``chip`` (default: the first); a view.

        Raises:
            InputError: there is no such tile or chip.
        """
        if not (0 <= row < self.grid[0] and 0 <= column < self.grid[1]):
            raise InputError(
                f"no tile ({row}, {column}): layer {self.layer} has {self.grid[0]} x {self.grid[1]} tiles, from (0, 0)"
            )
        position = 0 if chip is None else _position(self.chips, chip)
        word_lines = slice(row * self.tile[0], min((row + 1) * self.tile[0], self.shape[0]))
        bit_lines = slice(column * self.tile[1], min((column + 1) * self.tile[1], self.shape[1]))
        arrays = {name: getattr(self, name) for name in (*UNITS, *_FURTHER)}
        parts = {
            name: values[position, ..., word_lines, bit_lines] for name, values in arrays.items() if values is not None
        }
        return Tile(word_lines, bit_lines, **parts)

    def __repr__(self) -> str:
        place = "feedback to layer" if self.downward else "layer"
        return (
            f"CrossbarConductances({place} {self.layer}: {self.shape[0]} word lines x {self.shape[1]} bit lines "
            f"in {self.grid[0]} x {self.grid[1]} tiles, {_count(len(self.chips), 'chip')}, "
            f"{self.card.get('name', 'device')} {self.low:g} S to {self.high:g} S)"
        )


@dataclass(frozen=True)
class Conductances:
    """The trained crossbars of a run; ``conductances[k]`` are the cells between layers ``k`` and ``k + 1``.

    Attributes:
        name: the scenario's name.
        scenario: the resolved scenario, as YAML.
        layers: units of every layer, the clamped input first.
        chips: indices of the chips that were read.
        crossbars: the synapses that were read, in order; those without physical cells are not among them.
        feedback: crossbars of their own that carry messages down beside these, by the layer they lead to: ``feedback[k]``
            beside ``conductances[k]``. Empty where the synapses themselves are read backwards.
        versions: of the software that wrote the file.
    """

    name: str
    scenario: str
    layers: tuple[int, ...]
    chips: tuple[int, ...]
    crossbars: tuple[CrossbarConductances, ...]
    feedback: dict[int, CrossbarConductances]
    versions: dict[str, str]

    def __iter__(self) -> Iterator[CrossbarConductances]:
        return iter(self.crossbars)

    def __getitem__(self, layer: int) -> CrossbarConductances:
        for crossbar in self:
            if crossbar.layer == layer:
                return crossbar
        known = ", ".join(str(crossbar.layer) for crossbar in self)
        raise InputError(f"no conductances of layer {layer}; layers with conductances: {known}")

    def __repr__(self) -> str:
        head = f"Conductances({self.name}: {'-'.join(map(str, self.layers))}, {_count(len(self.chips), 'chip')})"
        return "\n".join((head, *(f"  {crossbar!r}" for crossbar in (*self.crossbars, *self.feedback.values()))))


def read_conductances(path: Path | str, layer: int | None = None, chip: int | None = None) -> Conductances:
    """Read a file that :func:`write_conductances` wrote.

    Args:
        path: the file, ``conductances.h5`` of a run.
        layer: read the synapse above this layer, and the feedback path beside it, only.
        chip: read the chip with this index only.

    Raises:
        InputError: the file is missing, damaged, of another kind or of a newer format, or has no such layer or chip.
    """
    path = Path(path)
    with opened(path) as file:
        return _read(path, file, layer, chip)


def layers_in(path: Path) -> list[int]:
    """The synapses that a file holds, by the layer below; errors are those of :func:`read_conductances`."""
    with opened(path) as file:
        return _layers(file)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, checked to be of a format that can be read; what fails on reading becomes an InputError that names it."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a run whose scenario has 'export: [hdf5]' and crossbars leaves conductances.h5"
        )
    try:
        with h5py.File(path, "r") as file:
            check_format(path, file.attrs, FORMAT, FORMAT_VERSION, "conductances.h5")
            yield file
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: damaged or not an HDF5 file: {error}") from error


def _read(path: Path, file: h5py.File, layer: int | None, chip: int | None) -> Conductances:
    written = tuple(int(index) for index in file.attrs["chips"])
    positions = range(len(written)) if chip is None else [_position(written, chip)]
    present = _layers(file)
    if layer is not None and layer not in present:
        raise InputError(
            f"{path}: no conductances of layer {layer}; layers with conductances: {', '.join(map(str, present))}"
        )
    places = [(written[position], position) for position in positions]
    upward, downward = (
        [_read_crossbar(path, file, kind, number, places) for number in _layers(file, kind) if layer in (None, number)]
        for kind in (UPWARD, DOWNWARD)
    )
    return Conductances(
        name=str(file.attrs["name"]),
        scenario=file["scenario"].asstr()[()],
        layers=tuple(int(units) for units in file.attrs["layers"]),
        chips=tuple(chip for chip, _ in places),
        crossbars=tuple(upward),
        feedback={crossbar.layer: crossbar for crossbar in downward},
        versions=json.loads(file.attrs["versions"]),
    )


def _layers(file: h5py.File, kind: str = UPWARD) -> list[int]:
    present = () if kind == DOWNWARD and kind not in file else file[kind]
    return sorted(int(name) for name in present)


def _read_crossbar(
    path: Path, file: h5py.File, kind: str, number: int, chips: list[tuple[int, int]]
) -> CrossbarConductances:
    group = file[f"{kind}/{number}"]
    attributes = group.attrs
    shape = int(attributes["word_lines"]), int(attributes["bit_lines"])
    if shape[0] * shape[1] * len(UNITS) > path.stat().st_size:
        raise ValueError(f"layer {number} says it has {shape[0]} x {shape[1]} pairs, more than the file can hold")
    tile_shape = int(attributes["tile_word_lines"]), int(attributes["tile_bit_lines"])
    if min(tile_shape) < 1:
        raise ValueError(f"layer {number} says its tiles have {tile_shape[0]} x {tile_shape[1]} pairs")
    indices = tuple(chip for chip, _ in chips)
    biases = file.get(f"biases/{number}") if kind == UPWARD else None
    return CrossbarConductances(
        layer=number,
        chips=indices,
        **_read_tiles(group, indices, shape),
        scale=float(attributes["scale"]),
        low=float(attributes["conductance_low"]),
        high=float(attributes["conductance_high"]),
        tile=tile_shape,
        biases=None if biases is None else biases[()][[position for _, position in chips]],
        card=json.loads(group["device_card"].asstr()[()]),
        downward=kind == DOWNWARD,
        shares=tuple(float(share) for share in attributes.get("shares", (1.0,))),
        resistances=_resistances(attributes),
        programming=read_programming(group, indices, shape),
        wiring=read_geometry(attributes),
        target_tolerance=float(attributes["target_tolerance"]) if "target_tolerance" in attributes else None,
        write_order=group[WRITE_ORDER][()] if WRITE_ORDER in group else None,
        converters=read_converters(group, [position for _, position in chips]),
        drift=read_drift(group),
    )


def _read_tiles(group: h5py.Group, chips: tuple[int, ...], shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """The tiles' data sets put together, ``(chips, ..., word lines, bit lines)``."""
    first = group[f"chip_{chips[0]}/tile_0_0"]
    names = [*UNITS, *(name for name in _FURTHER if name in first)]
    arrays = {name: np.empty((len(chips), *first[name].shape[:-2], *shape), dtype=first[name].dtype) for name in names}
    covered = 0
    for place, chip in enumerate(chips):
        for tile in group[f"chip_{chip}"].values():
            top, left = int(tile.attrs["first_word_line"]), int(tile.attrs["first_bit_line"])
            rows, columns = tile["plus"].shape
            for name, values in arrays.items():
                values[place, ..., top : top + rows, left : left + columns] = tile[name][()]
            covered += rows * columns
    if covered != len(chips) * shape[0] * shape[1]:
        raise ValueError(f"the tiles of {group.name} cover {covered} of {len(chips) * shape[0] * shape[1]} pairs")
    return arrays


def _resistances(attributes: Mapping[str, Any]) -> LineResistances | None:
    if not any(name in attributes for name in RESISTANCES):
        return None
    return LineResistances(**{part: float(attributes[name]) for name, part in RESISTANCES.items()})


def _position(chips: tuple[int, ...], chip: int) -> int:
    if chip not in chips:
        raise InputError(f"no chip {chip}; chips: {', '.join(map(str, chips))}")
    return chips.index(chip)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
