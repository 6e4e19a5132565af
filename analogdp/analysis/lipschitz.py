"""How strongly a network's outputs can follow its inputs: bounds of the Lipschitz constant from both sides.

    max |J(x)|_2  <=  Lipschitz constant  <=  product over layers of |W_k|_2     (activations that are nowhere steeper than 1)

and between them, usually, the norm of the product of all weights, which Hoier & Zach 2024 report for networks of ReLU.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from analogdp.analysis.gradients import effective_weights, forward, in_batches, through
from analogdp.data import Samples
from analogdp.network import Network
from analogdp.network.norms import iterate, linear_part, pools_norm
from analogdp.streams import Stream

CHECK_EVERY, MOST_ITERATIONS, PRECISION = 20, 2000, 1e-6
"""Power iterations between looks, in all, and the relative change of a squared norm between looks at which they end."""
JACOBIAN_ITERATIONS = 30
"""Of a sample's Jacobian; each is a product forward and one back."""


def weights_product(network: Network) -> Tensor:
    """|W_L ... W_1|_2 of every chip ``(chips,)``: the network without activations (Hoier & Zach 2024, Table 2).

    Convolutions and average pools are part of it, gains that neurons have by mismatch are not.

    Raises:
        ValueError: there are pools that are not linear, or normalisations.
    """
    if not is_linear_chain(network):
        raise ValueError("the product of weights is of layers with nothing but weights and average pools between them")
    chips, inputs, outputs = network.chips, network.sizes[0], network.sizes[-1]
    weights = effective_weights(network)
    start = weights[0].new_zeros(chips, outputs, inputs).requires_grad_()
    with torch.enable_grad():
        message = start
        for projection, matrix in zip(network.projections, weights, strict=True):
            message = through(projection, matrix, None, message)
        rows = torch.eye(outputs, device=start.device, dtype=start.dtype).expand_as(message)
        (product,) = torch.autograd.grad(message, start, rows)
    norm: Tensor = torch.linalg.matrix_norm(product, 2)
    return norm


def is_linear_chain(network: Network) -> bool:
    """Whether a network without activations would be linear."""
    wirings = [projection.wiring for projection in network.projections]
    pools = [pool for own in wirings for pool in (own.activity_pool, own.drive_pool) if pool is not None]
    return not any(own.normalised for own in wirings) and all(pool.kind == "average" for pool in pools)


def spectral_product(network: Network) -> Tensor:
    """The product over layers of the largest singular values of what lies between them ``(chips,)``, by power iterations.

    An upper bound of the Lipschitz constant, if no activation is steeper than 1. Pools count with a bound of theirs, and
    neurons of a layer with the largest gain that mismatch gives one of them.
    """
    bound = network.synapses[0].weights.new_ones(network.chips)
    for number, (projection, neuron) in enumerate(zip(network.projections, network.neurons, strict=True)):
        bound = bound * _largest_singular_value(network, number) * pools_norm(projection.wiring)
        gain = neuron.slope_gain
        bound = bound * (gain.abs().amax((1, 2)) if isinstance(gain, Tensor) else gain)
    return bound


def _largest_singular_value(network: Network, number: int) -> Tensor:
    projection = network.projections[number]
    passage, like = linear_part(projection), projection.synapse.weights
    stream = Stream(0, f"norm{number}", tuple(range(network.chips)), like.device, like.dtype)
    direction = stream.normal((1, prod(projection.wiring.read)))
    direction /= direction.norm(dim=-1, keepdim=True)
    squared = iterate(passage, direction, CHECK_EVERY)
    for _ in range(MOST_ITERATIONS // CHECK_EVERY):
        before, squared = squared, iterate(passage, direction, CHECK_EVERY)
        if bool(((squared - before).abs() <= PRECISION * squared).all()):
            break
    return squared.sqrt()


def jacobian_norm(network: Network, inputs: Samples | Tensor, most: int | None = None) -> Tensor:
    """The largest norm of the Jacobian of outputs by inputs over samples ``(chips,)``: a lower bound of the Lipschitz constant.

    Args:
        network: what is asked, without nudging.
        inputs: ``(samples, in)``.
        most: only the first so many.
    """
    largest = network.synapses[0].weights.new_zeros(network.chips)
    for rows in in_batches(inputs, most):
        largest = torch.maximum(largest, _jacobian_norms(network, inputs[rows]).amax(1))
    return largest


def _jacobian_norms(network: Network, inputs: Tensor) -> Tensor:
    """Of every sample ``(chips, batch)``, by power iterations on J^T J."""
    shown = inputs.to(network.device, network.dtype).repeat(network.chips, 1, 1).requires_grad_()
    stream = Stream(0, "jacobian", (0,), network.device, network.dtype)
    direction = stream.normal(shown.shape[1:]).expand_as(shown)
    length = direction.norm(dim=-1, keepdim=True)
    with torch.enable_grad():
        outputs = forward(network, shown)
        probe = torch.zeros_like(outputs, requires_grad=True)
        # J^T probe is linear in the probe, so its derivative is J: two passes back are one ahead.
        (linear,) = torch.autograd.grad(outputs, shown, probe, create_graph=True)
    for _ in range(JACOBIAN_ITERATIONS):
        direction = torch.where(length > 0, direction / length, direction)
        (ahead,) = torch.autograd.grad(linear, probe, direction, retain_graph=True)
        (direction,) = torch.autograd.grad(outputs, shown, ahead, retain_graph=True)
        length = direction.norm(dim=-1, keepdim=True)
    norms: Tensor = length.squeeze(-1).sqrt()
    return norms
