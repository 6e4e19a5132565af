"""What the pulses of an update add up to."""

from __future__ import annotations

from types import EllipsisType

import torch
from torch import Tensor

from analogdp.devices import WritePulse
from analogdp.devices.energy import pulse_energy
from analogdp.synapses.base import UpdateReport

Place = tuple[EllipsisType, slice, slice] | EllipsisType


class Tally:
    """Counts pulses, of every cell and of all together, and their energy.

    Args:
        write_counts: pulses of every cell so far, int32 ``(chips, cells, out, in)``.
        like: a tensor of the counts' type and place.
        pulse: voltages of a write, or None if they are not known.
        apart: whether this update's pulses are kept apart for every cell, up and down.
        operations: any number of steps is one write, as for cells that are programmed in a closed loop.

    Attributes:
        raised, lowered: this update's pulses of every cell, if they are kept apart.
    """

    def __init__(
        self, write_counts: Tensor, like: Tensor, pulse: WritePulse | None, apart: bool, operations: bool = False
    ) -> None:
        self._pulse, self._operations = pulse, operations
        self._pending: list[Tensor] = []
        self._up, self._down = like.new_zeros(2, len(write_counts), dtype=torch.float64)
        self._energy = None if pulse is None else like.new_zeros(len(write_counts), dtype=torch.float64)
        shape = write_counts.shape if apart else (0,)
        self.raised, self.lowered = (like.new_zeros(shape) for _ in range(2))

    def add(self, count: Tensor, write_counts: Tensor, chips: slice = slice(None)) -> None:
        """Count pulses ``(chips, cells, out, in)``; signs are directions.

        A part of a pulse counts as one in the cell's wear, and as a part in the sum.

        Args:
            count: pulses of some cells.
            write_counts: of the same cells, counted on in place.
            chips: which chips they belong to.
        """
        if self._operations:
            count = count.sign()
        size = count.abs()
        total, net = size.sum((1, 2, 3)), count.sum((1, 2, 3))
        write_counts.add_(size.ceil_().to(torch.int32))
        self._up[chips].add_(total + net, alpha=0.5)
        self._down[chips].add_(total - net, alpha=0.5)
        if self._energy is not None:
            self._pending.append(count)

    def keep_apart(self, counts: list[Tensor], place: Place) -> None:
        """Keep counts of the cells at ``place`` in the array apart, where this is asked for."""
        if self.raised.numel():
            for count in counts:
                self.raised[place].add_(count.clamp(min=0))
                self.lowered[place].sub_(count.clamp(max=0))

    def spend(self, conductance: Tensor, chips: slice = slice(None)) -> None:
        """Count the energy of the pulses since the last call, at the conductances in siemens that they left."""
        if self._energy is None or self._pulse is None:
            return
        for count in self._pending:
            self._energy[chips].add_(pulse_energy(count, conductance, self._pulse))
        self._pending.clear()

    def report(self) -> UpdateReport:
        """The sums of each chip."""
        return UpdateReport(self._up, self._down, self._energy)
