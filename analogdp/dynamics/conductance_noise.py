"""Conductances that fluctuate in proportion to themselves while a network runs: multiplicative noise, by Milstein's method.

    dG = (G0 - G) dt / correlation + std sqrt(2 / correlation) G dW        (Ito; G0: the programmed conductance)

The mean stays G0. The variance of G / G0 tends to std^2 / (1 - std^2), so ``std`` is the relative standard deviation where
it is small.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analogdp.dynamics.draws import Blocks
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse


def milstein(factor: Tensor, numbers: Tensor, ratio: float, std: float) -> Tensor:
    """One step of ``dg = (1 - g) dt / c + std sqrt(2 / c) g dW``, in place.

        g += z (1 - g) + b g xi + b^2 / 2 g (xi^2 - 1),   z = dt / c,   b = std sqrt(2z)

    Strong order 1 (Milstein 1974), where Euler-Maruyama has 1/2.

    Args:
        factor: g.
        numbers: standard normal numbers xi of its shape.
        ratio: z.
        std: relative strength.
    """
    b = std * math.sqrt(2 * ratio)
    growth = numbers * (b**2 / 2)
    growth.add_(b).mul_(numbers).add_(1 - ratio - b**2 / 2)
    return factor.mul_(growth).add_(ratio)


class ConductanceNoise:
    """The cells of one synapse, each with its own fluctuation, which the samples of a batch share as they share the cells.

    Args:
        synapse: whose cells fluctuate.
        std: relative strength.
        ratio: time step over correlation time.
    """

    def __init__(self, synapse: Synapse, std: float, ratio: float) -> None:
        self._synapse, self._std, self._ratio = synapse, std, ratio
        self._cells = synapse.contributions().clone()
        self.factor = torch.ones_like(self._cells)
        self._shown = torch.empty_like(self._cells[:, 0])
        self._numbers = Blocks(self._cells[0].numel())

    def start(self, stream: Stream) -> None:
        """Begin in the stationary state, as far as a normal distribution tells it."""
        self.note_cells()
        self._numbers.start(stream)
        spread = self._std / math.sqrt(1 - self._std**2)
        beginning = stream.child("start").normal(tuple(self.factor.shape[1:]), std=spread)
        self.factor.copy_(beginning.add_(1).clamp_(min=0))

    def note_cells(self) -> None:
        """Take the programmed conductances as they are now."""
        self._cells.copy_(self._synapse.contributions())

    def load(self, first: int, count: int, hold: bool = False) -> None:
        """Draw what the steps from ``first`` on need."""
        self._numbers.load(first, count, hold)

    def advance(self, row: int) -> Tensor:
        """What the cells show at one of the loaded steps, as weights ``(chips, out, in)``."""
        numbers = self._numbers.row(row).view_as(self.factor)
        milstein(self.factor, numbers, self._ratio, self._std)
        return torch.sum(self._cells * self.factor, 1, out=self._shown)
