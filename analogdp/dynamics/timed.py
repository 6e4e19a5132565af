"""What clocks with a time step have in common: the step, when a sample has settled, and how messages travel."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Gt, Le
from pydantic import Field as Option

from analogdp.dynamics.axons import Axons, AxonSettings
from analogdp.dynamics.clocks import Clock, tidy, whole_steps
from analogdp.errors import InputError, Problem
from analogdp.network import Field, Network, Transmission
from analogdp.scenario.estimate import TEST_BATCH
from analogdp.scenario.quantities import Ratio, Time
from analogdp.scenario.schema import ClockSettings, Scenario
from analogdp.scenario.settings import Settings

TOLERANCE_PER_BETA = 0.002
"""Default tolerance over beta: an error is of the size of beta, and a fixed tolerance would stop before it has spread."""

CHECK_EVERY = 5
"""Steps between looks at convergence: often enough beside some dozens of steps, rarely enough to cost little."""


class SettleSettings(Settings):
    """When a sample counts as settled."""

    tolerance: Annotated[Ratio, Gt(0), Le(1)] | Literal["auto"] | None = Option(
        default="auto",
        description="largest |target - state| of a settled sample; auto: beta / 500, as errors are of the size of beta; "
        "null: always take all the time",
    )
    at_most: Time | None = Option(
        default=None, gt=0, description="longest settling; default: (8 + 4 x layers) tau, and all delays"
    )
    check_every: int | None = Option(
        default=None,
        ge=1,
        le=10_000,
        description="steps between looks at convergence; default: 5 if there is a tolerance",
    )


class TimedSettings(ClockSettings):
    """What the sections of clocks with a time step have in common."""

    dt: Time | None = Option(default=None, gt=0, description="time step; default: tau / 5")
    settle: SettleSettings = SettleSettings()
    axons: AxonSettings = Option(default=AxonSettings(), description="how messages travel between layers")

    def resolved(self, scenario: Scenario) -> Self:
        tau, layers = scenario.neuron.tau, len(scenario.sizes) - 1
        dt = self.dt or self.default_step(tau)
        axons = self.axons.rounded(dt)
        longest = self.settle.at_most or tidy((8 + 4 * layers) * self.slowest(tau) + axons.round_trip(layers - 1))
        tolerance = self.settle.tolerance
        if tolerance == "auto":
            tolerance = tidy(TOLERANCE_PER_BETA * float(getattr(scenario.neuron, "beta", 1.0)))
        every = None if tolerance is None else self.settle.check_every or CHECK_EVERY
        settle = self.settle.model_copy(update={"at_most": longest, "tolerance": tolerance, "check_every": every})
        return self.model_copy(update={"dt": dt, "settle": settle, "axons": axons})

    def time_step(self, scenario: Scenario) -> float | None:
        return self.dt or self.default_step(scenario.neuron.tau)

    def buffer_bytes(self, scenario: Scenario, dtype_bytes: int) -> int:
        assert self.dt is not None
        rows = scenario.learning.batch + TEST_BATCH
        return self.axons.messages_on_their_way(scenario.sizes[1:], self.dt) * rows * dtype_bytes

    def slowest(self, tau: float) -> float:
        """Seconds in which a neuron follows its target, from its membrane time constant."""
        return tau

    def default_step(self, tau: float) -> float:
        """The time step in seconds unless the scenario names one."""
        return tidy(tau / 5)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        dt = self.time_step(scenario)
        assert dt is not None
        problems = [Problem(f"axons.{each.path}", each.message) for each in self.axons.contradictions(scenario)]
        if self.settle.at_most is not None and self.settle.at_most < dt:
            refusal = f"{self.settle.at_most:g} s is shorter than one time step of {dt:g} s"
            problems.append(Problem("settle.at_most", refusal))
        round_trip = self.axons.round_trip(len(scenario.sizes) - 2) if not problems else 0.0
        if self.settle.at_most is not None and dt <= self.settle.at_most <= round_trip:
            refusal = (
                f"{self.settle.at_most:g} s is not longer than messages are on their way, up and down again: with these delays "
                f"{round_trip:g} s; make it longer"
            )
            problems.append(Problem("settle.at_most", refusal))
        if self.settle.tolerance is None and self.settle.check_every is not None:
            refusal = f"{self.settle.check_every} is not used: with settle.tolerance null nobody looks at convergence"
            problems.append(Problem("settle.check_every", refusal))
        return problems

    def most_steps(self) -> int:
        """Steps of the longest settling."""
        assert self.dt is not None
        assert self.settle.at_most is not None
        return whole_steps(self.settle.at_most, self.dt)


class TimedClock(Clock):
    """A clock whose steps take a known time.

    Args:
        dt: time step in seconds.
        steps: most steps of one settling.
        tolerance: largest distance from the target of a settled sample, or None to take all steps.
        check_every: steps between looks at convergence.
        axons: how messages travel between layers.
    """

    timestep: float

    def __init__(
        self,
        dt: float,
        steps: int,
        tolerance: float | None = 1e-3,
        check_every: int = CHECK_EVERY,
        axons: AxonSettings | None = None,
    ) -> None:
        self.timestep, self.steps, self.tolerance, self.check_every = dt, steps, tolerance, check_every
        self.axons = axons or AxonSettings()

    @staticmethod
    def timing(settings: TimedSettings) -> tuple[float, int, float | None, int, AxonSettings]:
        """The arguments that a resolved section stands for."""
        assert settings.dt is not None
        assert settings.settle.tolerance != "auto"
        every = settings.settle.check_every or CHECK_EVERY
        return settings.dt, settings.most_steps(), settings.settle.tolerance, every, settings.axons

    def check(self, network: Network) -> None:
        for number, layer in enumerate(network.layers, start=1):
            shortest = layer.shortest_tau
            if not shortest > 0:
                raise InputError(
                    f"layer {number} has a time constant of {shortest:g} s; allowed: above 0, so make mismatch.tau smaller "
                    "or its distribution lognormal"
                )

    def transmission(self, field: Field) -> Transmission | None:
        if self.axons.transparent:
            return None
        return Axons(self.axons, field.layout, self.timestep, field.new_state())
