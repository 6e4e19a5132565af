"""The asymmetry gamma of dyads: by how much of its push the mean of a dyad moves, in units of its slope.

    s_bar = f(a) + gamma f' D        gamma = w p g+ - (1 - w) q g-

with push p, pull q, mixing weight w and the gains g of the compartments' transfer functions (Hoier & Zach 2024, Sec. 4, with
mismatch). It closes the loops that can make a network unstable: nominally 2 alpha - 1 for DP and 0 for DP-transposed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.analysis.stability.system import refuse_unless_dyadic
from analogdp.errors import InputError
from analogdp.network import Layer, Network
from analogdp.neurons.dyadic import Dyadic
from analogdp.neurons.losses import CrossEntropy


@dataclass(frozen=True)
class GammaSpread:
    """How gamma is distributed over the neurons of each layer.

    Attributes:
        mean, std: ``(chips, layers)``, the first hidden layer first; the standard deviation is that of the neurons there are.
        largest: of \\|gamma\\|, likewise.
    """

    mean: Tensor
    std: Tensor
    largest: Tensor


def gammas(network: Network) -> tuple[Tensor, ...]:
    """Gamma of every neuron, ``(chips, units)`` in double precision for each layer, the first hidden layer first.

    Raises:
        InputError: the neurons are no dyads.
    """
    return tuple(_of_units(network, layer.units, _gamma(neuron)) for layer, neuron in _dyads(network))


def gamma_spread(network: Network) -> GammaSpread:
    """Mean and spread of gamma in each layer of each chip; errors as of :func:`gammas`."""
    each = gammas(network)
    return GammaSpread(
        torch.stack([own.mean(-1) for own in each], -1),
        torch.stack([own.std(-1, correction=0) for own in each], -1),
        torch.stack([own.abs().amax(-1) for own in each], -1),
    )


def output_strength(network: Network, beta: float | Tensor) -> Tensor:
    """beta_out ``(chips, units)``: how much delta a unit of error makes at the outputs, delta_L = -beta_out dl/da.

    With gains 1, beta (p + q) for nudges along the gradient and beta (p + q) / ((1 + p beta)(1 - q beta)) for proximal ones
    (Hoier & Zach 2024, Eq. 3).

    Args:
        network: of dyads.
        beta: nudging strength, a number or ``(chips, 1, 1)``.

    Raises:
        InputError: the outputs solve proximal problems of a loss that is not quadratic, which has no such number.
    """
    layer, neuron = _dyads(network)[-1]
    if neuron.nudge == "proximal" and isinstance(neuron.loss, CrossEntropy):
        raise InputError(
            "neuron.output: proximal outputs of cross_entropy answer by a matrix that depends on the sample; "
            "take output_closing of a linearisation, or output: linearised"
        )
    push, pull = (torch.as_tensor(own, dtype=torch.float64) * beta for own in (neuron.push, neuron.pull))
    strength = push + pull
    if neuron.nudge == "proximal":
        strength = strength / ((1 + push) * (1 - pull))
    return _of_units(network, layer.units, strength)


def _dyads(network: Network) -> list[tuple[Layer, Dyadic]]:
    refuse_unless_dyadic(network)
    return [(layer, neuron) for layer in network.layers if isinstance(neuron := layer.neuron, Dyadic)]


def _gamma(neuron: Dyadic) -> Tensor:
    push, pull, mix = (torch.as_tensor(own, dtype=torch.float64) for own in (neuron.push, neuron.pull, neuron.mix))
    if neuron.gain is None:
        return mix * push - (1 - mix) * pull
    plus, minus = neuron.gain.double().unbind()
    return mix * push * plus - (1 - mix) * pull * minus


def _of_units(network: Network, units: int, value: Tensor) -> Tensor:
    """One number for each chip and unit, from ``(chips or 1, 1, units or 1)`` or a single one."""
    shaped: Tensor = value.to(network.device).expand(network.chips, 1, units)[:, 0]
    return shaped
