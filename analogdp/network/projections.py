"""How messages get from one layer to the next and back: through weights, and through whatever lies around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from analogdp.network.convolution import weights_of
from analogdp.network.normalisation import BatchNormalisation
from analogdp.network.pools import KINDS, Context, Pooling
from analogdp.scenario.wiring import Pool, Shape, Wiring
from analogdp.synapses.base import NoiseNumbers, Synapse

ReadUp = Callable[[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None], Tensor]
"""``read(message, bias, out, noise, weights)``, as :meth:`analogdp.synapses.base.Synapse.forward`."""
ReadDown = Callable[[Tensor, Tensor | None, Tensor | None, Tensor | None], Tensor]
"""``read(message, out, noise, weights)``, as :meth:`analogdp.synapses.base.Synapse.backward_read`."""
Contexts = dict[str, Context]
"""What the stages around the weights need to pass messages back, by the stage."""


class Passage:
    """The messages of one batch through a projection whose weights every unit reaches, with nothing around them.

    Attributes:
        up: reads what comes from below, ``(chips, batch, inputs)`` to ``(chips, batch, outputs)``.
        down: reads what comes from above.
        memory: what :attr:`down` needs of the last :attr:`up`, by name, with one entry for each image of all chips
            (for each chip, of what a batch has in common); to be copied into.
        learning: the present samples are learned from, so drives are normalised by their statistics.
    """

    def __init__(self, synapse: Synapse, path: Synapse | None) -> None:
        self._synapse = synapse
        self.up: ReadUp = synapse.forward
        self.down: ReadDown = synapse.backward_read if path is None else _through(path)
        self.memory: dict[str, Tensor] = {}
        self.learning = False

    def linked(self, message: Tensor, bias: Tensor | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """What is read of a message from below, and what carries messages down along the slopes at that message.

        Both can be differentiated, and nothing is remembered.
        """
        return self._synapse.forward(message, bias), lambda above: self.down(above, None, None, None)

    def rows(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """The factors of a weight change from a signal of the neurons above and the message from below.

        Args:
            signal: ``(chips, batch, outputs)``.
            below: ``(chips, batch, inputs)``.

        Returns:
            post ``(chips, rows, lines)`` and pre ``(chips, rows, fan_in)``; the change is the sum over rows of their products.
        """
        return signal, below

    def sums(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        """The sums over all :meth:`rows` of their products ``(chips, lines, fan_in)``, and of the first ``(chips, 1, lines)``."""
        return torch.bmm(signal.mT, below), signal.sum(1, keepdim=True)

    def inputs(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        """What the weights are shown of messages from below and from above: rows, as of :meth:`rows`."""
        return below, above

    def learn(self, signal: Tensor) -> None:
        """Let what is trained beside the weights have its gradients, from a signal of the neurons; nothing here."""


class ImagePassage(Passage):
    """The messages of one batch through a convolution, pools, batch normalisation, or several of them.

    Args:
        wiring: what lies between the layers.
        synapse, path: the weights, and those that carry messages down if these are others.
        normalisation: of the drives, or None.
        batch: samples of each chip.
    """

    def __init__(
        self,
        wiring: Wiring,
        synapse: Synapse,
        path: Synapse | None,
        normalisation: BatchNormalisation | None,
        batch: int,
    ) -> None:
        super().__init__(synapse, path)
        self._wiring, self._chips, self._batch = wiring, synapse.chips, batch
        self._weights = weights_of(wiring, synapse, path, batch)
        self._normalisation = normalisation
        self._activity_pool = _pooling(wiring.activity_pool, wiring.below)
        self._drive_pool = _pooling(wiring.drive_pool, wiring.drives)
        self.up, self.down = self._up, self._down
        like, images = synapse.weights, synapse.chips * batch
        read, drives = (like.new_zeros(images, *shape) for shape in (wiring.below, wiring.drives))
        self._contexts = self._after_weights(drives)[1] | {"activity": self._activity_pool.forward(read)[1]}
        self.memory = {}
        for stage, context in self._contexts.items():
            for name, found in context.items():
                context[name] = self.memory[f"{stage}.{name}"] = torch.zeros_like(found)

    def linked(self, message: Tensor, bias: Tensor | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        drives, contexts = self._through(message, bias, None, None)
        return drives, partial(self._back, contexts=contexts, noise=None, weights=None)

    def rows(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        return self._weights.rows(self._at_weights(signal, self._contexts), self._pooled(below)[0])

    def sums(self, signal: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
        own = self._at_weights(signal, self._contexts)
        change = self._weights.change(own, self._pooled(below)[0])
        return change, own.view(self._chips, self._batch, self._wiring.lines, -1).sum((1, 3)).unsqueeze(1)

    def inputs(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        post, pre = self.rows(above, below)
        return pre, post

    def learn(self, signal: Tensor) -> None:
        if self._normalisation is not None:
            own = self._drive_pool.back(self._images(signal, self._wiring.above), self._contexts["drive"])
            self._normalisation.learn(self._by_line(own), self._contexts["normalisation"])

    def _up(
        self,
        message: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        result, contexts = self._through(message, bias, noise, weights)
        for stage, context in contexts.items():
            for name, found in context.items():
                self._contexts[stage][name].copy_(found)
        return result if out is None else out.copy_(result)

    def _down(
        self, message: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        result = self._back(message, self._contexts, noise, weights)
        return result if out is None else out.copy_(result)

    def _through(
        self, message: Tensor, bias: Tensor | None, noise: Tensor | None, weights: Tensor | None
    ) -> tuple[Tensor, Contexts]:
        """Activity pool, weights, normalisation, drive pool."""
        shown, context = self._pooled(message)
        result, contexts = self._after_weights(self._weights.up(shown, bias, noise, weights))
        return result.reshape(self._chips, self._batch, -1), contexts | {"activity": context}

    def _after_weights(self, drives: Tensor) -> tuple[Tensor, Contexts]:
        contexts: Contexts = {}
        if self._normalisation is not None:
            normal, contexts["normalisation"] = self._normalisation(self._by_line(drives), self.learning)
            drives = normal.view_as(drives)
        result, contexts["drive"] = self._drive_pool.forward(drives)
        return result, contexts

    def _at_weights(self, message: Tensor, contexts: Contexts) -> Tensor:
        """A message from above as it arrives at the weights, ``(images, *drives)``."""
        own = self._drive_pool.back(self._images(message, self._wiring.above), contexts["drive"])
        if self._normalisation is not None:
            context = contexts["normalisation"]
            own = self._normalisation.back(self._by_line(own), context, self.learning).reshape(own.shape)
        return own

    def _back(self, message: Tensor, contexts: Contexts, noise: Tensor | None, weights: Tensor | None) -> Tensor:
        own = self._weights.down(self._at_weights(message, contexts), noise, weights)
        below = self._activity_pool.back(own, contexts["activity"])
        return below.reshape(self._chips, self._batch, -1)

    def _pooled(self, message: Tensor) -> tuple[Tensor, Context]:
        return self._activity_pool.forward(self._images(message, self._wiring.below))

    @staticmethod
    def _images(message: Tensor, shape: Shape) -> Tensor:
        return message.reshape(-1, *shape)

    def _by_line(self, drives: Tensor) -> Tensor:
        return drives.reshape(self._chips, self._batch, self._wiring.lines, self._wiring.positions)


class Projection:
    """All that lies between two layers.

    Args:
        wiring: pools and windows.
        synapse: the weights.
        path: carries messages down in place of the transposed synapse, or None.
        normalisation: of the drives, or None.
    """

    def __init__(
        self,
        wiring: Wiring,
        synapse: Synapse,
        path: Synapse | None,
        normalisation: BatchNormalisation | None = None,
    ) -> None:
        self.wiring, self.synapse, self.path, self.normalisation = wiring, synapse, path, normalisation

    def passage(self, batch: int) -> Passage:
        """Buffers and functions for the messages of one batch."""
        if self.wiring.plain:
            return Passage(self.synapse, self.path)
        return ImagePassage(self.wiring, self.synapse, self.path, self.normalisation, batch)

    @property
    def convolves(self) -> bool:
        """Whether sums of the rows of its windows are worth having, and enough to change the weights."""
        return self.wiring.kernel is not None and not self.synapse.rowwise

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


class _NoPool(Pooling):
    """No windows: everything passes as it is."""

    def __init__(self) -> None:
        pass

    def forward(self, images: Tensor) -> tuple[Tensor, Context]:
        return images, {}

    def back(self, messages: Tensor, context: Context) -> Tensor:
        return messages


def _pooling(pool: Pool | None, shape: Shape) -> Pooling:
    return _NoPool() if pool is None else KINDS[pool.kind](pool, shape)


def _through(path: Synapse) -> ReadDown:
    """Downward reads through a synapse of their own."""

    def read(
        message: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        return path.forward(message, None, out, noise)

    return read
