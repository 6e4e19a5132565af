"""``conductances.h5``: every cell of the trained crossbars, tile by tile, in siemens.

The layout of a file (format version 2); ``read_conductances`` of :mod:`analogdp.exports.reading` reads it::

    /                                attributes: format, format_version, name, layers, chips, versions (JSON),
                                     conventions
    /scenario                        the resolved scenario, YAML text
    /biases/<k>                      (chips, bit lines): resting drives of the neurons above synapse k, one for each channel of
                                     a convolution; absent without
    /normalisations/<k>              there where the drives of synapse k are normalised over batches
        gain, offset, mean, variance (chips, bit lines): the drive is gain * (x - mean) / sqrt(variance + 1e-5) + offset
    /synapses/<k>                    joins layer k to layer k+1. Attributes: word_lines, bit_lines, tile_word_lines,
                                     tile_bit_lines (the largest tile), tile_rows, tile_columns (the grid of tiles),
                                     scale (weight per siemens), conductance_low, conductance_high (siemens);
                                     target_tolerance (siemens); of pulse programs program_from, program_start_conductance and
                                     program_largest_error (siemens), and program_warning where that is larger than
                                     the tolerance, or why there are none in no_program; pulse_up, pulse_down, pulse_width
                                     and pulse_shape, if the card states them; shares of the devices of a unit in its current,
                                     where several make up a cell; where lines have resistance, word_line_resistance and
                                     bit_line_resistance between two cells, source_resistance and sense_resistance (ohms);
                                     in networks of images what :mod:`analogdp.exports.geometry` writes: shape_below, shape_read,
                                     shape_drives, shape_above, normalised, kernel_channels, kernel_size, kernel_stride,
                                     kernel_padding, activity_pool_kind, activity_pool_size, activity_pool_stride, the same of
                                     drive_pool
    /synapses/<k>/device_card        the resolved device card, JSON text
    /synapses/<k>/chip_<c>           Attribute: program_unmet, devices that a program leaves out of tolerance
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
        plus_target, minus_target    what a controller is to reach (:mod:`analogdp.exports.targets`), in siemens
        plus_target_devices, minus_target_devices
                                     those of single devices, where several make up a cell
        program_start, program_runs, program_polarity, and program_pulses or program_voltage and program_duration
                                     the pulses that lead there (:mod:`analogdp.exports.pulse_programs`): arrays (devices, word
                                     lines, bit lines) of where the runs of a device begin and of how many they are, and the
                                     lists of runs, in the order in which they are issued
    /synapses/<k>/write_order        (steps, 3): row and column of the tile and word line in it, all of whose cells are written
                                     in this step, before those of the next
    /synapses/<k>/converters/dac, adc
                                     there where lines have converters (:mod:`analogdp.exports.calibration`); in each, for the
                                     directions of reading, forward/ and backward/ with limit (chips,), gain, offset (chips, n)
    /synapses/<k>/drift              there where cells age (:mod:`analogdp.exports.drift`): time (times,), programmed (levels,),
                                     mean and spread (times, levels) of the conductance
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
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from analogdp import __version__, registry
from analogdp.errors import InputError
from analogdp.exports.base import Exporter
from analogdp.exports.bench import Bench
from analogdp.exports.cells import Arrays, Cells, Place, all_cells, has_cells, unit_of
from analogdp.exports.geometry import write_geometry
from analogdp.exports.programming import write_programming
from analogdp.exports.pulse_programs import UNITS as PROGRAM_UNITS
from analogdp.exports.storage import plain, write_array, write_text
from analogdp.files import atomic_path, written_by_library
from analogdp.network import Network
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import ExportSettings, Scenario
from analogdp.synapses import CrossbarSettings

FORMAT = "analogdp conductances"
FORMAT_VERSION = 2
FILE_NAME = "conductances.h5"
NO_CELLS = "there are no conductances to write: the weights are ideal; use 'synapse: crossbar'"

CONVENTIONS = "rows are word lines (inputs of the layer), columns are bit lines (outputs of the layer)"

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

    def sidecar(self, network: Network, scenario: Scenario) -> Mapping[str, Any]:
        return _header(network, scenario) | {"crossbars": {cells.name: _summary(cells) for cells in all_cells(network)}}


def write_conductances(path: Path, network: Network, scenario: Scenario) -> Path:
    """Write the cells of all crossbars, atomically; synapses without cells are left out.

    One tile is copied at a time.

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
    with written_by_library(path) as target, h5py.File(target, "w") as file:
        _write_header(file, network, scenario)
        for cells in all_cells(network):
            group = file.create_group(cells.name)
            write_geometry(group, cells.wiring)
            _write_synapse(group, cells, network.chip_indices, scenario)


