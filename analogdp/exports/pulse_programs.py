"""Pulse programs: the pulses by which a controller brings new cells to their targets, as the nominal device predicts.

A cell starts as delivered, or reset where pulses only raise it. It gets at most three runs of equal pulses: one towards the
target, one back where steps are so coarse that the first cannot come within the tolerance of every target, and a third one where
two cannot. Of all such programs up to a number of pulses a table is made, by the device model without variation and noise, and
each cell gets the one that ends nearest; the file says where that may be out of tolerance. Cells with a state equation are
exposed to a voltage for any time, where their card's pulse is rectangular: then the time is interpolated.
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
"""Pulses of a second run, and of a third one."""

MOST_RUNS = 3
"""Of a program."""

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
        runs: signed pulses of each program's runs ``(programs, runs)``, of exposures in pulse widths; 0: no such run.
        exposure: voltages up and down and the width of a pulse where cells are exposed for any time, else None.
        largest_error: by which a program may miss a target within the range, in siemens.
    """

    start: float
    reset: bool
    conductance: NDArray[np.float64]
    runs: NDArray[np.float64]
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
        runs = self._chosen(in_turn.ravel())
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

    def misses(self, targets: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """By how much in siemens the programs of cells miss their targets, of the targets' shape."""
        if self.exposure is not None:
            reached = np.clip(targets, self.conductance[0], self.conductance[-1])
        else:
            reached = self.conductance[self._nearest(targets)]
        return np.asarray(np.abs(reached - targets), dtype=np.float64)

    def _chosen(self, targets: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Runs ``(cells, runs)`` of cells."""
        if self.exposure is not None:
            return np.asarray(np.interp(targets, self.conductance, self.runs[:, 0])).reshape(-1, 1)
        return self.runs[self._nearest(targets)]

    def _nearest(self, targets: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
        """Places of programs."""
        return np.asarray(np.searchsorted((self.conductance[1:] + self.conductance[:-1]) / 2, targets))


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
    runs = np.concatenate([[0.0], *ways])[:, np.newaxis]
    reached = key = _after(device, runs)
    turns = not exposed and not device.unidirectional
    while turns and runs.shape[1] < MOST_RUNS and _largest_error(device, reached) > tolerance:
        runs = _and_back(runs)
        reached = _after(device, runs)
        key = np.rint(reached / (NEAR * tolerance))
    # Of programs that end at the same conductance the shortest comes first.
    order = np.lexsort((np.abs(runs).sum(1), key))
    kept = order[np.diff(key[order], prepend=-1.0) > 0]
    return Programs(
        start=float(_after(device, np.zeros((1, 1)))[0]),
        reset=device.unidirectional,
        conductance=reached[kept],
        runs=runs[kept],
        exposure=(pulse.up, pulse.down, pulse.width) if exposed and pulse is not None else None,
        largest_error=_largest_error(device, reached[kept]),
    )


def _and_back(runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every program of a list, as long as the table has room, followed by every number of pulses against its last run."""
    back = np.arange(MOST_BACK + 1.0)
    few = runs[np.argsort(np.abs(runs).sum(1), kind="stable")][: LARGEST_TABLE // len(back)]
    before = np.repeat(few, len(back), axis=0)
    return np.column_stack((before, -np.sign(before[:, -1]) * np.tile(back, len(few))))


def _start(device: DeviceModel, cells: int) -> DeviceState:
    """Cells before programming."""
    state = device.sample((1, 1, cells), STREAM)
    if device.unidirectional:
        device.reset(state, torch.ones((1, 1, 1, cells), dtype=torch.bool), STREAM)
    return state


def _after(device: DeviceModel, runs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Conductances in siemens ``(programs,)`` after runs ``(programs, runs)`` of signed pulses, one after the other."""
    state = _start(device, len(runs))
    for counts in runs.T:
        device.pulse(state, torch.tensor(counts).view(1, 1, 1, -1), STREAM)
    return np.asarray(device.conductance(state).flatten().numpy())


def _way(device: DeviceModel, sign: float, tolerance: float, exposed: bool) -> NDArray[np.float64]:
    """Numbers of pulses in one direction, to where nothing more is gained."""
    end, most = device.high if sign > 0 else device.low, 1.0
    before = np.inf
    while most < MOST_PULSES:
        missing = float(sign * (end - _after(device, np.array([[sign * most]]))[0]))
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
