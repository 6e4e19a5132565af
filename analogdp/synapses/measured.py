"""Measured conductances in place of simulated cells, in pairs of every kind."""

from __future__ import annotations

import torch
from torch import Tensor

from analogdp.errors import InputError
from analogdp.synapses.crossbar import Crossbar


def hold(crossbar: Crossbar, plus: Tensor, minus: Tensor) -> None:
    """Have a crossbar's cells conduct exactly what was measured of them; they can be written no more.

    They are read as before: with the same scale, lines, converters and noise. Where several devices make up a cell, each holds
    what the cell conducts. The minus cells of an ``offset`` pair are a number that is subtracted digitally, which stays.

    Args:
        crossbar: changed in place.
        plus, minus: in siemens ``(chips, out, in)``.

    Raises:
        InputError: it is not known what single devices conduct, which lines with resistance depend on; or what is one column of
            cells on the chip has several values.
    """
    settings, mapping, reference = crossbar.settings, crossbar.mapping, crossbar.reference
    if settings.wires is not None and len(mapping.shares) > 1:
        raise InputError(
            f"synapse.unit: {len(mapping.shares)} devices make up a cell, and with synapse.wires what arrives depends on each of "
            "them, of which nothing was measured; evaluate without wires, or with cells of one device"
        )
    cells = torch.stack((plus, minus)[: len(mapping.signs)], 1)
    if settings.pair == "offset_column":
        cells = torch.cat((cells, _column(minus).unsqueeze(1)), -2)
    elif settings.pair == "reference":
        reference = minus
    crossbar.hold(cells.repeat_interleave(len(mapping.shares), 1), reference)


def _column(minus: Tensor) -> Tensor:
    """The cells that all output lines share, ``(chips, 1, in)``."""
    column = minus[:, :1]
    if bool((minus != column).any()):
        _, bit_line, word_line = (minus != column).nonzero()[0].tolist()
        raise InputError(
            f"synapse.pair: offset_column reads all bit lines against one column of cells, but minus of word line {word_line} is "
            f"{column[0, 0, word_line]:g} S at bit line 0 and {minus[0, bit_line, word_line]:g} S at bit line {bit_line}; give "
            "the same at all bit lines"
        )
    return column
