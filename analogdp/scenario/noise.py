"""The noise section of a scenario: what fluctuates in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from analogdp import registry
from analogdp.errors import Problem
from analogdp.scenario.quantities import Ratio, Time
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class CorrelatedNoise(Settings):
    """A fluctuation with a memory."""

    std: Ratio = Field(default=0.01, gt=0, le=0.9, description="stationary standard deviation")
    correlation: Time = Field(default=5e-6, gt=0, description="correlation time")


class NoiseSettings(Settings):
    """Fluctuations in time."""

    membrane: Ratio = Field(
        default=0.0, ge=0, le=100, description="stationary standard deviation of a compartment under its leak alone"
    )
    common: Ratio = Field(
        default=0.0,
        ge=0,
        le=100,
        description="the same of a noise that all compartments of a neuron share, on top of membrane",
    )
    coloured: CorrelatedNoise | None = Field(
        default=None, description="current into every compartment with a correlation time, in units of its target"
    )
    nudging: Ratio = Field(
        default=0.0, ge=0, le=10, description="relative standard deviation of the nudging strength, correlated over tau"
    )
    asymmetry: Ratio = Field(
        default=0.0, ge=0, le=1, description="standard deviation of alpha in time, correlated over tau"
    )
    conductance: CorrelatedNoise | None = Field(
        default=None, description="multiplicative noise of every cell of the synapses, relative to its conductance"
    )

    def _too_fast(self, dt: float) -> list[Problem]:
        """Fluctuations that a time step is too long for."""
        problems = []
        if self.coloured is not None and dt > self.coloured.correlation / 2:
            refusal = (
                f"{self.coloured.correlation:g} s is shorter than two time steps of {dt:g} s, during which a current is held; "
                "use membrane for noise without memory, or a shorter dynamics.dt"
            )
            problems.append(Problem("coloured.correlation", refusal))
        if self.conductance is not None:
            variance = self.conductance.std**2
            # Where the variance of Milstein's recursion is 10 % above that of the process, which it leaves soon after.
            share = 0.1 * (1 - variance) / (variance * (1 - variance) + 0.55 + 1.1 * variance**2)
            if dt > share * self.conductance.correlation:
                refusal = (
                    f"{self.conductance.correlation:g} s is too short for steps of {dt:g} s at std {self.conductance.std:g}; "
                    f"allowed: from {dt / share:.3g} s, or dynamics.dt up to {share * self.conductance.correlation:.3g} s"
                )
                problems.append(Problem("conductance.correlation", refusal))
        return problems

    def on_membranes(self) -> list[str]:
        """The fluctuations here that an integrator has to follow."""
        return [name for name in ("membrane", "common") if getattr(self, name)]

    def needing_time(self) -> list[str]:
        """The fluctuations here that only clocks with a time can have."""
        return self.on_membranes() + [name for name in ("coloured", "conductance") if getattr(self, name)]

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = []
        if self.asymmetry and not registry.neurons.get(scenario.neuron.model).asymmetric:
            refusal = f"neurons of model {scenario.neuron.model!r} have no asymmetry of nudging; set it to 0"
            problems.append(Problem("asymmetry", refusal))
        dt = scenario.dynamics.time_step(scenario)
        if dt is not None:
            problems += self._too_fast(dt)
        if not scenario.dynamics.has_time:
            problems += [
                Problem(name, f"clock: {scenario.dynamics.clock} has no time in which it could act; remove it")
                for name in self.needing_time()
            ]
        return problems
