"""Data sets of HDF5 files: little-endian numbers with their unit, and texts; no times, so equal content gives equal bytes."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def physical(values: Tensor) -> NDArray[Any]:
    """Values ``(..., out, in)`` laid out as the hardware is, ``(..., word lines, bit lines)``."""
    return plain(values.mT)


def plain(values: Tensor) -> NDArray[Any]:
    """Values as an array in the host's memory."""
    return np.asarray(values.detach().cpu().numpy())


def write_array(group: h5py.Group, name: str, values: NDArray[Any], unit: str) -> None:
    """Write numbers as they are, and what they are measured in."""
    little_endian = values.dtype.newbyteorder("<")
    group.create_dataset(name, data=values, dtype=little_endian, track_times=False).attrs["unit"] = unit


def write_text(group: h5py.Group, name: str, text: str) -> None:
    """Write a text of any length."""
    group.create_dataset(name, data=text, dtype=h5py.string_dtype(), track_times=False)
