"""Fluctuations while a batch settles: every number is a function of the stream, the chip and the step alone."""

from __future__ import annotations

import math

from torch import Tensor

from analogdp.network import Field, Layout, ReadNoise
from analogdp.scenario.schema import NoiseSettings
from analogdp.streams import Stream

NUMBERS_IN_A_BLOCK = 2**17
"""Numbers per chip that are drawn together: enough to spread the cost of a call, few enough for the cache."""


class NormalBlocks:
    """Standard normal numbers for each step, drawn many steps at a time.

    A block's length depends on the numbers a chip needs for a step, so it is the same however many chips run together
    and however the steps are chunked.
    """

    def __init__(self, numbers: int) -> None:
        self.numbers = numbers
        self.length = max(1, min(64, NUMBERS_IN_A_BLOCK // numbers))
        self._stream: Stream | None = None
        self._buffer: Tensor | None = None
        self._block = -1

    def start(self, stream: Stream) -> None:
        """Draw from the beginning of ``stream`` from now on."""
        self._stream, self._block = stream, -1

    def at(self, step: int) -> Tensor:
        """The numbers of one step, ``(chips, numbers)``; valid until another block is asked for."""
        assert self._stream is not None, "start() comes first"
        block, row = divmod(step, self.length)
        if block != self._block or self._buffer is None:
            self._buffer = self._stream.at(block).normal((self.length, self.numbers), out=self._buffer)
            self._block = block
        return self._buffer[:, row]


class SettlingNoise:
    """All noise of one batch that settles.

    Args:
        field: the field that the noise acts on; its nudging strength and read noise are set at every step.
        settings: membrane and nudging noise.
        decay: factor by which a nudging fluctuation decays in a step; 0 draws it afresh.
        timestep: seconds between reads, or None for clocks without a time.
    """

    def __init__(self, field: Field, settings: NoiseSettings, decay: float, timestep: float | None = None) -> None:
        self.field, self.settings, self.decay = field, settings, decay
        layout = field.layout
        self._membrane = FlatNormals(layout) if settings.membrane else None
        self._nudging = NormalBlocks(layout.batch) if settings.nudging else None
        self._reads = Reads(field, timestep)
        self._strength = 0.0
        self._fluctuation: Tensor | None = None

    def start(self, stream: Stream, strength: float) -> None:
        """A new batch is presented, nudged with mean ``strength``."""
        self._strength, self._fluctuation = strength, None
        self.field.nudging = strength
        if self._membrane:
            self._membrane.start(stream.child("membrane"))
        if self._nudging:
            self._nudging.start(stream.child("nudging"))
        self._reads.start(stream.child("reads"))

    def at(self, step: int) -> Tensor | None:
        """Set the field's fluctuations for this step and return the membrane's normal numbers, flat, or None.

        Steps are asked for in order, starting with 0.
        """
        self.field.read_noise = self._reads.at(step)
        if self._nudging and self._strength:
            numbers = self._nudging.at(step).unsqueeze(-1)
            if self._fluctuation is None:
                self._fluctuation = numbers * self.settings.nudging
            else:
                kick = self.settings.nudging * math.sqrt(1 - self.decay**2)
                self._fluctuation = self._fluctuation * self.decay + kick * numbers
            self.field.nudging = self._strength * (1 + self._fluctuation)
        return self._membrane.at(step) if self._membrane else None


class FlatNormals:
    """Normal numbers in the layout of the state; a chip's numbers do not depend on its neighbours."""

    def __init__(self, layout: Layout) -> None:
        self._alone = Layout(layout.compartments, 1, layout.batch, layout.units)
        self._layout = layout
        self._blocks = NormalBlocks(self._alone.size)
        self._flat: Tensor | None = None

    def start(self, stream: Stream) -> None:
        self._blocks.start(stream)

    def at(self, step: int) -> Tensor:
        numbers = self._blocks.at(step)
        if self._layout.chips == 1:
            return numbers[0]
        if self._flat is None:
            self._flat = numbers.new_empty(self._layout.size)
        for together, own in zip(self._layout.views(self._flat), self._alone.views(numbers), strict=True):
            together.copy_(own.squeeze(2).transpose(0, 1))
        return self._flat


class Reads:
    """Normal numbers for the reads of synapses that have read noise.

    Read noise is known for a read that integrates for some time. A shorter step averages less of it, by the square root
    of the ratio; so the effect on the slow neurons does not depend on the step.
    """

    def __init__(self, field: Field, timestep: float | None) -> None:
        network, batch = field.network, field.layout.batch
        forward = [(synapse.forward_noise, batch, synapse.outputs) for synapse in network.synapses]
        # The first synapse is never read backwards: the layer below it is clamped.
        backward = [(0, 0, 0), *((synapse.backward_noise, batch, synapse.inputs) for synapse in network.synapses[1:])]
        self._shapes = {"forward": forward, "backward": backward}
        self._blocks = {
            way: [NormalBlocks(math.prod(shape)) if shape[0] else None for shape in shapes]
            for way, shapes in self._shapes.items()
        }
        self._scales = [
            math.sqrt(synapse.read_time / timestep) if synapse.read_time is not None and timestep is not None else 1.0
            for synapse in network.synapses
        ]
        self._on = any(blocks for ways in self._blocks.values() for blocks in ways)

    def start(self, stream: Stream) -> None:
        for way, per_synapse in self._blocks.items():
            for number, blocks in enumerate(per_synapse):
                if blocks:
                    blocks.start(stream.child(f"{way}{number}"))

    def at(self, step: int) -> ReadNoise | None:
        if not self._on:
            return None
        return ReadNoise(self._numbers("forward", step), self._numbers("backward", step))

    def _numbers(self, way: str, step: int) -> list[Tensor | None]:
        return [
            blocks.at(step).view(-1, *shape).transpose(0, 1) * scale if blocks else None
            for blocks, shape, scale in zip(self._blocks[way], self._shapes[way], self._scales, strict=True)
        ]
