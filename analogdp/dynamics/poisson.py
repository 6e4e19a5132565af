"""Asynchronous time: every neuron, or every layer, moves at the ticks of its own random clock."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, Self

import torch
from pydantic import Field as Option
from pydantic import model_validator
from torch import Tensor

from analogdp import registry
from analogdp.dynamics.axons import AxonSettings
from analogdp.dynamics.clocks import largest_difference, tidy
from analogdp.dynamics.draws import Blocks
from analogdp.dynamics.integrators import Noise
from analogdp.dynamics.step import Step
from analogdp.dynamics.timed import CHECK_EVERY, TimedClock, TimedSettings
from analogdp.errors import AnalogdpWarning, Problem
from analogdp.network import Field
from analogdp.scenario.quantities import Rate, Ratio
from analogdp.scenario.schema import ClockSettings, Scenario
from analogdp.scenario.settings import ProblemList
from analogdp.streams import Stream

MOST_TICKS = 0.5
"""Ticks in a time step above which clocks are hardly random any more."""

Scope = Literal["neuron", "layer"]


class PoissonSettings(TimedSettings):
    """Random clocks: between its ticks nothing about a neuron changes."""

    uses_tau = False
    clock: Literal["poisson"] = "poisson"
    scope: Scope = Option(default="neuron", description="what has a clock of its own: every neuron, or every layer")
    rate: Rate | None = Option(default=None, gt=0, description="mean ticks per second; default: 1 / tau")
    share: Ratio = Option(
        default=1.0,
        gt=0,
        le=1,
        description="of the way to its target that a neuron goes at a tick: 1 jumps, less relaxes",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_integrator(cls, value: Any) -> Any:
        if isinstance(value, dict) and "integrator" in value:
            refusal = (
                f"{value['integrator']!r} cannot be used: a random clock moves neurons at its ticks, which no integrator, "
                "adaptive or not, can follow; remove it, or use clock: continuous"
            )
            raise ProblemList([Problem("integrator", refusal)])
        return value

    def resolved(self, scenario: Scenario) -> Self:
        filled = super().resolved(scenario)
        rate = self.rate or tidy(1 / scenario.neuron.tau)
        assert filled.dt is not None
        if rate * filled.dt > MOST_TICKS:
            warnings.warn(
                f"dynamics.rate: at {rate:g} Hz a clock ticks {rate * filled.dt:.3g} times in a time step of {filled.dt:g} s, "
                f"of which one counts: neurons all but move together; dynamics.dt should be below {MOST_TICKS / rate:.3g} s",
                AnalogdpWarning,
                stacklevel=2,
            )
        return filled.model_copy(update={"rate": rate})

    def slowest(self, tau: float) -> float:
        return max(tau, 1 / ((self.rate or 1 / tau) * self.share))

    def evaluations(self) -> int:
        return self.most_steps()


@registry.clocks.register("poisson")
class Poisson(TimedClock):
    """Random clocks: in a step of dt a clock ticks with probability 1 - exp(-rate dt), at most once.

    At a tick a neuron goes a share c of the way to its target, and takes the noise of a membrane that has relaxed as far:
    s <- s + c (target - s) + std sqrt(1 - (1 - c)^2) xi. Both compartments of a neuron tick together.

    Args:
        rate: mean ticks per second.
        scope: what has a clock of its own.
        share: c.

    The other arguments are those of :class:`TimedClock`.
    """

    Settings = PoissonSettings

    def __init__(
        self,
        rate: float,
        dt: float,
        steps: int,
        tolerance: float | None = 1e-3,
        check_every: int = CHECK_EVERY,
        axons: AxonSettings | None = None,
        scope: Scope = "neuron",
        share: float = 1.0,
    ) -> None:
        super().__init__(dt, steps, tolerance, check_every, axons)
        self.rate, self.scope, self.share = rate, scope, share

    @classmethod
    def build(cls, settings: ClockSettings) -> Self:
        assert isinstance(settings, PoissonSettings)
        assert settings.rate is not None
        return cls(settings.rate, *cls.timing(settings), scope=settings.scope, share=settings.share)

    def prepare(self, field: Field) -> Step:
        return _PoissonStep(field, -math.expm1(-self.rate * self.timestep), self.scope, self.share, self.timestep)


class _PoissonStep(Step):
    normals, capturable = 1, True

    def __init__(self, field: Field, probability: float, scope: Scope, share: float, dt: float) -> None:
        self._field, self._probability, self._share, self._dt = field, probability, share, dt
        layout = field.layout
        # One number for each clock; of a layer's clock, one for each sample.
        self._sizes = [layout.batch * (units if scope == "neuron" else 1) for units in layout.units]
        self._shapes = [(layout.batch, units if scope == "neuron" else 1) for units in layout.units]
        self._dice = Blocks(sum(self._sizes), Stream.uniform)
        self._gain = field.new_state()
        self._gains = layout.views(self._gain)

    def start(self, stream: Stream) -> None:
        self._dice.start(stream)

    def load(self, first: int, count: int, hold: bool) -> None:
        self._dice.load(first, count, hold)

    def move(self, state: Tensor, step: int, row: int, noise: Noise | None, residual: Tensor | None) -> None:
        target = self._field(state, step * self._dt)
        if residual is not None:
            largest_difference(self._field, target, state, residual)
        ticks = (self._dice.row(row) < self._probability).to(state.dtype)
        for gain, own, shape in zip(self._gains, torch.split(ticks, self._sizes, 1), self._shapes, strict=True):
            gain.copy_(own.reshape(-1, *shape))
        state.addcmul_(self._gain, target.sub_(state), value=self._share)
        if noise is not None:
            state.addcmul_(self._gain, noise[0], value=math.sqrt(1 - (1 - self._share) ** 2))
