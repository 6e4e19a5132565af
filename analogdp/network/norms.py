"""Norms of what lies between two layers, by power iterations that are kept warm while the weights change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from analogdp.network.normalisation import EPSILON
from analogdp.network.projections import Passage, Projection
from analogdp.neurons.base import NeuronModel
from analogdp.neurons.damping import Damping
from analogdp.scenario.wiring import Pool, Wiring
from analogdp.streams import Stream
from analogdp.synapses.ideal import IdealSynapse

FIRST_ITERATIONS, WARM_ITERATIONS = 50, 3
"""Of a random direction, and of one that has followed the weights so far."""


def linear_part(projection: Projection, batch: int = 1) -> Passage:
    """The passage of messages through the weights alone, as a read without noise and converters finds them now.

    Normalisations are part of it, by their running statistics.
    """
    wiring, synapse, normal = projection.wiring, projection.synapse, projection.normalisation
    bare = Wiring(wiring.read, wiring.drives, kernel=wiring.kernel)
    if normal is not None:
        slope = normal.gain * torch.rsqrt(normal.variance + EPSILON)
        synapse = IdealSynapse(synapse.weights * slope.unsqueeze(-1))
    elif not synapse.exact:
        synapse = IdealSynapse(synapse.weights)
    return Projection(bare, synapse, None).passage(batch)


def iterate(passage: Passage, direction: Tensor, times: int) -> Tensor:
    """Squared norm of a linear passage, from below ``(chips,)``; ``direction`` ``(chips, 1, inputs)`` turns to its vector."""
    length = direction.new_zeros(direction.shape[0], 1, 1)
    for _ in range(times):
        turned = passage.down(passage.up(direction, None, None, None, None), None, None, None)
        length = turned.norm(dim=-1, keepdim=True)
        # Weights that are all zero turn everything to nothing, and will not be so for ever.
        direction.copy_(torch.where(length > 0, turned / length, direction))
    return length.flatten()


def pools_norm(wiring: Wiring) -> float:
    """Bound of the norm of a projection's pools along any slopes: that of one window, and of windows that overlap."""
    pools = [pool for pool in (wiring.activity_pool, wiring.drive_pool) if pool is not None]
    return math.prod(_pool_norm(pool) for pool in pools)


def _pool_norm(pool: Pool) -> float:
    window = 1.0 if pool.kind == "max" else 1 / pool.size
    # A pixel lies in so many windows along each axis; each of their messages is at most as long as all of the images'.
    return window * math.ceil(pool.size / pool.stride)


class FollowedNorms(nn.Module):
    """Lets the damping of every hidden layer, and of an input that moves, follow the weights above it.

    Args:
        projections: of all layers, the lowest first.
        dampings: by the number of the layer, 0 for the input.
        stream: of the first directions.
    """

    def __init__(self, projections: Sequence[Projection], dampings: Mapping[int, Damping], stream: Stream) -> None:
        super().__init__()
        self._parts = [(f"direction{k}", projections[k], damping) for k, damping in dampings.items()]
        for k in dampings:
            start = stream.child(f"layer{k}").normal((1, math.prod(projections[k].wiring.read)))
            self.register_buffer(f"direction{k}", start / start.norm(dim=-1, keepdim=True))
        self.follow(FIRST_ITERATIONS)

    @torch.no_grad()
    def follow(self, iterations: int = WARM_ITERATIONS) -> None:
        """Look at the weights as they are now; reads nothing back from the device."""
        for direction, projection, damping in self._parts:
            squared = iterate(linear_part(projection), self.get_buffer(direction), iterations)
            damping.follow(squared * pools_norm(projection.wiring) ** 2)


def followed_norms(
    projections: Sequence[Projection], neurons: Sequence[NeuronModel], stream: Stream
) -> FollowedNorms | None:
    """The norms that the dampings of hidden layers and of the input follow, or None if none does."""
    dampings = [neurons[0].input_damping, *(neuron.damping for neuron in neurons[:-1])]
    following = {k: own for k, own in enumerate(dampings) if own is not None and own.follows}
    return FollowedNorms(projections, following, stream) if following else None
