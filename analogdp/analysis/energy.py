"""Formulas of energy and time: what reads dissipate, how often converters convert, how long a presentation takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.synapses.base import ConductanceTable


def line_conductance(table: ConductanceTable, pair: str) -> tuple[Tensor, Tensor]:
    """Sums of the conductances of all cells on each word line ``(chips, in)`` and each bit line ``(chips, out)``, in siemens.

    Args:
        table: the cells of a synapse.
        pair: of which cells a weight is made; with ``offset`` the second is a number, with ``offset_column`` there is
            one for each word line, on a bit line of its own.
    """
    if table.units is not None:
        cells = table.units.sum((1, 2))
    else:
        cells = table.plus + table.minus if pair in ("balanced", "one_sided") else table.plus
    if pair == "reference":
        cells = cells + table.minus
    word, bit = cells.sum(1), cells.sum(2)
    return (word + table.minus[:, 0] if pair == "offset_column" else word), bit


def read_power(messages: Tensor, conductance: Tensor, voltage: float, currents: Tensor | None = None) -> Tensor:
    """Watts that a read takes while its lines are driven: ``sum V^2 G`` over cells, or ``sum V I`` over sources.

    Args:
        messages: ``(chips, batch, lines)``; a message of 1 drives its line with ``voltage``.
        conductance: sum of each line's cells in siemens, ``(chips, lines)``, where lines have no resistance.
        voltage: in volts.
        currents: of the sources in amperes, of the messages' shape, where lines have resistance.

    Returns:
        ``(chips,)``, the mean over the batch.
    """
    volts = messages * voltage
    if currents is not None:
        return (volts * currents).sum(-1).mean(-1)
    return torch.einsum("cbl,cl->c", volts.square(), conductance) / messages.shape[1]


def conversions(lines_in: int, lines_out: int, most_in: int | None) -> tuple[int, int]:
    """Digital-analog and analog-digital conversions of one read: every line in, and every line out for each tile.

    Args:
        lines_in, lines_out: of the whole array, in the direction of the read.
        most_in: lines in of one tile; None for one array.
    """
    tiles = 1 if most_in is None else -(-lines_in // most_in)
    return lines_in, lines_out * tiles


@dataclass(frozen=True)
class Schedule:
    """What happens while a sample is presented.

    Attributes:
        duration: seconds.
        input_reads: of each position of the clamped input.
        reads: of each position of every other synapse, in each direction.
        rounds: conversions one after the other; those of lines and of layers that read at once are one.
        reading: seconds for which each synapse conducts in each direction for a position: the first, and all others.
    """

    duration: float
    input_reads: float
    reads: float
    rounds: float
    reading: tuple[float, float]

    @classmethod
    def in_time(cls, steps: float, timestep: float, evaluations: float, input_at_every_step: bool) -> Schedule:
        """Of a clock with a time: lines conduct all the time; ``evaluations`` of a step are what converters sample.

        A convolution has a crossbar for each position of its window.
        """
        duration, reads = steps * timestep, steps * evaluations
        return cls(duration, reads if input_at_every_step else 1, reads, reads, (duration, duration))

    @classmethod
    def in_sweeps(
        cls, sweeps: float, read_time: float, positions: Sequence[int], input_at_every_step: bool
    ) -> Schedule:
        """Of sweeps: the synapses above the first are read up and down in every sweep, one read after the other.

        ``positions`` is how many reads each synapse takes: that of a convolution one for each window.
        """
        first = sweeps if input_at_every_step else 1
        rounds = first * positions[0] + 2 * sum(positions[1:]) * sweeps
        return cls(rounds * read_time, first, sweeps, rounds, (first * read_time, sweeps * read_time))
