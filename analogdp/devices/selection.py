"""Cells that were chosen out of many: finding them, and working on them alone where that is faster."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from analogdp.devices.base import DeviceState


def places(chosen: Tensor) -> Tensor:
    """Flat indices of what is not zero, in order; on a CPU numpy finds them several times as fast as torch."""
    flat = chosen.reshape(-1).bool()
    return torch.from_numpy(np.flatnonzero(flat.numpy())) if flat.is_cpu else flat.nonzero().squeeze(1)


def pick(cells: Tensor, chosen: Tensor) -> Tensor:
    """Copies of the chosen places of each plane of contiguous cells ``(1, planes, out, in)``, ``(1, planes, 1, chosen)``."""
    planes = [plane.reshape(-1).index_select(0, chosen) for plane in cells[0]]
    return torch.stack(planes).unsqueeze(1).unsqueeze(0) if len(planes) > 1 else planes[0].view(1, 1, 1, -1)


def put(cells: Tensor, chosen: Tensor, values: Tensor) -> None:
    """The reverse of :func:`pick`, in place."""
    for plane, own in zip(cells[0], values[0], strict=True):
        plane.view(-1).index_copy_(0, chosen, own.view(-1))


def pick_state(state: DeviceState, chosen: Tensor) -> DeviceState:
    """The chosen places of every tensor of a state."""
    variables, parameters = (
        {name: pick(cells, chosen) for name, cells in part.items()} for part in (state.variables, state.parameters)
    )
    return DeviceState(variables, parameters)


def put_state(state: DeviceState, chosen: Tensor, values: DeviceState) -> None:
    """The reverse of :func:`pick_state` for what writing changes, in place."""
    for name, cells in state.variables.items():
        put(cells, chosen, values.variables[name])
