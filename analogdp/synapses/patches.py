"""The cells that a write works on at a time: all of some output lines, or the few that get pulses alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from torch import Tensor

from analogdp.devices import DeviceState
from analogdp.devices.selection import pick, pick_state, places, put, put_state

_BLOCK_CELLS = 1 << 20
"""Cells of one chip for which pulses are counted at a time, which bounds the memory that this takes."""
_FEWEST = 1 << 14
"""Cells of a chip from which a patch of one chip is worth operations of its own."""
_SLAB_CELLS = 1 << 17
"""Cells of one chip that are written at a time: few enough for their temporaries to stay in the processor's cache."""
_FEW = 0.3
"""Share of written weights below which gathering these takes less time than it saves."""


def blocks(lines: int, cells: int) -> Iterator[slice]:
    """Ranges of ``lines`` output lines of ``cells`` cells each whose pulses are counted together.

    They are the same whatever the number of chips: each block has its own random numbers.
    """
    return _ranges(lines, _BLOCK_CELLS // cells)


def _ranges(lines: int, most: int) -> Iterator[slice]:
    """All lines, in ranges of at most so many, but at least of one."""
    most = max(1, most)
    return (slice(start, min(start + most, lines)) for start in range(0, lines, most))


@dataclass
class Patch:
    """Views of one part of a crossbar, or copies of its written cells.

    Attributes:
        state: of the cells ``(chips, cells, out, in)``.
        weights: what reads use of them ``(chips, out, in)``.
        write_counts: of every cell.
        offset: what the cells are read against as a change of weights, broadcastable to these; None for two polarities.
        chips: which chips of the crossbar these are.
    """

    state: DeviceState
    weights: Tensor
    write_counts: Tensor
    offset: Tensor | None
    chips: slice = field(default_factory=lambda: slice(None))

    @property
    def separable(self) -> bool:
        """Whether each chip's cells are so many, on a CPU, that they are written one chip after the other."""
        cells = self.write_counts
        return cells.is_cpu and cells[0].numel() >= _FEWEST and cells[0, 0].is_contiguous()

    def each_chip(self) -> Iterator[Self]:
        """What is written together: all of it, or each chip."""
        if self.separable:
            yield from (self.part(slice(chip, chip + 1)) for chip in range(len(self.weights)))
        else:
            yield self

    def slabs(self) -> Iterator[slice]:
        """Ranges of lines with few enough cells of a chip for what is computed of them to stay in the processor's cache."""
        lines = self.weights.shape[-2]
        return _ranges(lines, _SLAB_CELLS * lines // self.write_counts[0].numel())

    def part(self, chips: slice = slice(None), lines: slice = slice(None)) -> Self:
        """Some chips, or some lines."""
        variables, parameters = (
            {name: cells[chips, :, lines] for name, cells in part.items()}
            for part in (self.state.variables, self.state.parameters)
        )
        weights, write_counts = self.weights[chips, lines], self.write_counts[chips, :, lines]
        offset = None if self.offset is None else lines_of(self.offset[chips], lines)
        own = self.chips if chips == slice(None) else chips
        return type(self)(DeviceState(variables, parameters), weights, write_counts, offset, own)

    def pick(self, written: Tensor) -> Self:
        """Copies of some places of a patch of one chip, as one line."""
        offset = self.offset
        if offset is not None and offset.numel() > 1:
            offset = pick(offset.expand_as(self.weights).unsqueeze(1), written)[:, 0]
        state, weights = pick_state(self.state, written), pick(self.weights.unsqueeze(1), written)[:, 0]
        return type(self)(state, weights, pick(self.write_counts, written), offset, self.chips)

    def put(self, written: Tensor, part: Self) -> None:
        """Take back what became of copies that :meth:`pick` has made."""
        put_state(self.state, written, part.state)
        put(self.weights.unsqueeze(1), written, part.weights.unsqueeze(1))
        put(self.write_counts, written, part.write_counts)


def few_written(count: Tensor) -> Tensor | None:
    """Places of the weights of one chip of which any cell gets pulses; None if these are too many to gather them.

    Args:
        count: pulses ``(1, cells, out, in)``, on a CPU.
    """
    first, *others = count[0].bool()
    for cells in others:
        first.logical_or_(cells)
    return places(first) if np.count_nonzero(first.numpy()) < _FEW * first.numel() else None


def lines_of(reference: Tensor, rows: slice) -> Tensor:
    """Some output lines of a tensor ``(chips, out or 1, in or 1)``, which may be the same for all lines."""
    return reference[:, rows] if reference.shape[-2] > 1 else reference
