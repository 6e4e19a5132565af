"""What lines with resistance make of an array: the matrices that its reads multiply by, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Literal

import torch
from torch import Tensor

from analogdp.synapses.mapping import Mapping
from analogdp.synapses.parts import WireSettings

LONGEST_LINE = 256
"""Cells on the shorter side of a tile up to which its matrix is computed."""

Drive = Literal["word_lines", "bit_lines"]


class Wires:
    """The lines of an array of tiles, each a circuit of its own; so are the arrays of the single cells of a weight.

    A word line is driven, and sensed in transposed reads, at its left end; a bit line is sensed, and driven in transposed
    reads, at its lower end. A shared reference column is the last bit line of the last tile in each row of tiles.

    Args:
        settings: the resistances.
        tile: most word lines and bit lines of a tile, or None for one array.
    """

    def __init__(self, settings: WireSettings, tile: tuple[int, int] | None) -> None:
        self.settings, self._tile = settings, tile
        self.reciprocal = settings.source == settings.sense

    def matrices(self, conductance: Tensor, drive: Drive) -> Tensor:
        """Currents per volt in siemens, laid out as the weights are, whichever side is driven.

        Args:
            conductance: of the cells ``(chips, cells, out, in)``.
            drive: which lines are driven.
        """
        from analogdp.synapses.wires import transfer_matrix

        seen = torch.empty_like(conductance)
        wires = self.settings
        for place in self.tiles(conductance):
            arrays = conductance[place].mT
            matrix = transfer_matrix(arrays, wires.word_line, wires.bit_line, wires.source, wires.sense, drive=drive)
            seen[place] = matrix if drive == "word_lines" else matrix.mT
        return seen

    def tiles(self, conductance: Tensor) -> Iterator[tuple[EllipsisType, slice, slice]]:
        """Places of the tiles in arrays ``(..., out, in)``."""
        outputs, inputs = conductance.shape[-2:]
        rows, columns = self._tile or (inputs, outputs)
        for first_output in range(0, outputs, columns):
            for first_input in range(0, inputs, rows):
                yield ..., slice(first_output, first_output + columns), slice(first_input, first_input + rows)


class IterativeWires:
    """Reads that solve for the currents of their own voltages, beginning from the solution of the read before.

    Args:
        wires: the lines.
        mapping: of weights to cells.
    """

    def __init__(self, wires: Wires, mapping: Mapping) -> None:
        self._wires, self._mapping = wires, mapping
        self._arrays: Tensor | None = None
        self._outputs = 0
        self._number: Tensor | None = None
        self._last: dict[tuple[int, int, int], object] = {}

    def load(self, conductance: Tensor, outputs: int, number: Tensor | None) -> None:
        """Look at cells ``(chips, cells, lines, in)``, a fixed reference array last where there is one.

        Args:
            conductance: in siemens.
            outputs: lines without the shared column.
            number: conductance that is subtracted digitally, or None.
        """
        self._arrays, self._outputs, self._number = conductance, outputs, number

    def __call__(self, x: Tensor, direction: int, number: int) -> Tensor:
        """Sums ``(chips, batch, to)`` of messages ``(chips, batch, from)``, over all tiles of the lines driven by them.

        Raises:
            RunError: the solution did not converge.
        """
        raise NotImplementedError
