"""Weights between layers as matrices that rows are shown to: one row for each sample, or for each window of its images.

A synapse only knows a matrix. The same crossbar is read once for each position of a convolution's window. Where reads are
exact products, torch's convolutions do the same without writing the windows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, fold, pad

from analogdp.scenario.wiring import MOST_NUMBERS, Kernel, Wiring
from analogdp.synapses.base import NoiseNumbers, Synapse

Read = Callable[[Tensor, Tensor | None], Tensor]
"""``read(rows, noise)``: what a synapse makes of rows ``(chips, rows, lines in)``, with its normal numbers."""


class Unrolled:
    """Weights that read windows written out as rows, as many samples at once as memory allows.

    Args:
        wiring: what lies between the layers.
        synapse, path: the weights, and those that carry messages down if these are others.
        batch: samples of each chip.
    """

    def __init__(self, wiring: Wiring, synapse: Synapse, path: Synapse | None, batch: int) -> None:
        self.wiring, self.synapse, self.path = wiring, synapse, path
        self.chips, self.batch = synapse.chips, batch
        self._at_once = max(1, MOST_NUMBERS // (self.chips * wiring.positions * wiring.fan_in))

    def up(
        self, images: Tensor, bias: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Drives ``(images, *drives)`` of what the weights are shown, ``(images, *read)``."""

        def read(rows: Tensor, own: Tensor | None) -> Tensor:
            return self.synapse.forward(rows, bias, None, own, weights)

        parts = self._parts(images, noise, self.synapse.forward_noise)
        found = [self._read(read, self.windows(shown), own) for shown, own in parts]
        return self._whole([lines.mT for lines in found], (self.wiring.lines, self.wiring.positions)).view(
            len(images), *self.wiring.drives
        )

    def down(self, messages: Tensor, noise: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        """What comes down to ``(images, *read)`` of messages to the drives."""

        def read(rows: Tensor, own: Tensor | None) -> Tensor:
            if self.path is not None:
                return self.path.forward(rows, None, None, own)
            return self.synapse.backward_read(rows, None, own, weights)

        numbers = self.synapse.backward_noise if self.path is None else self.path.forward_noise
        found = [self._read(read, self.lines(shown), own) for shown, own in self._parts(messages, noise, numbers)]
        return self._whole([self._folded(windows) for windows in found], self.wiring.read)

    def rows(self, messages: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """All that the weights are shown from above ``(chips, rows, lines)`` and from below ``(chips, rows, fan_in)``."""
        return self._by_chip(self.lines(messages)), self._by_chip(self.windows(images))

    def change(self, messages: Tensor, images: Tensor) -> Tensor:
        """The sum over all rows of their outer products ``(chips, lines, fan_in)``."""
        shown = (self._parts(own, None, NoiseNumbers()) for own in (messages, images))
        factors = (
            (self._by_chip(self.lines(post)), self._by_chip(self.windows(pre)))
            for (post, _), (pre, _) in zip(*shown, strict=True)
        )
        first, *others = (torch.bmm(post.mT, pre) for post, pre in factors)
        return sum(others, start=first)

    def windows(self, images: Tensor) -> Tensor:
        """The windows of images ``(images, *read)``, one after the other: ``(images, positions, fan_in)``."""
        kernel = self.wiring.kernel
        if kernel is None:
            return images.reshape(len(images), 1, -1)
        if kernel.padding:
            images = pad(images, [kernel.padding] * 4)
        shown = images.unfold(2, kernel.size, kernel.stride).unfold(3, kernel.size, kernel.stride)
        return shown.permute(0, 2, 3, 1, 4, 5).reshape(len(images), self.wiring.positions, self.wiring.fan_in)

    def lines(self, messages: Tensor) -> Tensor:
        """Messages to the drives ``(images, *drives)`` as ``(images, positions, lines)``."""
        return messages.reshape(len(messages), self.wiring.lines, self.wiring.positions).mT

    def _folded(self, windows: Tensor) -> Tensor:
        """Sums over all windows that a number of ``(images, *read)`` is in."""
        kernel = self.wiring.kernel
        if kernel is None:
            return windows
        return fold(windows.mT, self.wiring.read[1:], kernel.size, padding=kernel.padding, stride=kernel.stride)

    def _read(self, read: Read, shown: Tensor, noise: Tensor | None) -> Tensor:
        """What is read of ``(images, positions, from)``: ``(images, positions, to)``."""
        return read(self._by_chip(shown), noise).reshape(*shown.shape[:2], -1)

    def _by_chip(self, shown: Tensor) -> Tensor:
        return shown.reshape(self.chips, -1, shown.shape[-1])

    def _parts(
        self, images: Tensor, noise: Tensor | None, numbers: NoiseNumbers
    ) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Some samples of every chip after the other, with their normal numbers as those of their positions."""
        samples = images.reshape(self.chips, self.batch, *images.shape[1:])
        for start in range(0, self.batch, self._at_once):
            own = slice(start, start + self._at_once)
            part = None if noise is None else self._by_position(noise[:, own], numbers)
            yield samples[:, own].flatten(0, 1), part

    def _whole(self, parts: list[Tensor], shape: tuple[int, ...]) -> Tensor:
        """All samples again, ``(images, *shape)``."""
        by_chip = [part.reshape(self.chips, -1, *shape) for part in parts]
        return (by_chip[0] if len(by_chip) == 1 else torch.cat(by_chip, 1)).flatten(0, 1)

    def _by_position(self, noise: Tensor, numbers: NoiseNumbers) -> Tensor:
        """A sample's normal numbers are first all of cells, then all of converters; so are those of each position."""
        of_cells = self.wiring.positions * numbers.cells
        parts = zip((noise[..., :of_cells], noise[..., of_cells:]), numbers, strict=True)
        rows = noise.shape[1] * self.wiring.positions
        return torch.cat([part.reshape(self.chips, rows, count) for part, count in parts], -1)


class Whole(Unrolled):
    """A convolution with weights that are read exactly, by torch's own.

    Chip after chip: grouped convolutions would round differently, and a chip's numbers depend on its neighbours.
    """

    def __init__(self, wiring: Wiring, synapse: Synapse, path: Synapse | None, batch: int) -> None:
        super().__init__(wiring, synapse, path, batch)
        assert wiring.kernel is not None
        self._kernel: Kernel = wiring.kernel
        sides = (wiring.read[1] + 2 * self._kernel.padding, wiring.read[2] + 2 * self._kernel.padding)
        # Rows and columns that no window reaches.
        self._beyond = [(side - self._kernel.size) % self._kernel.stride for side in sides]

    def up(
        self, images: Tensor, bias: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        kernels = self._kernels(self.synapse.weights if weights is None else weights)
        stride, padding = self._kernel.stride, self._kernel.padding
        offsets = [None] * self.chips if bias is None else bias.flatten(1).unbind()
        shown = zip(self._each(images), kernels, offsets, strict=True)
        return _joined([conv2d(own, kernel, offset, stride, padding) for own, kernel, offset in shown])

    def down(self, messages: Tensor, noise: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        matrix = self.path.weights.mT if self.path is not None else self.synapse.weights if weights is None else weights
        stride, padding = self._kernel.stride, self._kernel.padding
        shown = zip(self._each(messages), self._kernels(matrix), strict=True)
        return _joined([conv_transpose2d(own, kernel, None, stride, padding, self._beyond) for own, kernel in shown])

    def change(self, messages: Tensor, images: Tensor) -> Tensor:
        stride, padding = [self._kernel.stride] * 2, [self._kernel.padding] * 2
        like = self._kernels(self.synapse.weights)
        changes = []
        for own, shown, kernel in zip(self._each(messages), self._each(images), like, strict=True):
            geometry = (stride, padding, [1, 1], False, [0, 0], 1)
            _, change, _ = torch.ops.aten.convolution_backward(own, shown, kernel, [0], *geometry, [False, True, False])
            changes.append(change.flatten(1))
        return torch.stack(changes)

    def _each(self, images: Tensor) -> tuple[Tensor, ...]:
        return torch.split(images, self.batch)

    def _kernels(self, weights: Tensor) -> tuple[Tensor, ...]:
        size = self._kernel.size
        return weights.reshape(self.chips, self.wiring.lines, self.wiring.read[0], size, size).unbind()


def weights_of(wiring: Wiring, synapse: Synapse, path: Synapse | None, batch: int) -> Unrolled:
    """How the weights of a wiring are best read."""
    exact = synapse.exact and (path is None or path.exact)
    return (Whole if wiring.kernel is not None and exact else Unrolled)(wiring, synapse, path, batch)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
