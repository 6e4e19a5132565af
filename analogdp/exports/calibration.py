"""Calibration of a crossbar's converters: range, gain and offset of every line, for both directions of reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from analogdp.exports.storage import plain, write_array
from analogdp.synapses import Crossbar
from analogdp.synapses.converters import Converter

GROUP = "converters"
DIRECTIONS = ("forward", "backward")
"""Driven at the word lines and sensed at the bit lines, and the other way round."""

UNITS = {"limit": "network units", "gain": "ratio", "offset": "share of the range"}

_SETTINGS = {"bits": "bits", "noise": "LSB", "conversion_time": "seconds", "figure_of_merit": "joules"}

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Calibration:
    """Of the converters on one side of a crossbar, in one direction of reading.

    Attributes:
        bits: resolution.
        limit: largest magnitude that is converted, in network units ``(chips,)``; NaN where it follows every vector
            (``range: dynamic``), or was not calibrated yet.
        gain, offset: of each line's converter ``(chips, lines)``, the offset as a share of the range. An ADC has the lines of one
            tile after those of the other.
    """

    bits: int
    limit: Floats
    gain: Floats
    offset: Floats


def write_converters(group: h5py.Group, crossbar: Crossbar) -> None:
    """Write what is known of a crossbar's converters into the new group ``converters``; nothing if it has none."""
    for name, converter in (("dac", crossbar.reader.dac), ("adc", crossbar.reader.adc)):
        if converter is None:
            continue
        own = group.require_group(GROUP).create_group(name)
        settings = converter.settings
        own.attrs["range"] = settings.range if isinstance(settings.range, str) else "fixed"
        for key, unit in _SETTINGS.items():
            if (value := getattr(settings, key)) is not None:
                own.attrs.update({key: value, f"{key}_unit": unit})
        lines = _lines(crossbar, name)
        for number, direction in enumerate(DIRECTIONS):
            part = own.create_group(direction)
            for kind, values in _values(converter, number, lines[number]).items():
                write_array(part, kind, values, UNITS[kind])


def read_converters(group: h5py.Group, positions: list[int]) -> dict[str, dict[str, Calibration]]:
    """What :func:`write_converters` wrote of some chips: by ``dac`` and ``adc``, then by direction; empty without."""
    if GROUP not in group:
        return {}
    return {
        name: {
            direction: Calibration(int(own.attrs["bits"]), *(own[direction][kind][()][positions] for kind in UNITS))
            for direction in DIRECTIONS
        }
        for name, own in group[GROUP].items()
    }


def _lines(crossbar: Crossbar, name: str) -> tuple[int, int]:
    """How many lines have a converter, in each direction."""
    inputs, outputs = crossbar.inputs, crossbar.outputs
    if name == "dac":
        return inputs, outputs
    rows, columns = (len(slices) for slices in crossbar.reader.slices)
    return outputs * rows, inputs * columns


def _values(converter: Converter, direction: int, lines: int) -> dict[str, Floats]:
    limits = plain(converter.limits[direction]).copy()
    if converter.fixed is not None:
        limits[:] = converter.fixed
    limits[limits == 0] = np.nan
    values = {"limit": limits}
    for name, nominal in (("gain", 1.0), ("offset", 0.0)):
        drawn = getattr(converter, f"{name}{direction}", None)
        even = np.full((len(limits), lines), nominal, limits.dtype)
        values[name] = even if drawn is None else plain(drawn[:, 0])
    return values
