"""Pulsed devices whose step is interpolated between measured ones."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, WritePulse
from analogdp.devices.flows import FlowDevice
from analogdp.devices.population import PulsedSettings

_FLATTEST = 1e-6
"""Slope between two nodes, in relative steps per range, that stands for none."""

Steps = Annotated[tuple[Annotated[float, Field(gt=0, le=1000)], ...], Field(min_length=2, max_length=1000)]


class PiecewiseStepSettings(PulsedSettings):
    """Parameters of cells whose step was measured at evenly spaced weights from the lower to the upper bound."""

    steps_up: Steps = Field(
        description="size of an up step at each node, relative to ``step``, first at the lower bound"
    )
    steps_down: Steps = Field(description="size of a down step at each node, first at the lower bound")


class _Table(NamedTuple):
    """Nodes along the way of a pulse, from the bound it leaves (0) to the one it leads to (1), and one beyond.

    Attributes:
        size: relative step at the node.
        slope: of the relative step from here to the next node, never 0.
        time: pulses from the first node to this one, of a step of one range.
    """

    size: Tensor
    slope: Tensor
    time: Tensor

    @classmethod
    def of(cls, steps: tuple[float, ...]) -> _Table:
        size = np.asarray(steps)
        slope = np.append(np.diff(size) * (len(size) - 1), 0.0)
        slope[np.abs(slope) < _FLATTEST] = _FLATTEST
        # T = integral of dp / v, with v linear between the nodes
        taken = np.log1p(np.diff(size) / size[:-1]) / slope[:-1]
        time = np.append(0.0, np.cumsum(np.where(np.diff(size) == 0, 1.0 / (len(size) - 1) / size[:-1], taken)))
        return cls(*(torch.from_numpy(each) for each in (size, slope, time)))

    def like(self, tensor: Tensor) -> _Table:
        return _Table(*(each.to(tensor) for each in self))

    def steps(self, place: Tensor) -> Tensor:
        index, beyond = self._segment(place)
        return self.slope[index].mul_(beyond).add_(self.size[index])

    def reached(self, place: Tensor, time: Tensor) -> Tensor:
        """How far one gets from ``place`` in ``time``."""
        index, beyond = self._segment(place)
        size, slope = self.size[index], self.slope[index]
        now = torch.log1p(slope * beyond / size).div_(slope).add_(self.time[index]).add_(time)
        index = (torch.searchsorted(self.time, now, right=True) - 1).clamp_(min=0)
        slope = self.slope[index]
        grown = (now - self.time[index]).mul_(slope).expm1_().mul_(self.size[index]).div_(slope)
        return grown.add_(index.to(place.dtype) / (len(self.size) - 1)).sub_(place)

    def _segment(self, place: Tensor) -> tuple[Tensor, Tensor]:
        last = len(self.size) - 1
        scaled = place.clamp(min=0.0) * last
        index = scaled.floor().clamp_(max=last)
        return index.long(), (scaled - index).div_(last)


@registry.devices.register("piecewise")
class PiecewiseStep(FlowDevice):
    """The step is interpolated linearly between nodes that divide the device's own range evenly.

        w <- w + s_up v_up(w) (1 + sigma xi),  w <- w - s_dn v_dn(w) (1 + sigma xi)

    The nodes are a user's own measurements. Additive cycle noise: ``(v + sigma xi)``. The time T(w) = integral dw / v that
    a cell takes to w is a logarithm in each segment, so n pulses lead to T^-1(T(w) + n).
    """

    Settings: ClassVar[type[DeviceSettings]] = PiecewiseStepSettings
    parameters: PiecewiseStepSettings

    def __init__(
        self, parameters: PiecewiseStepSettings, low: float, high: float, write_pulse: WritePulse | None = None
    ) -> None:
        self._up, self._down = _Table.of(parameters.steps_up), _Table.of(parameters.steps_down[::-1])
        super().__init__(parameters, low, high, write_pulse)

    @property
    def noise_at_bounds(self) -> float:
        own = self.parameters
        return own.cycle_noise / (min(own.steps_up[-1], own.steps_down[0]) if self.additive else 1.0)

    def relative_step(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        place = self._place(weight, parameters, rising)
        return torch.where(rising > 0, self._up.like(place).steps(place), self._down.like(place).steps(place))

    def travel(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> Tensor:
        span, place = parameters["upper"] - parameters["lower"], self._place(weight, parameters, rising)
        time = (step.abs() * pulses).div_(span)
        way = torch.where(
            rising > 0, self._up.like(place).reached(place, time), self._down.like(place).reached(place, time)
        )
        return way.mul_(span).mul_(step.sign()).mul_(pulses.clamp(max=1.0))

    def _place(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        """Where a cell is on its way from the bound it leaves, 0, to the bound it is driven to, 1."""
        passed = torch.lerp(parameters["upper"] - weight, weight - parameters["lower"], rising)
        return passed.div_(parameters["upper"] - parameters["lower"])
