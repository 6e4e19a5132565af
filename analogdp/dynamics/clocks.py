"""How time passes: a clock moves the state of a field by one step, whatever the neurons are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, Self

import torch
from annotated_types import Gt, Le
from pydantic import Field as Option
from torch import Tensor

from analogdp import registry
from analogdp.dynamics.integrators import Integrator
from analogdp.errors import InputError, Problem
from analogdp.network import Field, Network
from analogdp.scenario.quantities import Ratio, Time
from analogdp.scenario.schema import ClockSettings, Scenario
from analogdp.scenario.settings import NameIn, Settings

Step = Callable[[Tensor, float, Tensor | None, Tensor | None], None]
"""``step(state, time, noise, residual)`` moves a flat state on by one step, in place.

``noise`` holds standard normal numbers or is None. If ``residual`` ``(chips, batch)`` is given, it receives how far each sample
is from rest: the largest distance from its target before the step, or the largest jump in a sweep.
"""


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
    def prepare(self, field: Field, membrane: float) -> Step:
        """The step function for a field, with membrane noise of the given stationary standard deviation."""


TOLERANCE_PER_BETA = 0.002
"""Default tolerance over beta: an error is of the size of beta, and a fixed tolerance would stop before it has spread."""


CHECK_EVERY = 5
"""Steps between looks at convergence: often enough beside some dozens of steps, rarely enough to cost little."""


def _tidy(value: float) -> float:
    """Without the last digits that a product of decimals leaves, which users would read in resolved scenarios."""
    return float(f"{value:.12g}")


class SettleSettings(Settings):
    """When a sample counts as settled."""

    tolerance: Annotated[Ratio, Gt(0), Le(1)] | Literal["auto"] | None = Option(
        default="auto",
        description="largest |target - state| of a settled sample; auto: beta / 500, as errors are of the size of beta; "
        "null: always take all the time",
    )
    at_most: Time | None = Option(default=None, gt=0, description="longest settling; default: (8 + 4 x layers) tau")
    check_every: int | None = Option(
        default=None,
        ge=1,
        le=10_000,
        description="steps between looks at convergence; default: 5 if there is a tolerance",
    )


class ContinuousSettings(ClockSettings):
    """Continuous time, integrated with a fixed step."""

    clock: Literal["continuous"] = "continuous"
    integrator: Annotated[str, NameIn(registry.integrators)] = Option(
        default="exp_euler", description="time-stepping method; see `analogdp models`"
    )
    dt: Time | None = Option(default=None, gt=0, description="time step; default: tau / 5")
    settle: SettleSettings = SettleSettings()

    def resolved(self, scenario: Scenario) -> Self:
        tau, layers = scenario.neuron.tau, len(scenario.network.layers) - 1
        longest = self.settle.at_most or _tidy((8 + 4 * layers) * tau)
        tolerance = self.settle.tolerance
        if tolerance == "auto":
            tolerance = _tidy(TOLERANCE_PER_BETA * float(getattr(scenario.neuron, "beta", 1.0)))
        every = None if tolerance is None else self.settle.check_every or CHECK_EVERY
        settle = self.settle.model_copy(update={"at_most": longest, "tolerance": tolerance, "check_every": every})
        return self.model_copy(update={"dt": self.dt or _tidy(tau / 5), "settle": settle})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = []
        method: type[Integrator] = registry.integrators.get(self.integrator)
        membrane, tau = scenario.noise.membrane, scenario.neuron.tau
        if membrane and method.strong_order is None:
            refusal = f"{self.integrator} takes no noise, but noise.membrane is {membrane:g}; use exp_euler or euler"
            problems.append(Problem("integrator", refusal))
        resolved = self.resolved(scenario)
        assert resolved.dt is not None
        assert resolved.settle.at_most is not None
        if method.largest_step is not None and resolved.dt > method.largest_step * tau:
            limit = f"{method.largest_step * tau:g} s ({method.largest_step:g} tau)"
            refusal = f"{resolved.dt:g} s is out of range for {self.integrator}; allowed: up to {limit}, or exp_euler"
            problems.append(Problem("dt", refusal))
        if resolved.settle.at_most < resolved.dt:
            refusal = f"{resolved.settle.at_most:g} s is shorter than one time step of {resolved.dt:g} s"
            problems.append(Problem("settle.at_most", refusal))
        if self.settle.tolerance is None and self.settle.check_every is not None:
            refusal = f"{self.settle.check_every} is not used: with settle.tolerance null nobody looks at convergence"
            problems.append(Problem("settle.check_every", refusal))
        return problems

    def most_steps(self) -> int:
        """Steps of the longest settling."""
        assert self.dt is not None
        assert self.settle.at_most is not None
        return max(1, math.floor(self.settle.at_most / self.dt + 0.5))

    def evaluations(self) -> int:
        """Target evaluations of the longest settling."""
        method: type[Integrator] = registry.integrators.get(self.integrator)
        return self.most_steps() * method.evaluations


@registry.clocks.register("continuous")
class Continuous(Clock):
    """Continuous time: all neurons move at once, through an integrator with a fixed step."""

    Settings = ContinuousSettings

    def __init__(
        self,
        integrator: Integrator,
        dt: float,
        steps: int,
        tolerance: float | None = 1e-3,
        check_every: int = CHECK_EVERY,
    ) -> None:
        self.integrator, self.timestep, self.steps = integrator, dt, steps
        self.tolerance, self.check_every = tolerance, check_every

    @classmethod
    def build(cls, settings: ClockSettings) -> Self:
        assert isinstance(settings, ContinuousSettings)
        assert settings.dt is not None
        assert settings.settle.tolerance != "auto"
        method = registry.integrators.get(settings.integrator)()
        every = settings.settle.check_every or CHECK_EVERY
        return cls(method, settings.dt, settings.most_steps(), settings.settle.tolerance, every)

    def check(self, network: Network) -> None:
        """The fastest neuron, as mismatch drew it, decides how large a step may be."""
        assert self.timestep is not None
        if self.integrator.largest_step is None:
            return
        limit = self.integrator.largest_step * network.fastest_tau
        if self.timestep > limit:
            raise InputError(
                f"dynamics.dt: {self.timestep:g} s is too long for the fastest neuron that mismatch drew, whose tau is "
                f"{network.fastest_tau:.3g} s; allowed: up to {limit:.3g} s, or integrator: exp_euler"
            )

    def prepare(self, field: Field, membrane: float) -> Step:
        assert self.timestep is not None
        integrator, dt = self.integrator, self.timestep
        coefficients = integrator.coefficients(field.new_state(), dt, field.network.tau(field.layout), membrane)

        def step(state: Tensor, time: float, noise: Tensor | None, residual: Tensor | None) -> None:
            target = field(state, time)
            if residual is not None:
                largest_difference(field, target, state, residual)
            integrator.step(state, target, field, time, coefficients, noise)

        return step


class SweepSettings(ClockSettings):
    """The digital fixed-point limit: neurons jump to their targets, layer after layer."""

    has_time = False
    clock: Literal["sweep"] = "sweep"
    sweeps: int = Option(default=1, ge=1, le=100_000, description="most sweeps, up and down again, of one settling")
    tolerance: Ratio | None = Option(
        default=None,
        gt=0,
        le=1,
        description="largest change in the last sweep of a settled sample; null: always take all sweeps",
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        if scenario.noise.membrane == 0:
            return []
        return [
            Problem(
                "clock", "a sweep has no time in which noise.membrane could act; set it to 0 or use clock: continuous"
            )
        ]

    def most_steps(self) -> int:
        return self.sweeps

    def evaluations(self) -> int:
        return self.sweeps


@registry.clocks.register("sweep")
class Sweep(Clock):
    """Forward-backward sweeps: every layer jumps to its target from the first to the last, then back down to the first.

    A sweep takes 2L - 1 products above the clamped input's: as many as backpropagation takes for its gradients.
    """

    Settings = SweepSettings

    def __init__(self, sweeps: int = 1, tolerance: float | None = None) -> None:
        self.steps, self.tolerance, self.check_every, self.timestep = sweeps, tolerance, 1, None

    @classmethod
    def build(cls, settings: ClockSettings) -> Self:
        assert isinstance(settings, SweepSettings)
        return cls(settings.sweeps, settings.tolerance)

    def prepare(self, field: Field, membrane: float) -> Step:
        if membrane:
            raise ValueError("a sweep has no time in which membrane noise could act")
        last = len(field.layout.units) - 1
        before = field.new_state()

        def step(state: Tensor, time: float, noise: Tensor | None, residual: Tensor | None) -> None:
            layers = field.views(state)
            if residual is not None:
                before.copy_(state)
            for index in range(last + 1):
                field.read_bottom_up(index)
                field.write_target(index, layers[index], layers[index])
                field.send_up(index, layers[index])
            # A nudge may be taken at the output's own mean, which is only right after its first jump.
            field.write_target(last, layers[last], layers[last])
            for index in range(last - 1, -1, -1):
                field.send_down(index + 1, layers[index + 1])
                field.read_top_down(index)
                field.write_target(index, layers[index], layers[index])
                field.send_up(index, layers[index])
            if residual is not None:
                largest_difference(field, state, before, residual)

        return step


def largest_difference(field: Field, one: Tensor, other: Tensor, out: Tensor) -> None:
    """The largest absolute difference of two flat states for each sample, into ``out`` ``(chips, batch)``."""
    per_layer = [
        (a - b).abs_().amax(dim=(0, 3)) for a, b in zip(field.layout.views(one), field.layout.views(other), strict=True)
    ]
    torch.amax(torch.stack(per_layer), dim=0, out=out)
