"""Whether measured conductances can be a device's at all: a wrong unit shall not pass for a bad chip."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import AnalogdpWarning, InputError
from analogdp.imports.measured_csv import SIEMENS
from analogdp.synapses import ConductanceTable

FAR = 10.0
"""How many times out of the range of its device a usual conductance is worth a warning."""

ABSURD = 1000.0
"""How many times above the range of its device no cell conducts."""


def check_range(
    measured: NDArray[np.float64], trained: NDArray[np.float64], table: ConductanceTable, place: str
) -> None:
    """Compare cells of one polarity with the nominal range of their device.

    The usual conductance is the median. Where the range begins at 0 S, the mean of the trained cells is its lower end, and the
    mean of the measured ones what is compared with it, as half of the cells may conduct next to nothing.

    Args:
        measured: in siemens ``(word lines, bit lines)``, NaN where cells are missing.
        trained: what the simulation held.
        table: of the crossbar.
        place: of the cells, for messages.

    Raises:
        InputError: a cell conducts more than 1000 times the upper end of the range.

    Warns:
        AnalogdpWarning: the usual conductance is more than ten times out of range.
    """
    known = measured[~np.isnan(measured)]
    if not known.size:
        return
    median, high = float(np.median(known)), table.high
    low, usual = (table.low, median) if table.low > 0 else (float(trained.mean()), float(known.mean()))
    device = f"the range of {table.card['name']}, {table.low:g} to {high:g} S"
    if known.max() > ABSURD * high:
        row, column = np.unravel_index(int(np.nanargmax(measured)), measured.shape)
        way_out = _likely(median, trained, table) or "; mark a cell that could not be measured as missing"
        raise InputError(
            f"{place} of word line {row}, bit line {column} is {known.max():g} S, {known.max() / high:.3g} times the upper end "
            f"of {device}{way_out}"
        )
    if median > FAR * high:
        _warn(
            place, f"{median:g} S (median), {median / high:.3g} times above {device}", _likely(median, trained, table)
        )
    elif usual < low / FAR:
        word = "median" if table.low > 0 else "mean"
        factor = f"{low / usual:.3g} times" if usual > 0 else "far"
        than = device if table.low > 0 else f"the {low:g} S of the trained cells"
        _warn(place, f"{usual:g} S ({word}), {factor} below {than}", _likely(usual, trained, table))


def _warn(place: str, found: str, likely: str) -> None:
    warnings.warn(f"{place} is usually {found}{likely}", AnalogdpWarning, stacklevel=5)


def _likely(usual: float, trained: NDArray[np.float64], table: ConductanceTable) -> str:
    """Which unit was probably taken for which: nothing, if no power of a thousand brings the cells to their range."""
    ordinary = float(trained.mean())
    if not (usual > 0 and ordinary > 0):
        return ""
    power = round(math.log(usual / ordinary, 1000))
    unit = next((name for name, factor in SIEMENS.items() if math.isclose(factor, 1000.0 ** -abs(power))), None)
    if power == 0 or unit is None or not table.low <= usual / 1000.0**power <= table.high:
        return ""
    written, read = (unit, "S") if power > 0 else ("S", unit)
    return f"; these seem to be values in {written} that were read as {read}: check the unit"
