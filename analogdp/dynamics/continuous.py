"""Continuous time: all neurons move at once, through an integrator."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field as Option
from torch import Tensor

from analogdp import registry
from analogdp.dynamics.axons import AxonSettings
from analogdp.dynamics.clocks import largest_difference
from analogdp.dynamics.integrators import Euler, ExponentialEuler, Integrator, Noise
from analogdp.dynamics.noise import Fluctuations
from analogdp.dynamics.step import Step
from analogdp.dynamics.stepping import CompiledStepping, Snapshot, Stepping
from analogdp.dynamics.timed import CHECK_EVERY, TimedClock, TimedSettings
from analogdp.errors import InputError, Problem
from analogdp.network import Field, Network
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import ClockSettings, Scenario
from analogdp.scenario.settings import NameIn
from analogdp.streams import Stream

FINEST = {"float32": 1e-6, "float64": 1e-13}
"""Smallest relative errors that an error estimate can tell from rounding."""


class ContinuousSettings(TimedSettings):
    """Continuous time, integrated with a fixed step, or with one that an error estimate controls."""

    clock: Literal["continuous"] = "continuous"
    integrator: Annotated[str, NameIn(registry.integrators)] = Option(
        default="exp_euler", description="time-stepping method; see `analogdp models`"
    )
    rtol: Ratio | None = Option(
        default=None, gt=0, le=0.1, description="relative error of an adaptive method's inner step; default 1e-5"
    )
    atol: Ratio | None = Option(default=None, gt=0, le=0.1, description="absolute error, likewise; default 1e-6")

    @property
    def method(self) -> type[Integrator]:
        """The integrator's class."""
        chosen: type[Integrator] = registry.integrators.get(self.integrator)
        return chosen

    def resolved(self, scenario: Scenario) -> Self:
        filled = super().resolved(scenario)
        if not self.method.adaptive:
            return filled
        return filled.model_copy(update={"rtol": self.rtol or 1e-5, "atol": self.atol or 1e-6})

    def default_step(self, tau: float) -> float:
        # An adaptive method finds its own steps; dt is only how often one looks.
        return tau if self.method.adaptive else super().default_step(tau)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems, method, tau = super().contradictions(scenario), self.method, scenario.neuron.tau
        if problem := self._refused_noise(scenario):
            problems.append(problem)
        dt = self.dt or self.default_step(tau)
        if method.largest_step is not None and dt > method.largest_step * tau:
            limit = f"{method.largest_step * tau:g} s ({method.largest_step:g} tau)"
            refusal = f"{dt:g} s is out of range for {self.integrator}; allowed: up to {limit}, or exp_euler"
            problems.append(Problem("dt", refusal))
        if not self.axons.transparent and (method.evaluations > 1 or method.adaptive):
            refusal = (
                f"{self.integrator} looks at the neurons between two steps, where delayed messages and events are not known; "
                "use exp_euler, euler or etd_ab2"
            )
            problems.append(Problem("integrator", refusal))
        finest = FINEST[scenario.run.dtype]
        if self.rtol is not None and self.rtol < finest:
            refusal = f"{self.rtol:g} is finer than {scenario.run.dtype} resolves; allowed: from {finest:g}"
            problems.append(Problem("rtol", refusal))
        for name in ("rtol", "atol"):
            if getattr(self, name) is not None and not method.adaptive:
                problems.append(Problem(name, f"{self.integrator} takes steps of dt, without an error estimate"))
        return problems

    def _refused_noise(self, scenario: Scenario) -> Problem | None:
        """Noise in time that the method cannot have."""
        method, noise = self.method, scenario.noise
        present = [f"noise.{name}" for name in (*noise.needing_time(), "nudging", "asymmetry") if getattr(noise, name)]
        present += ["read noise of synapse.device"] if scenario.synapse.noisy_reads else []
        if not present or method.strong_order is not None:
            return None
        why = "its step control needs a smooth solution" if method.adaptive else "its order rests on a smooth solution"
        refusal = f"{self.integrator} takes no noise ({why}), but there is {present[0]}; use exp_euler, etd2rk or sra1"
        return Problem("integrator", refusal)

    def why_not_compiled(self, scenario: Scenario) -> str | None:
        if self.integrator not in ("exp_euler", "euler"):
            return "only steps of exp_euler and euler can be compiled"
        if self.settle.check_every == 1:
            return (
                "a look at convergence after every step (dynamics.settle.check_every) leaves none to compile together"
            )
        if not self.axons.transparent:
            return "messages with delays or thresholds cannot be compiled"
        names = ("coloured", "nudging", "asymmetry", "conductance")
        fluctuating = [name for name in names if getattr(scenario.noise, name)]
        return f"noise.{fluctuating[0]} cannot be compiled" if fluctuating else None

    def evaluations(self) -> int:
        """Target evaluations of the longest settling."""
        return self.most_steps() * self.method.evaluations


