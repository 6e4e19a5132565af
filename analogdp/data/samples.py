"""Samples of a data set: kept as small as they came, and turned into numbers when they are used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BRIGHTEST = 255.0

Number = Tensor | float
"""One number for all features of a sample, or one for each ``(features,)``."""

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs or targets ``(samples, features)`` that are read as ``(raw - shift) / spread``.

    ``samples[rows]`` takes a slice or int64 indices and gives a tensor ``(rows, features)`` of this device and type.

    Attributes:
        raw: ``(stored, features)``: bytes or floats in memory or on the device, or a memory map, which stays in its file.
        index: which of the stored ones each sample is, int64 ``(samples,)``; None: all, in their order.
        shift, spread: the scaling.
        device, dtype: of what is read.
    """

    raw: Tensor | NDArray[Any]
    index: Tensor | None = None
    shift: Number = 0.0
    spread: Number = 1.0
    device: torch.device = _CPU
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, values: Samples | Tensor | NDArray[Any]) -> Samples:
        """Samples from an array of any shape ``(samples, ...)``: floats as they are, bytes as brightness from 0 to 1.

        Arrays that are no memory maps become tensors; whole numbers other than bytes become floats.
        """
        if isinstance(values, Samples):
            return values
        raw = values if isinstance(values, Tensor | np.memmap) else torch.from_numpy(values)
        flat = raw.reshape(len(raw), -1) if raw.ndim != 2 else raw
        if isinstance(flat, Tensor) and flat.dtype != torch.uint8 and not flat.is_floating_point():
            flat = flat.to(torch.float32)
        bytes_ = flat.dtype in (torch.uint8, np.uint8)
        device = flat.device if isinstance(flat, Tensor) else _CPU
        return cls(flat, spread=BRIGHTEST if bytes_ else 1.0, device=device)

    @classmethod
    def one_hot(cls, labels: Tensor, classes: int) -> Samples:
        """For each label a row with 1 for its class, else 0; nothing of the size ``(samples, classes)`` is made."""
        return cls(torch.eye(classes, device=labels.device), labels, device=labels.device)

    def __len__(self) -> int:
        return len(self.raw if self.index is None else self.index)

    @property
    def features(self) -> int:
        """Numbers in a sample."""
        return int(self.raw.shape[1])

    @property
    def is_scaled(self) -> bool:
        """Whether what is read differs from what is kept."""
        return any(isinstance(each, Tensor) for each in (self.shift, self.spread)) or (self.shift, self.spread) != (
            0,
            1,
        )

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.features

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return self.scaled(self.unscaled(rows))

    def unscaled(self, rows: slice | Tensor) -> Tensor:
        """Samples as they are kept, on this device; those of a memory map are copied by the host, which waits for that."""
        if not isinstance(self.raw, Tensor) and isinstance(rows, Tensor):
            rows = rows.cpu()
        if self.index is not None:
            rows = self.index[rows]
        if isinstance(self.raw, Tensor):
            return self.raw[rows]
        copied = np.array(self.raw[rows if isinstance(rows, slice) else rows.numpy()])
        return torch.from_numpy(copied).to(self.device)

    def scaled(self, raw: Tensor) -> Tensor:
        """What :meth:`unscaled` gave, or was made of it, as numbers ``(..., features)``."""
        values = raw.to(self.dtype)
        return (values - self._number(self.shift)) / self._number(self.spread) if self.is_scaled else values

    def take(self, rows: slice | Tensor) -> Samples:
        """Only these samples, in this order; none is copied."""
        if self.index is None and isinstance(rows, slice):
            return replace(self, raw=self.raw[rows])
        home = self.raw.device if isinstance(self.raw, Tensor) else _CPU
        everything = torch.arange(len(self), device=home) if self.index is None else self.index
        return replace(self, index=everything[rows])

    def rescaled(self, shift: Number, spread: Number) -> Samples:
        """The same samples, read as ``(value - shift) / spread`` of their present value."""
        return replace(self, shift=self.shift + self.spread * shift, spread=self.spread * spread)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Samples:
        """The same samples, read on another device or as another floating-point type.

        Bytes stay bytes wherever they are, and memory maps where they are; floats become the wanted type at once.
        """
        device, dtype = torch.device(device), dtype or self.dtype
        moved = replace(self, device=device, dtype=dtype)
        raw, index = self.raw, self.index
        if isinstance(raw, Tensor):
            raw = raw.to(device, dtype if raw.is_floating_point() else raw.dtype)
            index = None if index is None else index.to(device)
        return replace(moved, raw=raw, index=index, shift=moved._number(self.shift), spread=moved._number(self.spread))

    def _number(self, value: Number) -> Number:
        return value.to(self.device, self.dtype) if isinstance(value, Tensor) else value
