"""Pulse programs: the pulses by which a controller brings new cells to their targets, as the nominal device predicts.

A cell starts as delivered, or reset where pulses only raise it. It gets at most two runs of equal pulses: one towards the target,
and one back where steps are so coarse that the first cannot come within the tolerance. Of all such programs up to a number of
pulses a table is made, by the device model without variation and noise, and each cell gets the one that ends nearest. Cells with
a state equation are exposed to a voltage for any time, where their card's pulse is rectangular: then the time is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analogdp.devices import DeviceCard, DeviceModel, DeviceState
from analogdp.exports.nominal import STREAM, nominal_device

MOST_PULSES = 1 << 17
"""Of a run."""

MOST_BACK = 64
"""Pulses of a second run."""

LARGEST_TABLE = 1 << 17
"""Programs in a table."""

EXPOSURES = 8192
"""Times of exposure in one direction, evenly spaced in their logarithm, between which is interpolated."""

SHORTEST = 1e-4
"""The shortest of them, in ranges of conductance at the speed of the middle."""

NEAR = 0.1
"""Share of the tolerance by which programs need not come nearer to the ends of the range."""

UNITS = {
    "program_start": "index of a run",
    "program_runs": "runs",
    "program_polarity": "1: raises, -1: lowers the conductance",
    "program_pulses": "pulses",
    "program_voltage": "volts",
    "program_duration": "seconds",
}
"""The data sets of a tile."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Programs:
    """All programs that a controller may choose from.

    Attributes:
        start: conductance in siemens that cells have before.
        reset: whether that is after a reset; else as delivered.
        conductance: that they have after each program, ascending.
        first, second: signed pulses of the two runs, of exposures in pulse widths; the second is None if there is none.
        exposure: voltages up and down and the width of a pulse where cells are exposed for any time, else None.
        largest_error: by which a program may miss a target within the range, in siemens.
    """

    start: float
    reset: bool
    conductance: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64] | None
    exposure: tuple[float, float, float] | None
    largest_error: float

    def of(self, targets: NDArray[np.floating[Any]]) -> Arrays:
        """The programs of cells.

        Args:
            targets: in siemens ``(devices, word lines, bit lines)``.

        Returns:
            ``program_start``, the place of a device's first run in the lists, and ``program_runs``, how many it has, of the
            targets' shape; and the lists of runs ``(runs,)`` in the order in which they are issued: word line by word line, and
            on it bit line by bit line, device by device.
        """
        in_turn = np.ascontiguousarray(np.moveaxis(targets, 0, -1))
        runs = np.stack(self._chosen(in_turn.ravel()), -1)
        present = runs != 0
        number = present.sum(-1, dtype=np.uint8)
        start = np.cumsum(number, dtype=np.int64) - number
        shaped = {"program_start": start.astype(np.int32), "program_runs": number}
        listed = runs[present]
        found = {name: np.moveaxis(values.reshape(in_turn.shape), -1, 0) for name, values in shaped.items()}
        found["program_polarity"] = np.sign(listed).astype(np.int8)
        if self.exposure is None:
            found["program_pulses"] = np.abs(listed).astype(np.int32)
            return found
        up, down, width = self.exposure
        found["program_voltage"] = np.where(listed > 0, up, down)
        found["program_duration"] = np.abs(listed) * width
        return found

    def _chosen(self, targets: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], ...]:
        if self.exposure is not None:
            return (np.interp(targets, self.conductance, self.first),)
        middles = (self.conductance[1:] + self.conductance[:-1]) / 2
        index = np.searchsorted(middles, targets)
        return tuple(runs[index] for runs in (self.first, self.second) if runs is not None)


def why_no_program(card: DeviceCard) -> str | None:
    """Why there are no pulse programs for a card, or None."""
    if not nominal_device(card).closed_loop:
        return None
    return (
        f"cells of card {card.name!r} (model {card.model}) are programmed in a closed loop whose pulses the card does not state; "
        "reach the targets by write and verify"
    )


@lru_cache(maxsize=8)
def programs_of(card: DeviceCard, tolerance: float) -> Programs | None:
    """The programs for cells of a card.

    Args:
        card: of the device.
        tolerance: in siemens.
    """
    if why_no_program(card) is not None:
        return None
    device = nominal_device(card)
    pulse = device.write_pulse
    exposed = device.fractional and pulse is not None and pulse.shape == "rectangular"
    signs = (1.0,) if device.unidirectional else (1.0, -1.0)
    ways = [sign * _way(device, sign, tolerance, exposed) for sign in signs]
    first = np.concatenate([[0.0], *ways])
    second: NDArray[np.float64] | None = None
    reached = key = _after(device, first)
    if not exposed and not device.unidirectional and _largest_error(device, reached) > tolerance:
        first, second = _there_and_back(first)
        reached = _after(device, first, second)
        key = np.rint(reached / (NEAR * tolerance))
    # Of programs that end at the same conductance the shortest comes first.
    order = np.lexsort((np.abs(first) if second is None else np.abs(first) + np.abs(second), key))
    kept = order[np.diff(key[order], prepend=-1.0) > 0]
    return Programs(
        start=float(_after(device, np.zeros(1))[0]),
        reset=device.unidirectional,
        conductance=reached[kept],
        first=first[kept],
        second=None if second is None else second[kept],
        exposure=(pulse.up, pulse.down, pulse.width) if exposed and pulse is not None else None,
        largest_error=_largest_error(device, reached),
    )


def _there_and_back(runs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every run of a list, as long as the table has room, followed by every number of pulses in the other direction."""
    back = np.arange(MOST_BACK + 1.0)
    few = runs[np.argsort(np.abs(runs), kind="stable")][: LARGEST_TABLE // len(back)]
    first = np.repeat(few, len(back))
    return first, -np.sign(first) * np.tile(back, len(few))


def _start(device: DeviceModel, cells: int) -> DeviceState:
    """Cells before programming."""
    state = device.sample((1, 1, cells), STREAM)
    if device.unidirectional:
        device.reset(state, torch.ones((1, 1, 1, cells), dtype=torch.bool), STREAM)
    return state


def _after(device: DeviceModel, *runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conductances in siemens ``(programs,)`` after runs of signed pulses, one after the other, each ``(programs,)``."""
    state = _start(device, len(runs[0]))
    for counts in runs:
        device.pulse(state, torch.from_numpy(counts).view(1, 1, 1, -1), STREAM)
    return np.asarray(device.conductance(state).flatten().numpy())


def _way(device: DeviceModel, sign: float, tolerance: float, exposed: bool) -> NDArray[np.float64]:
    """Numbers of pulses in one direction, to where nothing more is gained."""
    end, most = device.high if sign > 0 else device.low, 1.0
    before = np.inf
    while most < MOST_PULSES:
        missing = float(sign * (end - _after(device, np.array([sign * most]))[0]))
        if missing <= NEAR * tolerance or missing >= before:
            break
        before, most = missing, 2 * most
    if not exposed:
        return np.arange(1, int(most) + 1).astype(np.float64)
    shortest = SHORTEST * (device.high - device.low) / device.increment
    return np.geomspace(min(shortest, most / 2), most, EXPOSURES).astype(np.float64)


def _largest_error(device: DeviceModel, reached: NDArray[np.float64]) -> float:
    """By how much the nearest of some conductances may miss one in the range: half a gap, or what is missing at an end."""
    inside = np.sort(reached[(reached >= device.low) & (reached <= device.high)])
    ends = [float(np.abs(reached - end).min()) for end in (device.low, device.high)]
    return max(float(np.diff(inside).max(initial=0.0)) / 2, *ends)
