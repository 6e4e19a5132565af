"""How far a state moves in a given time under a flow that depends on the state alone: by travel times, without steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from analogdp.errors import RunError

_SEGMENTS = 4096
_SMALLEST_SLOPE = 1e-12
"""Relative change of the flow across a segment below which it is taken as this: the formulas divide by the slope."""


class Passage:
    """The motion dx/dt = F(x) of a state between two bounds, for any time at once.

    F is linear between 4097 equally spaced nodes, y is the distance from the bound that the motion starts from:

        F(y) = F_p + s (y - p)     time from p to y = log(1 + s (y - p) / F_p) / s     p: one of a segment's two nodes

    so two passages of half a time are one of the whole, no time is too long, and a state approaches a point where F
    vanishes exponentially, without ever passing it. The error is that of the interpolation: about 1e-7 of the range where F
    is smooth, and up to 1 / 4096 of it where F has a jump. Times are float64 whatever the states are, as the times of slow
    and fast parts of one range may differ by ten orders of magnitude.

    Args:
        flow: F of states ``(nodes,)``, in units of the state per second; of one sign, and zero at most outside of
            one interval. States where it is zero do not move.
        lowest, highest: bounds of the state.
    """

    def __init__(self, flow: Callable[[Tensor], Tensor], lowest: float, highest: float) -> None:
        nodes = torch.linspace(lowest, highest, _SEGMENTS + 1, dtype=torch.float64)
        values = flow(nodes)
        if not torch.isfinite(values).all() or values.min() < 0 < values.max():
            raise RunError(f"the flow between {lowest:g} and {highest:g} is not finite and of one sign")
        self.sign = -1.0 if values.min() < 0 else 1.0
        self.start = lowest if self.sign > 0 else highest
        self.width = (highest - lowest) / _SEGMENTS
        speed = (values if self.sign > 0 else values.flip(0)).abs()
        moving = speed.nonzero().flatten()
        self.moves = moving.numel() > 0
        self.first = max(int(moving[0]) - 1, 0) if self.moves else 0
        last = min(int(moving[-1]) + 1, _SEGMENTS) if self.moves else 0
        self._tables = {torch.device("cpu"): self._table(speed[self.first : last + 1])} if self.moves else {}

    def _table(self, speed: Tensor) -> Tensor:
        """For each segment: time at its first node, and time, place, flow and slope at the node it is counted from."""
        before, after = speed[:-1], speed[1:]
        counted_from_end = before == 0
        flow = torch.where(counted_from_end, after, before)
        slope = (after - before) / self.width
        slope = torch.where(
            slope.abs() * self.width < _SMALLEST_SLOPE * flow, _SMALLEST_SLOPE * flow / self.width, slope
        )
        lasting = torch.log1p(slope * self.width / before) / slope
        # What starts from rest has started for ever; times are counted from the first node that is left in finite time.
        lasting = torch.where(counted_from_end, 0.0, lasting)
        reached = torch.cat((lasting.new_zeros(1), lasting.cumsum(0)))
        begins = torch.where(counted_from_end, -torch.inf, reached[:-1])
        anchor = torch.where(counted_from_end, reached[1:], reached[:-1])
        number = torch.arange(self.first, self.first + len(before), dtype=torch.float64)
        place = (number + counted_from_end) * self.width
        self._end = float(reached[-1])
        return torch.stack((begins, anchor, place, flow, slope))

    def move(self, state: Tensor, seconds: Tensor) -> Tensor:
        """Where states are after ``seconds`` >= 0, of the same shape; new tensors of the states' type."""
        if not self.moves:
            return state.clone()
        table = self._on(state.device)
        begins, anchor, place, flow, slope = table
        # Rounding may put a state a little beyond a bound.
        distance = (state.double() - self.start).mul_(self.sign).clamp_(0.0, _SEGMENTS * self.width)
        segment = (distance / self.width).floor_().sub_(self.first)
        still = (segment < 0) | (distance > (self.first + len(begins)) * self.width)
        # A state that is no number stays none; whoever watches the simulation finds it.
        segment = segment.clamp_(0, len(begins) - 1).nan_to_num_().long()
        time = self._time(table, segment, distance).add_(seconds).clamp_(max=self._end)
        segment = torch.searchsorted(begins, time.contiguous(), right=True).sub_(1).clamp_(min=0)
        since = time.sub_(anchor[segment])
        here = slope[segment]
        moved = torch.expm1(here * since).mul_(flow[segment]).div_(here).add_(place[segment])
        return torch.where(still, state, moved.mul_(self.sign).add_(self.start).to(state.dtype))

    def duration(self, begin: float, end: float) -> float:
        """Seconds from one state to another on the way, infinite if it is never reached."""
        if not self.moves:
            return torch.inf
        places = (torch.tensor([begin, end], dtype=torch.float64) - self.start).mul_(self.sign)
        table = self._tables[torch.device("cpu")]
        segment = (places / self.width).floor_().sub_(self.first).clamp_(0, table.shape[1] - 1).long()
        times = self._time(table, segment, places)
        return float(times[1] - times[0])

    @staticmethod
    def _time(table: Tensor, segment: Tensor, distance: Tensor) -> Tensor:
        _, anchor, place, flow, slope = table
        here = slope[segment]
        # Rounding may put a state a little beyond the point of rest that a segment ends with.
        passed: Tensor = (distance - place[segment]).mul_(here).div_(flow[segment]).clamp_(min=-1.0)
        return passed.log1p_().div_(here).add_(anchor[segment])

    def _on(self, device: torch.device) -> Tensor:
        if device not in self._tables:
            self._tables[device] = self._tables[torch.device("cpu")].to(device)
        return self._tables[device]
