"""The transfer matrix of a crossbar with wires: all its reads at once, for conductances that stay as they are."""

from __future__ import annotations

from torch import Tensor

from analogdp.synapses.wires import dissection
from analogdp.synapses.wires.circuit import Drive, Wires, check_arrival, check_conductance


def transfer_matrix(
    conductance: Tensor,
    word_line: float,
    bit_line: float,
    source: float = 0.0,
    sense: float = 0.0,
    *,
    drive: Drive = "word_lines",
) -> Tensor:
    """Currents at the sensed lines per volt at the driven lines: I = T V, exactly as the circuit has it.

    Word lines end at their left, bit lines at their bottom, each behind one segment; sensed lines are held at 0 V.

    Args:
        conductance: cells ``(..., rows, columns)`` in siemens; leading dimensions are separate arrays.
        word_line: resistance of a segment between neighbouring cells of a word line, in ohms; 0 is a perfect wire.
        bit_line: the same of a bit line.
        source: resistance between a driver and its line's end, in ohms.
        sense: resistance between a line's end and ground at the sensed lines, in ohms.
        drive: ``"word_lines"``, or ``"bit_lines"`` for the transposed read of the same array.

    Returns:
        ``(..., columns, rows)`` in siemens for driven word lines, ``(..., rows, columns)`` for driven bit lines. It is
        differentiable. For cells of 1 to 100 kilohm and segments of 1 ohm, currents are those of a sparse nodal solve to 4e-13
        (128 x 128) and 2e-12 (256 x 256) in float64; float32 is within 2e-6 of the largest element (64 x 64).

    Raises:
        InputError: conductances or resistances that no circuit has, or wires through which no current arrives.
    """
    check_conductance(conductance)
    wires = Wires.driven(drive, word_line, bit_line, source, sense)
    # Reciprocity: a bit line's current per volt at a word line is that word line's per volt at the bit line.
    matrix = dissection.transfer(conductance, wires)
    check_arrival(matrix, conductance, wires)
    return matrix if drive == "word_lines" else matrix.mT
