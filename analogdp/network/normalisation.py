"""Batch normalisation of drives (Ioffe & Szegedy 2015, Algorithm 1): the one thing that joins the samples of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analogdp.network.pools import Context

EPSILON = 1e-5
"""Added to variances (torch's default)."""
MEMORY = 0.1
"""Share of a new batch in the running statistics (torch's default)."""


class BatchNormalisation(nn.Module):
    """y = gain (x - mean) / sqrt(variance + epsilon) + offset, for each output line over samples and positions.

    Args:
        like: ``(chips, lines)``, for sizes, device and floating-point type.

    Attributes:
        gain, offset: trained, ``(chips, lines)``.
        mean, variance: running statistics for samples that are not learned from.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones_like(like), requires_grad=False)
        self.offset = nn.Parameter(torch.zeros_like(like), requires_grad=False)
        self.register_buffer("mean", torch.zeros_like(like))
        self.register_buffer("variance", torch.ones_like(like))

    def forward(self, drives: Tensor, together: bool) -> tuple[Tensor, Context]:
        """Normalised drives, and the context of :meth:`back`.

        Args:
            drives: ``(chips, batch, lines, positions)``.
            together: by the statistics of these very drives, else by the running ones.
        """
        mean, variance = self.mean, self.variance
        if together:
            variance, mean = torch.var_mean(drives, (1, 3), correction=0)
        slope = torch.rsqrt(variance + EPSILON)
        normal = (drives - _everywhere(mean)) * _everywhere(slope)
        context = {"normal": normal, "slope": slope, "mean": mean, "variance": variance}
        return normal * _everywhere(self.gain) + _everywhere(self.offset), context

    def back(self, messages: Tensor, context: Context, together: bool) -> Tensor:
        """Messages for the drives from those for what they were normalised to, ``(chips, batch, lines, positions)``."""
        if together:
            normal = context["normal"]
            own, slant = (part.mean((1, 3), keepdim=True) for part in (messages, messages * normal))
            messages = messages - own - normal * slant
        return messages * _everywhere(self.gain * context["slope"])

    @torch.no_grad()
    def learn(self, signals: Tensor, context: Context) -> None:
        """Leave the gradients of gain and offset with them for an optimizer, and let running statistics follow the batch.

        A single number has no spread, and leaves the statistics as they are.

        Args:
            signals: minus the gradient of each sample's loss by what its drives were normalised to.
            context: of the drives, normalised together.
        """
        samples = signals.shape[1]
        self.gain.grad = (signals * context["normal"]).sum((1, 3)) / -samples
        self.offset.grad = signals.sum((1, 3)) / -samples
        count = signals.shape[1] * signals.shape[3]
        if count > 1:
            self.mean.lerp_(context["mean"], MEMORY)
            self.variance.lerp_(context["variance"] * (count / (count - 1)), MEMORY)


def as_lines(
    gain: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, epsilon: float = EPSILON
) -> tuple[Tensor, Tensor]:
    """Normalisation by known statistics as ``factor * x + shift``: factor and shift, of the arguments' shape."""
    factor = gain * torch.rsqrt(variance + epsilon)
    return factor, offset - factor * mean


def _everywhere(lines: Tensor) -> Tensor:
    return lines[:, None, :, None]
