"""What is done to training samples at random, each time that they are shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.streams import Stream


@dataclass(frozen=True)
class Augmentation:
    """Shifted and mirrored pictures, and noise. All draws are shared by all chips, and none waits for the device.

    Attributes:
        crop: pixels of zeros around a picture, out of which a window of its own size is cut.
        flip: whether every other picture, on average, is mirrored from left to right.
        noise: standard deviation of normal noise on every number.
        clamp: whether noisy numbers are cut off at 0 and 1.
    """

    crop: int = 0
    flip: bool = False
    noise: float = 0.0
    clamp: bool = False

    @property
    def moves(self) -> bool:
        """Whether pictures are moved, which is done to what they are kept as, where zero is black."""
        return self.crop > 0 or self.flip

    def moved(self, pictures: Tensor, shape: tuple[int, ...], stream: Stream) -> Tensor:
        """Pictures ``(batch, channels * height * width)`` of a shape, each cut out and mirrored by its own draw."""
        images = pictures.reshape(-1, *shape)
        batch, (channels, height, width) = len(images), shape
        uniform = stream.shared().child("window").uniform((3, batch))[0]
        if self.crop:
            images = torch.nn.functional.pad(images, (self.crop,) * 4)
        # Rounding may take a product of a number just below 1 to the next whole one.
        most = 2 * self.crop
        down, right = (uniform[:2] * (most + 1)).to(torch.int64).clamp_(max=most)
        rows, columns = (torch.arange(length, device=images.device) for length in (height, width))
        across = columns.expand(batch, -1)
        if self.flip:
            across = torch.where(uniform[2, :, None] < 0.5, across.flip(1), across)
        return images[
            torch.arange(batch, device=images.device)[:, None, None, None],
            torch.arange(channels, device=images.device)[:, None, None],
            (rows + down[:, None])[:, None, :, None],
            (across + right[:, None])[:, None, None, :],
        ].reshape(batch, -1)

    def noisy(self, values: Tensor, stream: Stream) -> Tensor:
        """Inputs ``(batch, inputs)`` with noise of their own."""
        if self.noise:
            values = values + stream.shared().child("noise").normal(tuple(values.shape), std=self.noise)[0]
            values = values.clamp_(0, 1) if self.clamp else values
        return values
