"""How time passes: a clock moves the state of a field by one step, whatever the neurons are."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor

from analogdp.dynamics.noise import Fluctuations
from analogdp.dynamics.step import Step
from analogdp.dynamics.stepping import CapturedStepping, Snapshot, Stepping
from analogdp.errors import AnalogdpWarning, InputError
from analogdp.network import Field, Network, Transmission
from analogdp.network.feedback import named_synapses
from analogdp.scenario.schema import ClockSettings


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

    def stepping(
        self, field: Field, state: Tensor, step: Step, noise: Fluctuations, snapshot: Snapshot, compiled: bool
    ) -> Stepping:
        """How many steps are computed: as CUDA graphs where the device and the clock can.

        Raises:
            InputError: steps of this clock cannot be compiled.
        """
        if compiled:
            raise InputError("run.compile: only steps of clock: continuous can be compiled; set it to false")
        reads = named_synapses(field.network).values()
        if step.capturable and state.is_cuda and all(synapse.capturable for synapse in reads):
            return CapturedStepping(field, state, step, noise, snapshot)
        return Stepping(field, state, step, noise)

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


def in_whole_steps(duration: float, dt: float, path: str) -> float:
    """A duration as a multiple of the time step; warns if that is another one, with its path in the scenario."""
    near = tidy(math.floor(duration / dt + 0.5) * dt)
    if abs(near - duration) > 1e-6 * dt:
        warnings.warn(
            f"{path}: {duration:g} s is no multiple of the time step of {dt:g} s; taken as {near:g} s",
            AnalogdpWarning,
            stacklevel=2,
        )
    return near


def whole_steps(duration: float, dt: float) -> int:
    """Steps in a duration, at least one."""
    return max(1, math.floor(duration / dt + 0.5))
