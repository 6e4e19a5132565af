"""What a write does to cells that share a line with the written one: half-select disturb."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from analogdp.devices import DeviceModel, DeviceState
from analogdp.streams import Stream

Scheme = Literal["half", "third"]


def disturb(
    device: DeviceModel,
    state: DeviceState,
    raised: Tensor,
    lowered: Tensor,
    tile: tuple[int, int] | None,
    scheme: Scheme,
    stream: Stream,
) -> None:
    """Let cells see the part of the voltage that pulses for others on their lines put across them, in place.

    The arguments are those of :func:`disturbing_pulses`, the cells, and the stream of the devices' randomness and, where they
    take whole pulses only, of the dice that round.
    """
    expected = disturbing_pulses(device, raised, lowered, tile, scheme)
    if not device.fractional:
        expected.add_(stream.child("rounding").uniform(tuple(expected.shape[1:]))).floor_()
    device.pulse(state, expected, stream.child("pulses"))


def disturbing_pulses(
    device: DeviceModel, raised: Tensor, lowered: Tensor, tile: tuple[int, int] | None, scheme: Scheme
) -> Tensor:
    """Full pulses, or parts of one, that the pulses for other cells are worth to every cell; signs are directions.

    Args:
        device: knows what a part of the voltage does.
        raised, lowered: pulses of every cell in each direction, not negative, ``(chips, cells, out, in)``.
        tile: most word lines and bit lines of a tile, or None for one array.
        scheme: of biasing the lines that are not selected.
    """
    up, down = device.disturbance(scheme)
    along, against = exposures(raised, tile, scheme)
    if device.unidirectional:
        return (along + against) * up
    further_down, further_up = exposures(lowered, tile, scheme)
    return (along + further_up).mul_(up).sub_(further_down.add_(against), alpha=down)


def exposures(pulses: Tensor, tile: tuple[int, int] | None, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """How many pulses of a part of the write voltage every cell sees that are meant for others of its tile.

    With V/2 the other cells of a written cell's two lines see it. With V/3 these do, too, and all cells on neither line see it
    the other way round: lines that are not selected are at V/3 and 2V/3, and a cell lies between two of them.

    Args:
        pulses: how many pulses each cell gets itself, not negative, ``(chips, cells, out, in)``.
        tile: most word lines and bit lines of a tile, or None for one array.
        scheme: of biasing the lines that are not selected.

    Returns:
        Pulses of the same sign as those of the written cells, and of the opposite one, of the shape of ``pulses``.
    """
    outputs, inputs = pulses.shape[-2:]
    rows, columns = tile or (inputs, outputs)
    along, against = torch.empty_like(pulses), torch.zeros_like(pulses)
    for first_output in range(0, outputs, columns):
        for first_input in range(0, inputs, rows):
            place = (..., slice(first_output, first_output + columns), slice(first_input, first_input + rows))
            own = pulses[place]
            lines = own.sum(-1, keepdim=True) + own.sum(-2, keepdim=True)
            along[place] = lines - 2 * own
            if scheme == "third":
                against[place] = own.sum((-2, -1), keepdim=True) - lines + own
    return along, against
