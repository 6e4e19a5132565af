"""Random numbers for each step of a simulation: functions of (seed, stream, chip, step), drawn many steps at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from analogdp.network import Layout
from analogdp.streams import Stream

NUMBERS_IN_A_BLOCK = 2**17
"""Numbers per chip that are drawn together: enough to spread the cost of a call, few enough for the cache."""

Draw = Callable[[Stream, tuple[int, ...], Tensor | None], Tensor]
"""``draw(stream, shape, out)``: numbers ``(chips, *shape)``, into ``out`` where there is one."""


class Blocks:
    """Numbers for each step, drawn a block of steps at a time.

    A block's length depends on the numbers a chip needs for a step, so it is the same however many chips run together
    and however the steps are chunked.

    Args:
        numbers: per chip and step.
        draw: how a block is drawn; standard normal numbers by default.
    """

    def __init__(self, numbers: int, draw: Draw = Stream.normal) -> None:
        self.numbers, self._draw = numbers, draw
        self.length = max(1, min(64, NUMBERS_IN_A_BLOCK // max(numbers, 1)))
        self._stream: Stream | None = None
        self._buffer: Tensor | None = None
        self._block = -1
        self._held: dict[int, Tensor] = {}
        self._rows: tuple[Tensor, ...] = ()

    def start(self, stream: Stream) -> None:
        """Draw from the beginning of ``stream`` from now on."""
        self._stream, self._block = stream, -1

    def load(self, first: int, count: int = 1, hold: bool = False) -> None:
        """Have the numbers of some steps ready.

        Args:
            first: step.
            count: how many steps.
            hold: keep them in a buffer that stays where it is, for each count, so that a captured graph finds them there
                again; needed for more than one.
        """
        if not hold:
            self._rows = (self._at(first),)
            return
        one = self._at(first)
        if count not in self._held:
            self._held[count] = one.new_empty((count, *one.shape))
        for row, kept in enumerate(self._held[count]):
            kept.copy_(self._at(first + row))
        self._rows = self._held[count].unbind()

    def row(self, number: int = 0) -> Tensor:
        """The numbers of one of the loaded steps, ``(chips, numbers)``."""
        return self._rows[number]

    def _at(self, step: int) -> Tensor:
        assert self._stream is not None, "start() comes first"
        block, row = divmod(step, self.length)
        if block != self._block or self._buffer is None:
            self._buffer = self._draw(self._stream.at(block), (self.length, self.numbers), self._buffer)
            self._block = block
        return self._buffer[:, row]


class FlatNumbers:
    """Numbers in the layout of the state; a chip's numbers do not depend on its neighbours.

    Args:
        layout: of the state.
        sets: how many flat tensors of numbers a step takes.
        draw: how ``(length, sets x numbers of one chip)`` of them are drawn.
    """

    def __init__(self, layout: Layout, sets: int = 1, draw: Draw = Stream.normal) -> None:
        self._layout, self._sets = layout, sets
        self._alone = alone(layout)
        self._blocks = Blocks(sets * self._alone.size, draw)
        self._flat: dict[int, Tensor] = {}
        self._rows: list[tuple[Tensor, ...]] = []

    def start(self, stream: Stream) -> None:
        """Draw from the beginning of ``stream`` from now on."""
        self._blocks.start(stream)

    def load(self, first: int, count: int = 1, hold: bool = False) -> None:
        """Have the numbers of some steps ready; arguments as of :meth:`Blocks.load`."""
        self._blocks.load(first, count, hold)
        loaded = [self._blocks.row(row) for row in range(count)]
        if self._layout.chips == 1:
            self._rows = [(row[0],) if self._sets == 1 else row[0].view(self._sets, -1).unbind() for row in loaded]
            return
        if count not in self._flat:
            self._flat[count] = loaded[0].new_empty(count, self._sets, self._layout.size)
        self._rows = [flat.unbind() for flat in self._flat[count].unbind()]
        for row, flats in zip(loaded, self._rows, strict=True):
            for numbers, flat in zip(row.view(self._layout.chips, self._sets, -1).unbind(1), flats, strict=True):
                side_by_side(numbers, self._layout, flat)

    def row(self, number: int = 0) -> tuple[Tensor, ...]:
        """The sets of one of the loaded steps, each in the state's layout."""
        return self._rows[number]


def alone(layout: Layout) -> Layout:
    """The layout of one chip of several."""
    return Layout(layout.compartments, 1, layout.batch, layout.units)


def side_by_side(numbers: Tensor, layout: Layout, out: Tensor) -> Tensor:
    """Each chip's own flat numbers ``(chips, size of one chip)`` as one flat tensor of all chips."""
    for together, own in zip(layout.views(out), alone(layout).views(numbers), strict=True):
        together.copy_(own.squeeze(2).transpose(0, 1))
    return out


def shared_by_compartments(layout: Layout, sets: int, own: float, common: float) -> Draw:
    """Draws flat numbers with a part of standard deviation ``own`` for each compartment and one, ``common``, for each neuron."""
    one = alone(layout)
    neurons = one.size // layout.compartments

    def draw(stream: Stream, shape: tuple[int, ...], out: Tensor | None) -> Tensor:
        values = stream.normal(shape, out, own)
        if not common:
            return values
        together = stream.child("common").normal((shape[0], sets * neurons), std=common)
        flat, each = values.view(-1, one.size), together.view(-1, neurons)
        for start, end in zip(one.offsets, one.offsets[1:], strict=False):
            first, last = start // layout.compartments, end // layout.compartments
            part = flat[:, start:end].view(-1, layout.compartments, last - first)
            part.add_(each[:, None, first:last])
        return values

    return draw


class OrnsteinUhlenbeck:
    """A stationary Gaussian process with exponential correlation, exactly discretised.

    Args:
        value: where it lives.
        std: stationary standard deviation.
        decay: factor by which a fluctuation decays in a step; 0 draws it afresh.
    """

    def __init__(self, value: Tensor, std: float, decay: float) -> None:
        self.value, self.std, self.decay = value, std, decay
        self.kick = std * (1 - decay**2) ** 0.5

    def start(self, numbers: Tensor) -> None:
        """Begin in the stationary state that standard normal numbers, in the shape of the value, stand for."""
        torch.mul(numbers, self.std, out=self.value)

    def advance(self, numbers: Tensor) -> Tensor:
        """The value one step later."""
        return self.value.mul_(self.decay).add_(numbers, alpha=self.kick)