@registry.clocks.register("continuous")
class Continuous(TimedClock):
    """Continuous time: all neurons move at once.

    Args:
        integrator: the method.
        options: of an adaptive method: ``rtol`` and ``atol``.

    The other arguments are those of :class:`TimedClock`.
    """

    Settings = ContinuousSettings

    def __init__(
        self,
        integrator: type[Integrator],
        dt: float,
        steps: int,
        tolerance: float | None = 1e-3,
        check_every: int = CHECK_EVERY,
        axons: AxonSettings | None = None,
        **options: float,
    ) -> None:
        super().__init__(dt, steps, tolerance, check_every, axons)
        self.integrator, self.options = integrator, options

    @classmethod
    def build(cls, settings: ClockSettings) -> Self:
        assert isinstance(settings, ContinuousSettings)
        options = {name: getattr(settings, name) for name in ("rtol", "atol") if getattr(settings, name) is not None}
        return cls(settings.method, *cls.timing(settings), **options)

    def check(self, network: Network) -> None:
        """The fastest neuron, as mismatch drew it, decides how large a step may be."""
        super().check(network)
        if self.integrator.largest_step is None:
            return
        limit = self.integrator.largest_step * network.fastest_tau
        if self.timestep > limit:
            raise InputError(
                f"dynamics.dt: {self.timestep:g} s is too long for the fastest neuron, whose tau is "
                f"{network.fastest_tau:.3g} s; allowed: up to {limit:.3g} s, or integrator: exp_euler"
            )

    def stepping(
        self, field: Field, state: Tensor, step: Step, noise: Fluctuations, snapshot: Snapshot, compiled: bool
    ) -> Stepping:
        if not compiled:
            return super().stepping(field, state, step, noise, snapshot, compiled)
        method = step.integrator if isinstance(step, _ContinuousStep) else None
        if not isinstance(method, ExponentialEuler | Euler):
            raise InputError("run.compile: only steps of exp_euler and euler can be compiled; set it to false")
        if field.transmission is not None:
            raise InputError("run.compile: messages with delays or thresholds cannot be compiled; set it to false")
        if noise.sources:
            raise InputError(f"run.compile: noise of {noise.sources[0]} cannot be compiled; set it to false")
        piece = self.steps if self.tolerance is None else self.check_every
        if piece < 2:
            raise InputError("run.compile: a look at convergence after every step leaves none to compile together")
        gain, kick = method.gain, method.noise_gain
        return CompiledStepping(field, state, step, noise, steps=piece - 1, gain=gain, kick=kick)

    def prepare(self, field: Field) -> Step:
        return _ContinuousStep(self.method_for(field), field)

    def method_for(self, field: Field) -> Integrator:
        """The integrator, ready for the field's states."""
        extra: dict[str, Any] = {"layout": field.layout} if self.integrator.adaptive else {}
        tau = field.network.tau(field.layout)
        return self.integrator(field.new_state(), self.timestep, tau, **extra, **self.options)


class _ContinuousStep(Step):
    def __init__(self, integrator: Integrator, field: Field) -> None:
        self.integrator, self._field = integrator, field
        self.normals, self.capturable = integrator.normals, not integrator.adaptive

    def start(self, stream: Stream) -> None:
        self.integrator.start()

    def move(self, state: Tensor, step: int, row: int, noise: Noise | None, residual: Tensor | None) -> None:
        field, time = self._field, step * self.integrator.dt
        target = field(state, time)
        if residual is not None:
            largest_difference(field, target, state, residual)
        self.integrator.step(state, target, field, time, noise)

    def tensors(self) -> dict[str, Tensor]:
        return self.integrator.tensors()