def _header(network: Network, scenario: Scenario) -> dict[str, Any]:
    """What the file says of itself."""
    versions = {"analogdp": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "numpy", "h5py")}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": scenario.name,
        "layers": list(network.sizes),
        "chips": list(network.chip_indices),
        "versions": versions,
        "conventions": CONVENTIONS,
    }


def _write_header(file: h5py.File, network: Network, scenario: Scenario) -> None:
    header = _header(network, scenario)
    numbers = {name: np.asarray(header[name], dtype="<i8") for name in ("layers", "chips")}
    file.attrs.update(header | numbers | {"versions": json.dumps(header["versions"])})
    write_text(file, "scenario", dump_scenario(scenario))
    for number, layer in enumerate(network.layers):
        if layer.bias is not None:
            biases = plain(layer.bias.reshape(network.chips, -1))
            write_array(file, f"biases/{number}", biases, "network units")
    for place, normalisation in network.normalisations.items():
        for name, values in normalisation.state_dict().items():
            write_array(file, f"normalisations/{place}/{name}", plain(values), "network units")


def _attributes(cells: Cells) -> dict[str, Any]:
    """Of a synapse's group: what its cells have in common."""
    facts = cells.facts
    return {
        "word_lines": cells.word_lines,
        "bit_lines": cells.bit_lines,
        "tile_word_lines": cells.tile[0],
        "tile_bit_lines": cells.tile[1],
        "tile_rows": cells.grid[0],
        "tile_columns": cells.grid[1],
        "scale": float(facts.scale),
        "scale_unit": "network units per siemens",
        "conductance_low": float(facts.low),
        "conductance_high": float(facts.high),
        "conductance_unit": "siemens",
    }


def _write_synapse(group: h5py.Group, cells: Cells, chips: tuple[int, ...], scenario: Scenario) -> None:
    table, bench = cells.facts, Bench.of(cells)
    group.attrs.update(_attributes(cells))
    settings = scenario.synapse if isinstance(scenario.synapse, CrossbarSettings) else None
    if settings is not None and settings.wires is not None:
        group.attrs.update({name: float(getattr(settings.wires, part)) for name, part in RESISTANCES.items()})
        group.attrs["resistance_unit"] = "ohms"
    if table.units is not None:
        group.attrs["shares"] = np.asarray(table.shares, dtype="<f8")
    write_text(group, "device_card", json.dumps(table.card, allow_nan=False))
    if table.programming is not None:
        write_programming(group, table.programming, None if settings is None else settings.programming, chips)
    if bench is not None:
        bench.write(group)
    for position, chip in enumerate(chips):
        own = group.create_group(f"chip_{chip}")
        unmet = 0
        for place in cells.places:
            part = own.create_group(place.name)
            part.attrs.update({"first_word_line": place.word_lines.start, "first_bit_line": place.bit_lines.start})
            arrays = _tile(cells, bench, position, place)
            for name, values in arrays.items():
                write_array(part, name, values, _unit(name))
            unmet += 0 if bench is None else bench.unmet(arrays)
        if bench is not None and bench.programs is not None:
            own.attrs["program_unmet"] = unmet


def _tile(cells: Cells, bench: Bench | None, position: int, place: Place) -> Arrays:
    """All data sets of a tile."""
    arrays = cells.arrays(position, place)
    return arrays if bench is None else arrays | bench.arrays(arrays)


def _unit(name: str) -> str:
    return PROGRAM_UNITS[name] if name in PROGRAM_UNITS else unit_of(name)


def _summary(cells: Cells) -> dict[str, Any]:
    """What the sidecar says of a crossbar: its attributes, and the data sets of a tile by the example of the first."""
    bench, place = Bench.of(cells), next(cells.places)
    arrays = _tile(cells, bench, 0, place)
    tile = {
        name: {
            "shape": ["runs"] if values.ndim == 1 else list(values.shape),
            "type": str(values.dtype),
            "unit": _unit(name),
        }
        for name, values in arrays.items()
    }
    groups = {"tiles_of_each_chip": f"chip_<index>/tile_<0 to {cells.grid[0] - 1}>_<0 to {cells.grid[1] - 1}>"}
    return (
        _attributes(cells) | ({} if bench is None else bench.attributes()) | groups | {"data_sets_of_first_tile": tile}
    )
