"""Draws of a parameter that varies from neuron to neuron."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analogdp.scenario.schema import Spread
from analogdp.streams import Stream

SMALLEST_FACTOR = 0.05
"""A time constant or gain is kept above this fraction of its nominal value: a transistor's cannot vanish or turn negative."""


def additive(nominal: float, spread: Spread, compartments: int, units: int, stream: Stream) -> Tensor | float:
    """``nominal`` plus a zero-mean deviate for each neuron, and a further one for each of its compartments.

    Returns:
        ``nominal`` itself without spread, else ``(compartments, chips, 1, units)``.
    """
    if not spread:
        return nominal
    neuron = spread.std * _deviates(spread.distribution, (1, units), stream)
    own = spread.compartments * _deviates(spread.distribution, (compartments, 1, units), stream.child("compartments"))
    return nominal + neuron + own.transpose(0, 1)


def relative(nominal: float, spread: Spread, compartments: int, units: int, stream: Stream) -> Tensor | float:
    """``nominal`` times a positive factor of mean 1 for each neuron, and a further one for each of its compartments.

    Returns:
        ``nominal`` itself without spread, else ``(compartments, chips, 1, units)``.
    """
    if not spread:
        return nominal
    neuron = _factors(spread.distribution, spread.std, (1, units), stream)
    own = _factors(spread.distribution, spread.compartments, (compartments, 1, units), stream.child("compartments"))
    return nominal * neuron * own.transpose(0, 1)


def _factors(distribution: str, std: float, shape: tuple[int, ...], stream: Stream) -> Tensor:
    if distribution == "lognormal":
        log_variance = math.log1p(std**2)
        return torch.exp(math.sqrt(log_variance) * stream.normal(shape) - log_variance / 2)
    return (1 + std * _deviates(distribution, shape, stream)).clamp_(min=SMALLEST_FACTOR)


def _deviates(distribution: str, shape: tuple[int, ...], stream: Stream) -> Tensor:
    if distribution == "uniform":
        return (2 * stream.uniform(shape) - 1) * math.sqrt(3)
    return stream.normal(shape)
