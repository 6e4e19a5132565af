"""The network as an ordinary function of its inputs and weights, for torch's autograd.

A free network is a forward pass: through the effective weights (those that a read without noise and converters finds), pools,
normalisations and activations, mismatch included, but without what neurons send down where mismatch moves their
compartments apart. Nothing here uses the sweeps or messages of the dynamics, so gradients are a reference for what neurons learn
from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, unfold

from analogdp.data import Samples
from analogdp.errors import InputError
from analogdp.network import Network
from analogdp.network.projections import Projection
from analogdp.neurons import NeuronModel
from analogdp.scenario.wiring import Pool, Shape, Wiring

AT_ONCE = 256
"""Samples whose gradients are computed together."""


def effective_weights(network: Network) -> list[Tensor]:
    """What a read without noise and converters finds in each synapse, ``(chips, out, in)``."""
    return [synapse.weights.detach() for synapse in network.synapses]


def forward(
    network: Network, inputs: Tensor, weights: Sequence[Tensor] | None = None, learning: bool = False
) -> Tensor:
    """What the network says without nudging, ``(chips, batch, out)``; can be differentiated by inputs and weights.

    Args:
        network: what is asked.
        inputs: ``(chips or 1, batch, in)``.
        weights: in place of the effective ones, ``(chips, out, in)`` for each synapse.
        learning: batch normalisation takes the statistics of these very inputs, as in training.

    Raises:
        InputError: the activity of these neurons is no function of what comes from below alone.
    """
    *_, answer = messages(network, inputs, weights, learning)
    return answer


def messages(
    network: Network, inputs: Tensor, weights: Sequence[Tensor] | None = None, learning: bool = False
) -> Iterator[Tensor]:
    """The messages of all layers on their way up, from the inputs to the answer; as :func:`forward`."""
    message = inputs.expand(network.chips, -1, -1)
    yield message
    matrices = effective_weights(network) if weights is None else weights
    last = network.layers[-1]
    for projection, layer, matrix in zip(network.projections, network.layers, matrices, strict=True):
        drive = through(projection, matrix, layer.bias, message, learning)
        message = _activity(layer.neuron, drive, layer is last)
        yield message


def through(
    projection: Projection, weights: Tensor, bias: Tensor | None, message: Tensor, learning: bool = False
) -> Tensor:
    """The drives that a message from below gives, ``(chips, batch, units)``; arguments as of :func:`forward`."""
    wiring, (chips, batch, _) = projection.wiring, message.shape
    drives = torch.bmm(shown(wiring, message), weights.mT)
    drives = drives if bias is None else drives + bias
    by_line = drives.view(chips, batch, wiring.positions, wiring.lines).mT
    if projection.normalisation is not None:
        by_line = projection.normalisation(by_line, learning)[0]
    return _pooled(by_line.reshape(chips, batch, -1), wiring.drives, wiring.drive_pool)


def shown(wiring: Wiring, message: Tensor) -> Tensor:
    """What the weights read of a message ``(chips, batch, units)``: ``(chips, batch * positions, fan_in)``."""
    chips, batch, _ = message.shape
    rows = _pooled(message, wiring.below, wiring.activity_pool)
    if wiring.kernel is None:
        return rows
    kernel = wiring.kernel
    images = rows.reshape(chips * batch, *wiring.read)
    windows = unfold(images, kernel.size, padding=kernel.padding, stride=kernel.stride)
    return windows.mT.reshape(chips, batch * wiring.positions, wiring.fan_in)


def loss_gradients(network: Network, inputs: Tensor, targets: Tensor) -> list[Tensor]:
    """The gradient of the mean loss of a batch by each synapse's weights, ``(chips, out, in)``; 0 where there is none."""
    weights = [matrix.clone().requires_grad_() for matrix in effective_weights(network)]
    with torch.enable_grad():
        loss = network.loss.value(forward(network, inputs, weights, learning=True), targets).mean(1).sum()
        return _gradients(loss, weights)


def input_gradients(network: Network, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient of each sample's loss by its inputs, ``(chips, batch, in)``."""
    moved = inputs.detach().expand(network.chips, -1, -1).clone().requires_grad_()
    with torch.enable_grad():
        loss = network.loss.value(forward(network, moved), targets).sum()
        return _gradients(loss, [moved])[0]


def in_batches(samples: Samples | Tensor, most: int | None = None) -> list[slice]:
    """Rows of samples, or of the first ``most``, few enough to be computed with together."""
    count = len(samples) if most is None else min(most, len(samples))
    return [slice(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE)]


def _gradients(loss: Tensor, by: list[Tensor]) -> list[Tensor]:
    if not loss.requires_grad:
        return [torch.zeros_like(own) for own in by]
    found = torch.autograd.grad(loss, by, allow_unused=True)
    return [torch.zeros_like(own) if one is None else one for own, one in zip(by, found, strict=True)]


def _activity(neuron: NeuronModel, drive: Tensor, output: bool) -> Tensor:
    if neuron.Settings.compares_phases:
        name = type(neuron).__name__
        raise InputError(
            f"{name} settle under what comes from above, too, so they have no forward pass to differentiate"
        )
    state = drive.expand(len(neuron.compartments), *drive.shape)
    target = neuron.output_target(drive, None, 0.0, state) if output else neuron.target(drive, None, state)
    return neuron.upward(target)


def _pooled(message: Tensor, shape: Shape, pool: Pool | None) -> Tensor:
    if pool is None:
        return message
    chips, batch, _ = message.shape
    return _POOLS[pool.kind](message.reshape(chips * batch, *shape), pool).reshape(chips, batch, -1)


def _quadratic_mean(images: Tensor, pool: Pool) -> Tensor:
    squares = avg_pool2d(images.square(), pool.size, pool.stride)
    # Autograd would multiply the infinite slope of a root at 0 by 0.
    empty = squares == 0
    return torch.where(empty, 0.0, torch.where(empty, 1.0, squares).sqrt())


_POOLS: dict[str, Callable[[Tensor, Pool], Tensor]] = {
    "max": lambda images, pool: max_pool2d(images, pool.size, pool.stride),
    "average": lambda images, pool: avg_pool2d(images, pool.size, pool.stride),
    "quadratic_mean": _quadratic_mean,
}
