"""Windows of images of which each gives one number, and what that passes back: the vector-Jacobian product."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from analogdp.scenario.wiring import Pool, Shape


class Pooling(ABC):
    """A pool of images ``(images, channels, height, width)``, which remembers what passing back needs.

    Args:
        pool: kind and windows.
        shape: of the images ``(channels, height, width)``.
        images: how many there are.
        like: for device and floating-point type.

    Attributes:
        memory: what :meth:`back` needs of the last :meth:`forward`, by name; zero at rest.
    """

    memory: dict[str, Tensor]

    def __init__(self, pool: Pool, shape: Shape, images: int, like: Tensor) -> None:
        self.pool, self.shape = pool, (images, *shape)
        self.pooled = (images, *pool.of(shape))
        self._template = like.new_zeros(self.shape)

    @abstractmethod
    def forward(self, images: Tensor, remember: bool = True) -> Tensor:
        """One number for each window."""

    @abstractmethod
    def back(self, messages: Tensor) -> Tensor:
        """Messages for the images from those for the windows, along the slopes of the last remembered :meth:`forward`."""

    def _averages(self, images: Tensor) -> Tensor:
        return avg_pool2d(images, self.pool.size, self.pool.stride)

    def _spread(self, messages: Tensor) -> Tensor:
        size, stride = [self.pool.size] * 2, [self.pool.stride] * 2
        spread: Tensor = torch.ops.aten.avg_pool2d_backward(
            messages.contiguous(), self._template, size, stride, [0, 0], False, True, None
        )
        return spread


class MaxPooling(Pooling):
    """The largest of each window; messages go back to where it was."""

    def __init__(self, pool: Pool, shape: Shape, images: int, like: Tensor) -> None:
        super().__init__(pool, shape, images, like)
        self.memory = {"places": torch.zeros(self.pooled, dtype=torch.int64, device=like.device)}

    def forward(self, images: Tensor, remember: bool = True) -> Tensor:
        largest, places = max_pool2d(images, self.pool.size, self.pool.stride, return_indices=True)
        if remember:
            self.memory["places"].copy_(places)
        return largest

    def back(self, messages: Tensor) -> Tensor:
        spread = torch.zeros_like(self._template).flatten(2)
        return spread.scatter_add_(2, self.memory["places"].flatten(2), messages.flatten(2)).view(self.shape)


class AveragePooling(Pooling):
    """The mean of each window."""

    def __init__(self, pool: Pool, shape: Shape, images: int, like: Tensor) -> None:
        super().__init__(pool, shape, images, like)
        self.memory = {}

    def forward(self, images: Tensor, remember: bool = True) -> Tensor:
        return self._averages(images)

    def back(self, messages: Tensor) -> Tensor:
        return self._spread(messages)


class QuadraticMeanPooling(Pooling):
    """The root of the mean square of each window: y = sqrt(mean x^2), dy/dx = x / (n y), taken as 0 where y is 0."""

    def __init__(self, pool: Pool, shape: Shape, images: int, like: Tensor) -> None:
        super().__init__(pool, shape, images, like)
        self.memory = {"images": torch.zeros_like(self._template), "roots": like.new_zeros(self.pooled)}

    def forward(self, images: Tensor, remember: bool = True) -> Tensor:
        roots = self._averages(images.square()).sqrt_()
        if remember:
            self.memory["images"].copy_(images)
            self.memory["roots"].copy_(roots)
        return roots

    def back(self, messages: Tensor) -> Tensor:
        roots = self.memory["roots"]
        shares = torch.where(roots > 0, messages.view(self.pooled) / roots, 0.0)
        return self._spread(shares).mul_(self.memory["images"])


KINDS: dict[Literal["max", "average", "quadratic_mean"], type[Pooling]] = {
    "max": MaxPooling,
    "average": AveragePooling,
    "quadratic_mean": QuadraticMeanPooling,
}
