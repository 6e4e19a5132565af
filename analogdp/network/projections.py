"""How messages get from one layer to the next and back: through weights, and through whatever lies around them.

A synapse only knows a matrix. A projection shows it rows: for a layer that every unit reaches the messages themselves, for a
convolution the windows of the images, one after the other, so that the same crossbar is read once for each position.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import fold, unfold

from analogdp.network.pools import KINDS, Pooling
from analogdp.scenario.wiring import Pool, Shape, Wiring
from analogdp.synapses.base import NoiseNumbers, Synapse

ReadUp = Callable[[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None], Tensor]
"""``read(message, bias, out, noise, weights)``, as :meth:`analogdp.synapses.base.Synapse.forward`."""
ReadDown = Callable[[Tensor, Tensor | None, Tensor | None, Tensor | None], Tensor]
"""``read(message, out, noise, weights)``, as :meth:`analogdp.synapses.base.Synapse.backward_read`."""


class Passage:
    """The messages of one batch through a projection whose weights every unit reaches, with nothing around them.

    Attributes:
        up: reads what comes from below, ``(chips, batch, inputs)`` to ``(chips, batch, outputs)``.
        down: reads what comes from above.
        memory: what :attr:`down` needs of the last :attr:`up`, by name; to be copied into.
    """

    def __init__(self, synapse: Synapse, path: Synapse | None) -> None:
        self.up: ReadUp = synapse.forward
        self.down: ReadDown = synapse.backward_read if path is None else _through(path)
        self.memory: dict[str, Tensor] = {}

    def rows(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of a weight change from a signal of the neurons above and the message from below.

        Args:
            signal: ``(chips, batch, outputs)``.
            below: ``(chips, batch, inputs)``.

        Returns:
            post ``(chips, rows, lines)`` and pre ``(chips, rows, fan_in)``; the change is the sum over rows of their products.
        """
        return signal, below

    def inputs(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        """What the weights are shown of messages from below and from above: rows, as of :meth:`rows`."""
        return below, above


class ImagePassage(Passage):
    """The messages of one batch through windows: a convolution, pools, or both.

    Args:
        wiring: what lies between the layers.
        synapse, path: the weights, and those that carry messages down if these are others.
        chips, batch: of the messages.
    """

    def __init__(self, wiring: Wiring, synapse: Synapse, path: Synapse | None, chips: int, batch: int) -> None:
        super().__init__(synapse, path)
        self._wiring, self._synapse, self._chips, self._batch = wiring, synapse, chips, batch
        self._read_down = self.down
        self._down_noise = synapse.backward_noise if path is None else path.forward_noise
        self.up, self.down = self._up, self._down
        self._activities = self._pooling(wiring.activity_pool, wiring.below)
        self._drives = self._pooling(wiring.drive_pool, wiring.drives)
        pools = {"activity": self._activities, "drive": self._drives}
        self.memory = {
            f"{name}.{part}": kept
            for name, pool in pools.items()
            if pool is not None
            for part, kept in pool.memory.items()
        }

    def rows(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        return self._rows_down(signal), self._rows_up(below, remember=False)

    def inputs(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        return self._rows_up(below), self._rows_down(above)

    def _up(
        self,
        message: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        rows = self._rows_up(message)
        own = self._by_rows(noise, self._synapse.forward_noise)
        drives = self._synapse.forward(rows, bias, None, own, weights)
        if self._wiring.kernel is not None:
            drives = drives.view(-1, self._wiring.positions, self._wiring.lines).mT
        if self._drives is not None:
            drives = self._drives.forward(drives.reshape(self._images, *self._wiring.drives))
        result = drives.reshape(self._chips, self._batch, self._wiring.outputs)
        return result if out is None else out.copy_(result)

    def _down(
        self, message: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        own = self._by_rows(noise, self._down_noise)
        rows = self._read_down(self._rows_down(message), None, own, weights)
        kernel, wiring = self._wiring.kernel, self._wiring
        if kernel is not None:
            columns = rows.reshape(self._images, wiring.positions, wiring.fan_in).mT
            rows = fold(columns, wiring.read[1:], kernel.size, padding=kernel.padding, stride=kernel.stride)
        if self._activities is not None:
            rows = self._activities.back(rows.reshape(self._images, *wiring.read))
        result = rows.reshape(self._chips, self._batch, wiring.inputs)
        return result if out is None else out.copy_(result)

    def _rows_up(self, message: Tensor, remember: bool = True) -> Tensor:
        """What the weights are shown of a message from below ``(chips, batch x positions, fan_in)``."""
        wiring, kernel = self._wiring, self._wiring.kernel
        if self._activities is not None:
            message = self._activities.forward(message.reshape(self._images, *wiring.below), remember)
        if kernel is None:
            return message.reshape(self._chips, self._batch, wiring.fan_in)
        images = message.reshape(self._images, *wiring.read)
        windows = unfold(images, kernel.size, padding=kernel.padding, stride=kernel.stride)
        return windows.mT.reshape(self._chips, self._batch * wiring.positions, wiring.fan_in)

    def _rows_down(self, message: Tensor) -> Tensor:
        """What the weights are shown of a message from above ``(chips, batch x positions, lines)``."""
        wiring = self._wiring
        if self._drives is not None:
            message = self._drives.back(message.reshape(self._images, *wiring.above))
        if wiring.kernel is None:
            return message
        lines = message.reshape(self._images, wiring.lines, wiring.positions).mT
        return lines.reshape(self._chips, self._batch * wiring.positions, wiring.lines)

    @property
    def _images(self) -> int:
        return self._chips * self._batch

    def _pooling(self, pool: Pool | None, shape: Shape) -> Pooling | None:
        return None if pool is None else KINDS[pool.kind](pool, shape, self._images, self._synapse.weights)

    def _by_rows(self, noise: Tensor | None, numbers: NoiseNumbers) -> Tensor | None:
        """Normal numbers of samples as those of their positions: first all of cells, then all of converters."""
        if noise is None:
            return None
        rows, of_cells = self._batch * self._wiring.positions, self._wiring.positions * numbers.cells
        cells, converters = noise[..., :of_cells], noise[..., of_cells:]
        parts = (
            cells.reshape(self._chips, rows, numbers.cells),
            converters.reshape(self._chips, rows, numbers.converters),
        )
        return torch.cat(parts, -1)


class Projection:
    """All that lies between two layers.

    Args:
        wiring: pools and windows.
        synapse: the weights.
        path: carries messages down in place of the transposed synapse, or None.
    """

    def __init__(self, wiring: Wiring, synapse: Synapse, path: Synapse | None) -> None:
        self.wiring, self.synapse, self.path = wiring, synapse, path

    def passage(self, batch: int) -> Passage:
        """Buffers and functions for the messages of one batch."""
        if self.wiring.plain:
            return Passage(self.synapse, self.path)
        return ImagePassage(self.wiring, self.synapse, self.path, self.synapse.chips, batch)

    @property
    def noise_up(self) -> NoiseNumbers:
        """Normal numbers that a noisy read of what comes from below takes for each sample."""
        return self._for_all_positions(self.synapse.forward_noise)

    @property
    def noise_down(self) -> NoiseNumbers:
        """The same of what comes from above."""
        return self._for_all_positions(self.synapse.backward_noise if self.path is None else self.path.forward_noise)

    @property
    def down(self) -> Synapse:
        """The synapse that carries messages down."""
        return self.synapse if self.path is None else self.path

    def _for_all_positions(self, numbers: NoiseNumbers) -> NoiseNumbers:
        return NoiseNumbers(*(number * self.wiring.positions for number in numbers))


def _through(path: Synapse) -> ReadDown:
    """Downward reads through a synapse of their own."""

    def read(
        message: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        return path.forward(message, None, out, noise)

    return read
