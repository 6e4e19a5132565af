"""Which way a local rule goes, compared with backpropagation: angles between wanted weight changes and minus the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from analogdp.analysis.gradients import loss_gradients
from analogdp.network import Network
from analogdp.synapses.base import LocalUpdate


def alignment_angles(
    network: Network, inputs: Tensor, targets: Tensor, updates: Sequence[Sequence[LocalUpdate]]
) -> Tensor:
    """Angles in degrees ``(synapses, chips)`` between what a rule wants and minus the gradient of the batch's mean loss.

    The gradient is autograd's, at the free forward pass (Hoier & Zach 2024, Sec. 5.2). 0: the same direction, 90: none of it,
    180: the opposite; NaN where one of the two is zero, as the gradient is below neurons that jump.

    Args:
        network: with the weights that are about to be changed.
        inputs, targets: the batch, ``(chips or 1, batch, ...)``.
        updates: those of each synapse, sums of outer products alone.
    """
    gradients = loss_gradients(network, inputs, targets)
    wanted = (sum_of_products(own) for own in updates)
    return torch.stack([angle(change, -gradient) for change, gradient in zip(wanted, gradients, strict=True)])


def sum_of_products(updates: Sequence[LocalUpdate]) -> Tensor:
    """The weight change that updates ask for together, ``(chips, out, in)``.

    Raises:
        ValueError: one of them shrinks weights, too.
    """
    if any(update.decay is not None for update in updates):
        raise ValueError("an update that shrinks weights is more than a sum of products")
    return torch.stack([update.post.mT @ update.pre for update in updates]).sum(0)


def angle(one: Tensor, other: Tensor) -> Tensor:
    """Degrees between tensors ``(chips, ...)``, for each chip, precise also where they are small (Kahan 2006)."""
    a, b = (own.flatten(1) / own.flatten(1).norm(dim=1, keepdim=True) for own in (one, other))
    return torch.rad2deg(2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1)))
