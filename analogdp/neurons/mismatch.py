"""Draws of a parameter that varies from neuron to neuron.

What would lie outside a parameter's physical range is drawn again, from further indices of the same stream: nothing piles up at
the bound, what lies inside keeps its bits, and a chip's numbers stay a function of that chip alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from analogdp.scenario.mismatch import Spread
from analogdp.streams import Stream

SMALLEST_FACTOR = 0.05
"""A time constant or gain stays above this fraction of its nominal value: a transistor's cannot vanish or turn negative."""


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

    Normal and uniform factors are truncated at ``SMALLEST_FACTOR``; lognormal ones are positive by themselves.

    Returns:
        ``nominal`` itself without spread, else ``(compartments, chips, 1, units)``.
    """
    if not spread:
        return nominal
    neuron = _factors(spread.distribution, spread.std, (1, units), stream)
    own = _factors(spread.distribution, spread.compartments, (compartments, 1, units), stream.child("compartments"))
    return nominal * neuron * own.transpose(0, 1)


def bounded(nominal: float, spread: Spread, units: int, stream: Stream, highest: float = math.inf) -> Tensor | float:
    """``nominal``, a gain or a share, plus a zero-mean deviate for each neuron, truncated to 0 to ``highest``.

    The spread is absolute; a lognormal one has ``nominal``, which must be positive then, as its mean. At a bound half of the
    distribution is left: a gain that is nominally off varies as a half-normal deviate, with the mean sqrt(2 / pi) std. For
    what remains of an amplifier without bias current is leakage, which passes a signal with its own sign or not at all; and
    push, pull and mixing are then alike, so that w p - (1 - w) q, which decides on stability, keeps its mean of 0 to first
    order in DP-transposed at alpha = 0 and 1. A path that is absent altogether has no spread.

    Returns:
        ``nominal`` itself without spread, else ``(chips, 1, units)``.
    """
    if not spread.std:
        return nominal
    if not 0 <= nominal <= highest:
        raise ValueError(f"nominal value {nominal:g} is outside 0 to {highest:g}")

    def draw(stream: Stream) -> Tensor:
        if spread.distribution == "lognormal":
            return nominal * _factors("lognormal", spread.std / nominal, (1, units), stream)
        return nominal + spread.std * _deviates(spread.distribution, (1, units), stream)

    return _truncated(draw, stream, 0.0, highest)


def far_above(nominal: float, spread: Spread, deviations: float) -> float:
    """The value as many standard deviations above ``nominal`` as ``deviations`` says, in the logarithm if lognormal."""
    if spread.distribution == "lognormal" and nominal:
        mean, std = _of_the_logarithm(spread.std / nominal)
        return nominal * math.exp(mean + deviations * std)
    return nominal + deviations * spread.std


def _truncated(draw: Callable[[Stream], Tensor], stream: Stream, lowest: float, highest: float = math.inf) -> Tensor:
    values = draw(stream)
    for attempt in count(1):
        outside = (values < lowest) | (values > highest)
        if not outside.any():
            break
        values = torch.where(outside, draw(stream.at(attempt)), values)
    return values


def _factors(distribution: str, std: float, shape: tuple[int, ...], stream: Stream) -> Tensor:
    if distribution == "lognormal":
        mean, own_std = _of_the_logarithm(std)
        return torch.exp(own_std * stream.normal(shape) + mean)
    return _truncated(lambda source: 1 + std * _deviates(distribution, shape, source), stream, SMALLEST_FACTOR)


def _of_the_logarithm(std: float) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm of a lognormal factor of mean 1."""
    variance = math.log1p(std**2)
    return -variance / 2, math.sqrt(variance)


def _deviates(distribution: str, shape: tuple[int, ...], stream: Stream) -> Tensor:
    if distribution == "uniform":
        return (2 * stream.uniform(shape) - 1) * math.sqrt(3)
    return stream.normal(shape)
