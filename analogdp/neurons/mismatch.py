"""Draws of a parameter that varies from neuron to neuron."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analogdp.scenario.schema import Spread
from analogdp.streams import Stream

SMALLEST_FACTOR = 0.05
"""A time constant or gain is kept above this fraction of its nominal value: a transistor's cannot vanish or turn negative."""


def additive(nominal: float, spread: Spread, shape: tuple[int, ...], stream: Stream) -> Tensor | float:
    """``nominal`` plus a zero-mean deviate of standard deviation ``spread.std``.

    Returns:
        ``nominal`` itself without spread, else ``(chips, *shape)``.
    """
    if spread.std == 0:
        return nominal
    return nominal + spread.std * _deviates(spread, shape, stream)


def relative(nominal: float, spread: Spread, shape: tuple[int, ...], stream: Stream) -> Tensor | float:
    """``nominal`` times a positive factor of mean 1 and standard deviation ``spread.std``.

    Returns:
        ``nominal`` itself without spread, else ``(chips, *shape)``.
    """
    if spread.std == 0:
        return nominal
    if spread.distribution == "lognormal":
        log_variance = math.log1p(spread.std**2)
        return nominal * torch.exp(math.sqrt(log_variance) * stream.normal(shape) - log_variance / 2)
    return nominal * (1 + spread.std * _deviates(spread, shape, stream)).clamp_(min=SMALLEST_FACTOR)


def _deviates(spread: Spread, shape: tuple[int, ...], stream: Stream) -> Tensor:
    if spread.distribution == "uniform":
        return (2 * stream.uniform(shape) - 1) * math.sqrt(3)
    return stream.normal(shape)
