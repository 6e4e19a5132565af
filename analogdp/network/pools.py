"""Windows of images of which each gives one number, and what that passes back: the vector-Jacobian product.

Nothing here remembers: a pool hands out a context, and takes it back. So the same functions serve buffers and autograd.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from analogdp.scenario.wiring import Pool, Shape

Context = dict[str, Tensor]
"""What passing back needs of the way forward, by name; the first axis is that of the images."""


class Pooling(ABC):
    """A pool of images.

    Args:
        pool: its windows.
        shape: of an image, ``(channels, height, width)``.
    """

    def __init__(self, pool: Pool, shape: Shape) -> None:
        self.pool, self.shape = pool, shape

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Context]:
        """One number for each window of images ``(images, channels, height, width)``, and the context of this."""

    @abstractmethod
    def back(self, messages: Tensor, context: Context) -> Tensor:
        """Messages for the images from those for their windows, along the slopes of a context."""

    def _averages(self, images: Tensor) -> Tensor:
        """Means of all windows: along rows and then along columns, which takes a fifth of the time of torch's on CPUs."""
        tall, wide = self._offsets
        rows = _sum([images[..., own, :] for own in tall])
        return _sum([rows[..., own] for own in wide]) / self.pool.size**2

    def _spread(self, messages: Tensor) -> Tensor:
        """An equal share of each window's message for all that is in it."""
        (tall, wide), (_, height, width) = self._offsets, self.shape
        shares = messages / self.pool.size**2
        rows = shares.new_zeros(*shares.shape[:-1], width)
        for own in wide:
            rows[..., own] += shares
        images = shares.new_zeros(*rows.shape[:-2], height, width)
        for own in tall:
            images[..., own, :] += rows
        return images

    @property
    def _offsets(self) -> tuple[list[slice], list[slice]]:
        """Rows and columns that are the first in each window, the second, and so on."""
        size, stride = self.pool.size, self.pool.stride
        spans = [(windows - 1) * stride + 1 for windows in self.pool.of(self.shape)[1:]]
        tall, wide = ([slice(first, first + span, stride) for first in range(size)] for span in spans)
        return tall, wide


class MaxPooling(Pooling):
    """The largest of each window; messages go back to where it was."""

    def forward(self, images: Tensor) -> tuple[Tensor, Context]:
        largest, places = max_pool2d(images, self.pool.size, self.pool.stride, return_indices=True)
        return largest, {"places": places}

    def back(self, messages: Tensor, context: Context) -> Tensor:
        images = messages.new_zeros(len(messages), *self.shape)
        spread = images.flatten(2).scatter_add(2, context["places"].flatten(2), messages.flatten(2))
        return spread.view_as(images)


class AveragePooling(Pooling):
    """The mean of each window."""

    def forward(self, images: Tensor) -> tuple[Tensor, Context]:
        return self._averages(images), {}

    def back(self, messages: Tensor, context: Context) -> Tensor:
        return self._spread(messages)


class QuadraticMeanPooling(Pooling):
    """The root of the mean square of each window: y = sqrt(mean x^2), dy/dx = x / (n y), taken as 0 where y is 0."""

    def forward(self, images: Tensor) -> tuple[Tensor, Context]:
        squares = self._averages(images.square())
        # y = x^2 / y: the slope of a root at 0 is infinite, which autograd would multiply by 0.
        inverse = torch.where(squares > 0, squares, torch.inf).rsqrt()
        return squares * inverse, {"images": images, "inverse": inverse}

    def back(self, messages: Tensor, context: Context) -> Tensor:
        return self._spread(messages * context["inverse"]) * context["images"]


KINDS: dict[Literal["max", "average", "quadratic_mean"], type[Pooling]] = {
    "max": MaxPooling,
    "average": AveragePooling,
    "quadratic_mean": QuadraticMeanPooling,
}


def _sum(parts: list[Tensor]) -> Tensor:
    return sum(parts[1:], start=parts[0])
