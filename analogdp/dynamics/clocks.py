"""How time passes: a clock moves the state of a field by one step, whatever the neurons are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor

from analogdp.dynamics.integrators import Noise
from analogdp.network import Field, Network, Transmission
from analogdp.scenario.schema import ClockSettings
from analogdp.streams import Stream


class Step(ABC):
    """Moves one batch's flat state on, step by step.

    Attributes:
        normals: flat normal numbers that a step takes where membranes are noisy.
        capturable: whether a step is work for the device alone, so that a CUDA graph can hold many of them.
    """

    normals: int = 0
    capturable: bool = False

    def start(self, stream: Stream) -> None:  # noqa: B027 - most clocks have neither memory nor dice
        """Samples are presented to a network at rest; the clock's own dice are drawn from ``stream``."""

    def load(self, first: int, count: int) -> None:  # noqa: B027
        """Have ready what the steps from ``first`` on need."""

    @abstractmethod
    def move(self, state: Tensor, step: int, row: int, noise: Noise | None, residual: Tensor | None) -> None:
        """Move a flat state on by one step, in place.

        Args:
            state: flat.
            step: steps since the samples were presented.
            row: which of the loaded steps this is.
            noise: flat normal numbers, scaled, as integrators take them, or None.
            residual: receives how far each sample ``(chips, batch)`` is from rest: the largest distance from its target
                before the step, or the largest jump in a sweep.
        """

    def tensors(self) -> dict[str, Tensor]:
        """What goes on from step to step, by name; to be copied into."""
        return {}


class Clock(ABC):
    """A way in which time passes.

    Attributes:
        Settings: this clock's section of a scenario.
        steps: most steps of one settling.
        check_every: steps between looks at convergence.
        tolerance: largest distance from the target of a settled sample, or None to take all steps.
        timestep: seconds in a step, or None for clocks without a time.
    """

    Settings: ClassVar[type[ClockSettings]]
    steps: int
    check_every: int
    tolerance: float | None
    timestep: float | None

    @classmethod
    @abstractmethod
    def build(cls, settings: ClockSettings) -> Self:
        """The clock that a resolved scenario section describes."""

    def check(self, network: Network) -> None:  # noqa: B027 - most clocks take any network
        """Refuse a network that this clock cannot simulate.

        Raises:
            InputError: with the limit.
        """

    @abstractmethod
    def prepare(self, field: Field) -> Step:
        """What moves the states of a field."""

    def transmission(self, field: Field) -> Transmission | None:
        """What becomes of the field's messages on their way; None if they arrive at once, as they are."""
        return None


def largest_difference(field: Field, one: Tensor, other: Tensor, out: Tensor) -> None:
    """The largest absolute difference of two flat states for each sample, into ``out`` ``(chips, batch)``."""
    per_layer = [
        (a - b).abs_().amax(dim=(0, 3)) for a, b in zip(field.layout.views(one), field.layout.views(other), strict=True)
    ]
    torch.amax(torch.stack(per_layer), dim=0, out=out)


def tidy(value: float) -> float:
    """Without the last digits that a product of decimals leaves, which users would read in resolved scenarios."""
    return float(f"{value:.12g}")


def whole_steps(duration: float, dt: float) -> int:
    """Steps in a duration, at least one."""
    return max(1, math.floor(duration / dt + 0.5))
