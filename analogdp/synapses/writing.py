"""From wanted weight changes to whole write pulses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate
from analogdp.synapses.settings import WriteSettings


@dataclass(frozen=True)
class Cells:
    """The programmable cells of a pair, as a controller sees them.

    Attributes:
        portions: the share of a weight change that each cell takes.
        signs: of each cell's conductance in the weight.
        weight_per_pulse: nominal weight change of one pulse.
    """

    portions: tuple[float, ...]
    signs: tuple[float, ...]
    weight_per_pulse: float

    def net_pulses(self, net: Tensor, fade: Tensor | None) -> Tensor:
        """Expected pulse counts ``(chips, cells, out, in)`` of a weight change; positive counts raise a conductance.

        Args:
            net: wanted change of the weight, ``(chips, out, in)``.
            fade: further change of each cell's contribution to it, ``(chips, cells, out, in)``.
        """
        changes = [self._change(cell, net, fade) for cell in range(len(self.signs))]
        return _joined(
            [change.mul_(sign / self.weight_per_pulse) for change, sign in zip(changes, self.signs, strict=True)]
        )

    def opposed_pulses(self, more: Tensor, less: Tensor, fade: Tensor | None) -> tuple[Tensor, Tensor]:
        """Expected counts of pulses that raise and of pulses that lower conductances, both >= 0."""
        raising, lowering = [], []
        for cell, sign in enumerate(self.signs):
            up = self._change(cell, more, None if fade is None else fade.clamp(min=0)).div_(self.weight_per_pulse)
            down = self._change(cell, less, None if fade is None else (-fade).clamp_(min=0)).div_(self.weight_per_pulse)
            raising.append(up if sign > 0 else down)
            lowering.append(down if sign > 0 else up)
        return _joined(raising), _joined(lowering)

    def _change(self, cell: int, change: Tensor, fade: Tensor | None) -> Tensor:
        own = change * self.portions[cell]
        return own if fade is None else own.add_(fade[:, cell])


def _joined(cells: Sequence[Tensor]) -> Tensor:
    return cells[0].unsqueeze(1) if len(cells) == 1 else torch.stack(tuple(cells), 1)


def net_change(update: LocalUpdate) -> Tensor:
    """The outer product summed over the rows, ``(chips, out, in)``."""
    return torch.bmm(update.post.mT, update.pre)


def opposed_changes(update: LocalUpdate, net: Tensor) -> tuple[Tensor, Tensor]:
    """What the rows that want more and the rows that want less ask for: two sums >= 0 whose difference is ``net``."""
    post, pre = update.post, update.pre
    halves_post = torch.cat((post.clamp(min=0), post.clamp(max=0)), 1)
    halves_pre = torch.cat((pre.clamp(min=0), pre.clamp(max=0)), 1)
    more = torch.bmm(halves_post.mT, halves_pre)
    return more, (more - net).clamp_(min=0)


def whole_pulses(expected: Tensor, settings: WriteSettings, stream: Stream) -> Tensor:
    """Whole pulse counts for expected ones ``(chips, cells, out, in)``, in place; signs are directions.

    Stochastic rounding is right on average: 2.3 becomes 3 with probability 0.3. A count of exactly 0 stays 0.
    """
    if settings.rounding == "stochastic":
        expected.add_(stream.child("rounding").uniform(tuple(expected.shape[1:]))).floor_()
    else:
        expected.round_()
    if settings.most_pulses is not None:
        expected.clamp_(-settings.most_pulses, settings.most_pulses)
    return expected
