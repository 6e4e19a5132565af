"""What lines with resistance make of an array: the matrices that its reads multiply by, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType

import torch
from torch import Tensor

from analogdp.errors import InputError
from analogdp.synapses.converters import FORWARD
from analogdp.synapses.mapping import Mapping
from analogdp.synapses.parts import LONGEST_LINE, WireSettings
from analogdp.synapses.wires import Drive, Solution, solve, transfer_matrix

LEAST_ARRIVING = 0.01
"""Share of the current that must reach the sensing ends for an array to be of any use."""


class Wires:
    """The lines of an array of tiles, each a circuit of its own; so are the arrays of the single cells of a weight.

    A word line is driven, and sensed in transposed reads, at its left end; a bit line is sensed, and driven in transposed
    reads, at its lower end. A shared reference column is the last bit line of the last tile in each row of tiles.

    Args:
        settings: the resistances.
        tile: most word lines and bit lines of a tile, or None for one array.
    """

    def __init__(self, settings: WireSettings, tile: tuple[int, int] | None) -> None:
        self.settings, self.tile = settings, tile
        self.reciprocal = settings.source == settings.sense

    def matrices(self, conductance: Tensor, drive: Drive) -> Tensor:
        """Currents per volt in siemens, laid out as the weights are, whichever side is driven.

        Args:
            conductance: of the cells ``(chips, cells, out, in)``.
            drive: which lines are driven.
        """
        seen = torch.empty_like(conductance)
        wires = self.settings
        for place in self.tiles(conductance):
            arrays = conductance[place].mT
            matrix = transfer_matrix(arrays, wires.word_line, wires.bit_line, wires.source, wires.sense, drive=drive)
            seen[place] = matrix if drive == "word_lines" else matrix.mT
        return seen

    def refuse_if_nothing_arrives(self, conductance: Tensor) -> None:
        """Look at the first tile with all its lines driven, unless it is too large for its matrix; reads numbers back.

        Raises:
            InputError: so little of the current arrives that nothing can be read.
        """
        wires, cells = self.settings, conductance[next(self.tiles(conductance))][:1, :1].mT
        if min(cells.shape[-2:]) > LONGEST_LINE:
            return
        resistances = (wires.word_line, wires.bit_line, wires.source, wires.sense)
        arriving = float(
            transfer_matrix(cells, *resistances).sum() / cells.sum().clamp_min(torch.finfo(cells.dtype).tiny)
        )
        if arriving < LEAST_ARRIVING:
            told = ", ".join(f"{name} {value:g} ohm" for name, value in wires.model_dump(exclude={"method"}).items())
            rows, columns = cells.shape[-2:]
            raise InputError(
                f"synapse.wires: only {100 * arriving:.2g} % of the current arrives in a tile of {rows} x {columns} cells, with "
                f"{told}; needed: at least {100 * LEAST_ARRIVING:g} %. Make these smaller, or the tile, or use cells of lower "
                "conductance"
            )

    def tiles(self, conductance: Tensor) -> Iterator[tuple[EllipsisType, slice, slice]]:
        """Places of the tiles in arrays ``(..., out, in)``."""
        outputs, inputs = conductance.shape[-2:]
        rows, columns = self.tile or (inputs, outputs)
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
        self._number: Tensor | None = None
        self._last: dict[tuple[int, int, int], Solution] = {}

    def begin(self) -> None:
        """Forget the solutions so far."""
        self._last.clear()

    def load(self, conductance: Tensor, number: Tensor | None) -> None:
        """Look at cells ``(chips, cells, out, in)`` in siemens, a fixed reference array last where there is one.

        ``number`` is a conductance that is subtracted digitally, or None.
        """
        self._arrays, self._number = conductance, number

    def __call__(self, x: Tensor, direction: int, number: int) -> Tensor:
        """Sums ``(chips, batch, to)`` of messages ``(chips, batch, from)`` to all lines of a group of tiles, or of all.

        Raises:
            RunError: the solution did not converge.
        """
        arrays = self._arrays
        assert arrays is not None, "load() comes first"
        drive: Drive = "word_lines" if direction == FORWARD else "bit_lines"
        driven, sensed = self._groups(arrays, drive)
        whole = x.shape[-1] == sum(lines.stop - lines.start for lines in driven)
        sums = x.new_zeros(*x.shape[:-1], sum(lines.stop - lines.start for lines in sensed))
        for group in range(len(driven)) if whole else (number,):
            part = x[..., driven[group]] if whole else x
            for other, lines in enumerate(sensed):
                place = (lines, driven[group]) if drive == "word_lines" else (driven[group], lines)
                sums[..., lines] += self._currents(arrays[..., *place].mT, part, drive, (direction, group, other))
        if self._number is not None:
            sums -= x.sum(-1, keepdim=True) * (self._number * self._mapping.scale)
        return sums

    def _currents(self, cells: Tensor, x: Tensor, drive: Drive, place: tuple[int, int, int]) -> Tensor:
        """What one tile adds, in network units; ``cells`` ``(chips, cells, word lines, bit lines)``."""
        wires, last = self._wires.settings, self._last.get(place)
        voltages = x.unsqueeze(1).expand(-1, cells.shape[1], -1, -1)
        fits = last is not None and last.device_voltages.shape[:3] == voltages.shape[:3]
        solution = solve(
            cells,
            voltages,
            wires.word_line,
            wires.bit_line,
            wires.source,
            wires.sense,
            drive=drive,
            method="conjugate_gradients",
            initial=last if fits else None,
        )
        self._last[place] = solution
        coefficients = list(self._mapping.coefficients)
        coefficients += [-1.0] * (cells.shape[1] - len(coefficients))
        signs = x.new_tensor(coefficients).mul_(self._mapping.scale).view(-1, 1, 1)
        return (solution.currents * signs).sum(1)

    def _groups(self, arrays: Tensor, drive: Drive) -> tuple[list[slice], list[slice]]:
        """Driven and sensed lines of each row or column of tiles."""
        outputs, inputs = arrays.shape[-2:]
        rows, columns = self._wires.tile or (inputs, outputs)
        words = [slice(first, min(first + rows, inputs)) for first in range(0, inputs, rows)]
        bits = [slice(first, min(first + columns, outputs)) for first in range(0, outputs, columns)]
        return (words, bits) if drive == "word_lines" else (bits, words)
