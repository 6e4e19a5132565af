"""What time is expected to make of programmed cells, by the laws of their card: mean and spread of the conductance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from analogdp.devices import DeviceCard
from analogdp.devices.imperfect import ImperfectDevice
from analogdp.exports.nominal import STREAM, nominal_device
from analogdp.exports.storage import write_array

GROUP = "drift"
TIMES = (1.0, 3600.0, 86400.0, 30 * 86400.0)
"""Seconds after programming: 1 s, 1 h, 1 day, 30 days."""

LEVELS = 33
"""Programmed conductances, evenly spaced over the range, that expectations are given for."""

NODES = 32
"""Gauss-Hermite nodes for the number that a cell has of its own in each law of aging."""

UNITS = {"time": "seconds", "programmed": "siemens", "mean": "siemens", "spread": "siemens"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """Expected conductance of cells that are not written any more; without programming errors, noise and faults.

    Attributes:
        time: seconds since programming ``(times,)``.
        programmed: conductance in siemens at time 0 ``(levels,)``.
        mean, spread: of the conductance in siemens over cells ``(times, levels)``.
    """

    time: Floats
    programmed: Floats
    mean: Floats
    spread: Floats


def expected_drift(card: DeviceCard) -> Drift | None:
    """Expectations of a card whose cells age, or None."""
    device = nominal_device(card, aging=True)
    if not device.volatile:
        return None
    laws = device.has.aging if isinstance(device, ImperfectDevice) else ()
    numbers, weights = _normal(len(laws))
    levels = torch.linspace(device.low, device.high, LEVELS, dtype=torch.float64)
    shape = (1, LEVELS, len(weights))
    state = device.sample(shape, STREAM)
    device.program(state, levels.view(1, 1, -1, 1).expand(1, *shape).contiguous(), STREAM)
    for law, own in zip(laws, numbers, strict=True):
        (state.variables if law.renewed else state.parameters)[law.number].copy_(own)
    mean, spread, before = [], [], 0.0
    for time in TIMES:
        device.relax(state, time - before, STREAM)
        before = time
        conductance = device.conductance(state)[0, 0]
        mean.append(conductance @ weights)
        spread.append((((conductance - mean[-1].unsqueeze(1)) ** 2) @ weights).sqrt())
    tables = (torch.stack(rows).numpy() for rows in (mean, spread))
    return Drift(np.array(TIMES), levels.numpy(), *tables)


def write_drift(group: h5py.Group, drift: Drift) -> None:
    """Write expectations into the new group ``drift`` of a synapse."""
    own = group.create_group(GROUP)
    for name, unit in UNITS.items():
        write_array(own, name, getattr(drift, name), unit)


def read_drift(group: h5py.Group) -> Drift | None:
    """What :func:`write_drift` wrote, or None."""
    return Drift(**{name: group[GROUP][name][()] for name in UNITS}) if GROUP in group else None


def _normal(laws: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes ``(laws, points)`` and weights ``(points,)`` of as many independent standard normal numbers."""
    nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(NODES))
    weights = weights / math.sqrt(2 * math.pi)
    if laws == 0:
        return torch.empty(0, 1), torch.ones(1, dtype=torch.float64)
    grid = torch.cartesian_prod(*[nodes] * laws).view(-1, laws).mT
    return grid, torch.cartesian_prod(*[weights] * laws).view(-1, laws).prod(1)
