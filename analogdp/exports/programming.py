"""What programming the initial weights took, as ``conductances.h5`` keeps it beside the cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from analogdp.exports.storage import physical, write_array
from analogdp.synapses.parts import ProgrammingSettings
from analogdp.synapses.programming import ProgrammingReport

GROUP = "programming"
UNITS = {"pulses": "pulses", "reads": "reads", "error": "siemens", "unfinished": "true or false"}
"""The data sets of a chip and what they are measured in; the last is there where devices were read."""

_SETTINGS: dict[str, Any] = {"method": str, "tolerance": float, "budget": int, "most_pulses": int}


@dataclass(frozen=True, repr=False)
class Programming:
    """What programming took, and what it left: arrays of shape ``(chips, devices, word lines, bit lines)``.

    The devices of a weight are those of its plus cell, then those of its minus cell, if that is programmable.

    Attributes:
        pulses: that every device got, in both directions.
        reads: of every device.
        error: conductance less the wanted one, in siemens, without read noise.
        unfinished: whether a device was still out of tolerance at its last read; None if none was read.
        energy: of the pulses in joules ``(chips,)``, a shared reference column's included; None if the card does not state
            their voltages.
        method: ``open_loop`` or ``write_verify``; None if the scenario does not say.
        tolerance: largest error of a read, relative to the conductance range, or None.
        budget: most reads of a device, or None.
        most_pulses: between two reads, or None for any number.
    """

    pulses: NDArray[np.integer[Any]]
    reads: NDArray[np.integer[Any]]
    error: NDArray[np.floating[Any]]
    unfinished: NDArray[np.bool_] | None
    energy: NDArray[np.float64] | None
    method: str | None = None
    tolerance: float | None = None
    budget: int | None = None
    most_pulses: int | None = None

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.pulses.shape))
        left = "" if self.unfinished is None else f", {np.count_nonzero(self.unfinished)} devices out of tolerance"
        pulses, method = int(self.pulses.sum()), self.method or "programmed"
        return f"Programming({size} devices, {method}: {pulses} pulses, {int(self.reads.sum())} reads{left})"


def write_programming(
    group: h5py.Group, report: ProgrammingReport, settings: ProgrammingSettings | None, chips: Sequence[int]
) -> None:
    """Write a synapse's programming, one chip at a time, into the new group ``programming`` of its own."""
    own = group.create_group(GROUP)
    if settings is not None:
        own.attrs.update(settings.model_dump(exclude_none=True))
    for position, chip in enumerate(chips):
        part = own.create_group(f"chip_{chip}")
        for name, unit in UNITS.items():
            values = getattr(report, name)
            if values is not None:
                counted = values[position].to(torch.int32) if name in ("pulses", "reads") else values[position]
                write_array(part, name, physical(counted), unit)
        if report.energy is not None:
            part.attrs.update({"energy": float(report.energy[position]), "energy_unit": "joules"})


def read_programming(group: h5py.Group, chips: Sequence[int], shape: tuple[int, int]) -> Programming | None:
    """What :func:`write_programming` wrote of some chips, or None if there is nothing.

    Raises:
        ValueError: the arrays are not of ``shape``, word lines and bit lines.
    """
    if GROUP not in group:
        return None
    own = group[GROUP]
    parts = [own[f"chip_{chip}"] for chip in chips]
    present = [name for name in UNITS if name != "unfinished" or name in parts[0]]
    arrays = {name: np.stack([part[name][()] for part in parts]) for name in present}
    for name, values in arrays.items():
        if values.shape != (*arrays["pulses"].shape[:2], *shape):
            raise ValueError(f"{own.name}: {name} of shape {values.shape[1:]} for {shape[0]} x {shape[1]} pairs")
    known = "energy" in parts[0].attrs
    return Programming(
        pulses=arrays["pulses"],
        reads=arrays["reads"],
        error=arrays["error"],
        unfinished=arrays.get("unfinished"),
        energy=np.array([float(part.attrs["energy"]) for part in parts]) if known else None,
        **{name: kind(own.attrs[name]) for name, kind in _SETTINGS.items() if name in own.attrs},
    )
