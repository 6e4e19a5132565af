"""``conductances.h5``: every cell of the trained crossbars, tile by tile, in siemens.

The layout of a file (format version 1); ``read_conductances`` of :mod:`analogdp.exports.reading` reads it::

    /                                attributes: format, format_version, name, layers, chips, versions (JSON),
                                     conventions
    /scenario                        the resolved scenario, YAML text
    /biases/<k>                      (chips, bit lines): resting drives of the neurons above synapse k, one for each channel of
                                     a convolution; absent without
    /normalisations/<k>              there where the drives of synapse k are normalised over batches
        gain, offset, mean, variance (chips, bit lines): the drive is gain * (x - mean) / sqrt(variance + 1e-5) + offset
    /synapses/<k>                    joins layer k to layer k+1. Attributes: word_lines, bit_lines, tile_word_lines,
                                     tile_bit_lines (the largest tile), tile_rows, tile_columns (the grid of tiles),
                                     scale (weight per siemens), conductance_low, conductance_high (siemens); shares of
                                     the devices of a unit in its current, where several make up a cell; where lines have
                                     resistance, word_line_resistance and bit_line_resistance between two cells,
                                     source_resistance and sense_resistance (ohms); in networks of images what
                                     :mod:`analogdp.exports.geometry` writes: shape_below, shape_read, shape_drives,
                                     shape_above, normalised, kernel_channels, kernel_size, kernel_stride, kernel_padding,
                                     activity_pool_kind, activity_pool_size, activity_pool_stride, the same of drive_pool
    /synapses/<k>/device_card        the resolved device card, JSON text
    /synapses/<k>/chip_<c>/tile_<i>_<j>
                                     one physical array of differential pairs. Attributes: first_word_line,
                                     first_bit_line
        plus, minus                  conductances of the two cells of each pair, without read noise, in siemens
        plus_devices, minus_devices  (devices, word lines, bit lines): those of single devices, where several make up a
                                     cell; plus and minus are then their sums, weighted by their shares. Without
                                     minus_devices where the minus cells are a reference
        target_weights               what the pair was asked to hold: initial weight plus every requested change
        weights                      what the network reads: scale * (plus - minus), through the resistance of the lines
        plus_writes, minus_writes    pulses that each cell received since its fabrication, all of its devices together
    /synapses/<k>/programming        there where the initial weights were programmed by pulses. Attributes: method,
                                     tolerance, budget, most_pulses, as the scenario says
    /synapses/<k>/programming/chip_<c>
                                     arrays (devices, word lines, bit lines): devices of plus, then those of minus, if
                                     these are programmable. Attribute: energy (joules) of the pulses, if known
        pulses, reads                how many each device got
        error                        conductance less the wanted one, in siemens
        unfinished                   whether the device was still out of tolerance at its last read; absent without reads
    /feedback/<k>                    as /synapses/<k>: crossbars of their own that carry messages down, from layer k+1 to
                                     layer k; absent where the synapses themselves are read backwards

All arrays are laid out as the hardware is: rows are word lines (the inputs of the layer), columns are bit
lines (its outputs). Every numeric data set has an attribute ``unit``. Texts are data sets because HDF5 limits an
attribute to 64 KiB. Nothing is compressed and no times are stored, so equal networks give equal bytes.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import h5py
import numpy as np

from analogdp import __version__, registry
from analogdp.errors import InputError
from analogdp.exports.base import Exporter
from analogdp.exports.geometry import write_geometry
from analogdp.exports.programming import write_programming
from analogdp.exports.storage import physical, plain, write_array, write_text
from analogdp.files import atomic_path
from analogdp.network import Network
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import ExportSettings, Scenario
from analogdp.scenario.wiring import Wiring
from analogdp.synapses import ConductanceTable, CrossbarSettings

FORMAT = "analogdp conductances"
FORMAT_VERSION = 1
FILE_NAME = "conductances.h5"
NO_CELLS = "there are no conductances to write: the weights are ideal; use 'synapse: crossbar'"

UPWARD, DOWNWARD = "synapses", "feedback"
"""Groups of the crossbars that carry messages up, and of those that carry them down."""

CONVENTIONS = "rows are word lines (inputs of the layer), columns are bit lines (outputs of the layer)"
UNITS = {
    "plus": "siemens",
    "minus": "siemens",
    "target_weights": "network units",
    "weights": "network units",
    "plus_writes": "pulses",
    "minus_writes": "pulses",
}
"""The data sets of a tile and what they are measured in."""

DEVICES = {"plus_devices": "siemens", "minus_devices": "siemens"}
"""Further data sets of a tile, where a cell is made up of several devices."""

RESISTANCES = {f"{part}_resistance": part for part in ("word_line", "bit_line", "source", "sense")}
"""Attributes of a synapse whose lines have resistance, and what a scenario calls these."""


class Hdf5Settings(ExportSettings):
    """Every cell of the trained crossbars, as ``conductances.h5``."""

    format: Literal["hdf5"] = "hdf5"


@registry.exporters.register("hdf5")
class Hdf5(Exporter):
    """All cells of all crossbars of all chips; a scenario without cells has no such file."""

    Settings = Hdf5Settings
    file_name = FILE_NAME

    def lacks(self, network: Network) -> str | None:
        return None if has_cells(network) else NO_CELLS

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        _write(path, network, scenario)


def has_cells(network: Network) -> bool:
    """Whether any synapse is made of physical cells."""
    return any(True for _ in _tables(network))


def _tables(network: Network) -> Iterator[tuple[str, ConductanceTable, Wiring]]:
    """The crossbars that have cells, one after the other, with the group that they go to and what lies around them."""
    for kind, synapses in ((UPWARD, network.synapses), (DOWNWARD, network.feedback_paths)):
        for number, synapse in enumerate(synapses):
            table = None if synapse is None else synapse.conductances()
            if table is not None:
                yield f"{kind}/{number}", table, network.projections[number].wiring


def write_conductances(path: Path, network: Network, scenario: Scenario) -> Path:
    """Write the cells of all crossbars, atomically; synapses without cells are left out.

    One chip of one synapse is copied at a time.

    Returns:
        ``path``.

    Raises:
        InputError: no synapse has cells.
    """
    if not has_cells(network):
        raise InputError(f"{path}: {NO_CELLS}")
    with atomic_path(path) as temporary:
        _write(temporary, network, scenario)
    return path


def _write(path: Path, network: Network, scenario: Scenario) -> None:
    with h5py.File(path, "w") as file:
        _write_header(file, network, scenario)
        for name, table, wiring in _tables(network):
            group = file.create_group(name)
            write_geometry(group, wiring)
            _write_synapse(group, table, network.chip_indices, scenario)


def _write_header(file: h5py.File, network: Network, scenario: Scenario) -> None:
    versions = {"analogdp": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "numpy", "h5py")}
    file.attrs.update(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": scenario.name,
            "layers": np.asarray(network.sizes, dtype="<i8"),
            "chips": np.asarray(network.chip_indices, dtype="<i8"),
            "versions": json.dumps(versions),
            "conventions": CONVENTIONS,
        }
    )
    write_text(file, "scenario", dump_scenario(scenario))
    for number, layer in enumerate(network.layers):
        if layer.bias is not None:
            biases = plain(layer.bias.reshape(network.chips, -1))
            write_array(file, f"biases/{number}", biases, "network units")
    for place, normalisation in network.normalisations.items():
        for name, values in normalisation.state_dict().items():
            write_array(file, f"normalisations/{place}/{name}", plain(values), "network units")


def _write_synapse(group: h5py.Group, table: ConductanceTable, chips: tuple[int, ...], scenario: Scenario) -> None:
    outputs, inputs = table.plus.shape[-2:]
    rows, columns = table.tile or (inputs, outputs)
    group.attrs.update(
        {
            "word_lines": inputs,
            "bit_lines": outputs,
            "tile_word_lines": min(rows, inputs),
            "tile_bit_lines": min(columns, outputs),
            "tile_rows": -(-inputs // rows),
            "tile_columns": -(-outputs // columns),
            "scale": float(table.scale),
            "scale_unit": "network units per siemens",
            "conductance_low": float(table.low),
            "conductance_high": float(table.high),
            "conductance_unit": "siemens",
        }
    )
    settings = scenario.synapse if isinstance(scenario.synapse, CrossbarSettings) else None
    if settings is not None and settings.wires is not None:
        group.attrs.update({name: float(getattr(settings.wires, part)) for name, part in RESISTANCES.items()})
        group.attrs["resistance_unit"] = "ohms"
    if table.units is not None:
        group.attrs["shares"] = np.asarray(table.shares, dtype="<f8")
    write_text(group, "device_card", json.dumps(table.card, allow_nan=False))
    if table.programming is not None:
        write_programming(group, table.programming, None if settings is None else settings.programming, chips)
    for position, chip in enumerate(chips):
        _write_chip(group.create_group(f"chip_{chip}"), table, position, (rows, columns))


def _write_chip(group: h5py.Group, table: ConductanceTable, position: int, tile: tuple[int, int]) -> None:
    arrays = {
        "plus": table.plus[position],
        "minus": table.minus[position],
        "target_weights": table.target_weights[position],
        "weights": table.weights[position],
        "plus_writes": table.write_counts[position, 0],
        "minus_writes": table.write_counts[position, 1],
    }
    if table.units is not None:
        arrays |= dict(zip(DEVICES, table.units[position], strict=False))
    whole = {name: physical(values) for name, values in arrays.items()}
    for name, (word_lines, bit_lines) in _tiles(whole["plus"].shape, tile):
        part = group.create_group(name)
        part.attrs.update({"first_word_line": word_lines.start, "first_bit_line": bit_lines.start})
        for kind, values in whole.items():
            write_array(part, kind, values[..., word_lines, bit_lines], (UNITS | DEVICES)[kind])


def _tiles(shape: tuple[int, ...], tile: tuple[int, int]) -> Iterator[tuple[str, tuple[slice, slice]]]:
    """Name and extent of every tile of an array of ``shape``; those at the far edges may be smaller."""
    for row, word_line in enumerate(range(0, shape[0], tile[0])):
        for column, bit_line in enumerate(range(0, shape[1], tile[1])):
            word_lines = slice(word_line, min(word_line + tile[0], shape[0]))
            bit_lines = slice(bit_line, min(bit_line + tile[1], shape[1]))
            yield f"tile_{row}_{column}", (word_lines, bit_lines)
