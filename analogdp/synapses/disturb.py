"""What a write does to cells that share a line with the written one: half-select disturb."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def exposures(pulses: Tensor, tile: tuple[int, int] | None, scheme: Literal["half", "third"]) -> Tensor:
    """How many pulses of a part of the write voltage every cell sees that are meant for others of its tile.

    With V/2 these are the other cells of a written cell's two lines; with V/3 all others of its tile.

    Args:
        pulses: how many pulses each cell gets itself, not negative, ``(chips, cells, out, in)``.
        tile: most word lines and bit lines of a tile, or None for one array.
        scheme: of biasing the lines that are not selected.
    """
    outputs, inputs = pulses.shape[-2:]
    rows, columns = tile or (inputs, outputs)
    seen = torch.empty_like(pulses)
    for first_output in range(0, outputs, columns):
        for first_input in range(0, inputs, rows):
            place = (..., slice(first_output, first_output + columns), slice(first_input, first_input + rows))
            own = pulses[place]
            if scheme == "third":
                seen[place] = own.sum((-2, -1), keepdim=True) - own
            else:
                seen[place] = own.sum(-1, keepdim=True) + own.sum(-2, keepdim=True) - 2 * own
    return seen
