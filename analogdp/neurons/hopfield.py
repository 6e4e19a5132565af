"""Hopfield neurons: one compartment, driven alike from below and from above, whose errors are differences between two phases.

    tau ds/dt = f(a + D) - s        a: bottom-up drive   W s(below) + b
                                    D: top-down drive    W(above)^T s(above)

With symmetric weights every motion lowers E = sum_k G(s_k) - s_k^T (W s_(k-1) + b), G' = f^-1 (Hopfield 1984; Scellier &
Bengio 2017). Outputs are linear. Nudged by beta they rest at s = a - beta dl/ds(s), or they are clamped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError, Problem
from analogdp.neurons.activations import Activation, ActivationSettings, AnyActivation, make_activation
from analogdp.neurons.base import Equations, NeuronModel, State
from analogdp.neurons.compartments import amplified, draw_gain_and_offset, shifted
from analogdp.neurons.losses import Loss
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

Nudge = Literal["proximal", "explicit", "clamped"]


class HopfieldSettings(NeuronSettings):
    """Neurons of a Hopfield energy."""

    compares_phases = True
    sweeps = 30
    model: Literal["hopfield"] = "hopfield"
    beta: Ratio | None = Field(
        default=None,
        gt=0,
        le=100,
        description="nudging strength, or how far from free to wanted outputs are clamped; default as learning.mode says",
    )
    output: Nudge | None = Field(
        default=None,
        description="nudged outputs: proximal solves s = a - beta dl/ds(s) at once, explicit relaxes towards it; clamped "
        "imposes the label; default: clamped where learning clamps outputs, else proximal",
    )
    activation: AnyActivation = Field(
        default=ActivationSettings(name="tanh"), description="transfer function of hidden neurons"
    )

    def resolved(self, scenario: Scenario) -> Self:
        learning = scenario.learning
        output = self.output or ("clamped" if learning.clamps_outputs else "proximal")
        return self.model_copy(update={"output": output, "beta": self.beta or learning.nudging})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        learning, problems = scenario.learning, []
        if scenario.feedback.path == "random":
            refusal = "hopfield neurons need the same weights in both directions, but feedback is random; use another feedback"
            problems.append(Problem("model", refusal))
        if learning.compares_phases and self.output and (self.output == "clamped") != learning.clamps_outputs:
            wanted = "clamped" if learning.clamps_outputs else "proximal or explicit"
            problems.append(Problem("output", f"{self.output} is not what {learning.mode} does; use {wanted}"))
        return [*problems, *self._too_strong(scenario)]

    def _too_strong(self, scenario: Scenario) -> list[Problem]:
        """Nudging at which the outputs have no place to rest, or do not find it."""
        beta, loss = self.beta or scenario.learning.nudging, registry.losses.get(scenario.network.loss)
        if scenario.learning.clamps_outputs:
            return [] if beta <= 1 else [Problem("beta", f"{beta:g} clamps outputs beyond the label; allowed: up to 1")]
        if self.output == "explicit" and not scenario.dynamics.uses_tau and beta * loss.curvature >= 1:
            refusal = f"{beta:g} makes explicitly nudged outputs jump over their place of rest; allowed: below"
            return [Problem("beta", f"{refusal} {1 / loss.curvature:g}, or output: proximal")]
        if self.output != "explicit" and beta > loss.largest_step:
            refusal = f"{beta:g} is too strong for proximal outputs with {scenario.network.loss}; allowed: up to"
            return [Problem("beta", f"{refusal} {loss.largest_step:g}, or output: explicit")]
        return []


@registry.neurons.register("hopfield")
class Hopfield(NeuronModel):
    """Neurons of a Hopfield energy, which learn from the difference of two phases.

    Args:
        activation: the transfer function f of hidden units; output units are linear.
        loss: what the output units are nudged to lower.
        beta: nominal nudging strength.
        nudge: how an output follows its label.
        gain: factor of the transfer function, or None; ``(chips, 1, units)``.
        offset: added to the drive, or None; ``(chips, 1, units)``.
    """

    Settings = HopfieldSettings
    compartments = ("activity",)
    plasticity = "contrastive_hebbian"

    def __init__(
        self,
        activation: Activation,
        loss: Loss,
        beta: float,
        nudge: Nudge,
        gain: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        self.activation, self.loss, self.beta, self.nudge = activation, loss, beta, nudge
        self.gain, self.offset = gain, offset

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, HopfieldSettings)
        assert settings.beta is not None
        assert settings.output is not None
        drawn = draw_gain_and_offset(spread, 1, units, stream)
        gain, offset = (None if own is None else own[0] for own in drawn)
        return cls(make_activation(settings.activation), loss, settings.beta, settings.output, gain, offset)

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        if out is None:
            drive = bottom_up if top_down is None else bottom_up + top_down
            return (amplified(self.activation(shifted(drive, self.offset)), self.gain),)
        own = out[0].copy_(bottom_up) if top_down is None else torch.add(bottom_up, top_down, out=out[0])
        if self.offset is not None:
            own.add_(self.offset)
        self.activation.apply_(own)
        if self.gain is not None:
            own.mul_(self.gain)
        return out

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        free = amplified(shifted(bottom_up, self.offset), self.gain)
        nudged = free if label is None else self._nudged(free, label, nudging, state[0])
        if out is None:
            return (nudged,)
        out[0].copy_(nudged)
        return out

    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        return state[0] if out is None else out.copy_(state[0])

    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        return self.upward(state, out)

    def learning_signal(self, state: State, out: Tensor | None = None) -> Tensor:
        """The activity itself; a two-phase trainer makes the error of it."""
        return state[0].clone() if out is None else out.copy_(state[0])

    def equations(self, settings: NeuronSettings, output: bool, free: bool = False) -> Equations:
        parameters = {
            name: own
            for name, own in (("activity_offset", self.offset), ("activity_gain", self.gain))
            if own is not None
        }
        drive = "bottom_up" if output else "bottom_up + top_down"
        drive += " + activity_offset" if self.offset is not None else ""
        target = f"({drive})" if output else self.activation.formula(drive)
        target = target if self.gain is None else f"activity_gain * {target}"
        messages = {"upward": "activity", "downward": "activity"}
        if free or not output:
            return Equations({**messages, "activity_target": target}, parameters)
        nudged, sums = self._nudged_formula("free")
        return Equations({**messages, "free": target, "activity_target": nudged}, parameters, sums)

    def _nudged(self, free: Tensor, label: Tensor, nudging: Tensor | float, state: Tensor) -> Tensor:
        if self.nudge == "clamped":
            return torch.lerp(free, label.expand_as(free), nudging)
        if self.nudge == "proximal":
            return self.loss.proximal(free, label, nudging)
        return free - nudging * self.loss.gradient(state, label)

    def _nudged_formula(self, free: str) -> tuple[str, dict[str, str]]:
        """The nudged output, and the sums in it."""
        if self.nudge == "clamped":
            return f"{free} + nudging * (label - {free})", {}
        if self.nudge == "explicit":
            gradient, sums = self.loss.gradient_formula("activity")
            return f"{free} - nudging * {gradient}", sums
        proximal = self.loss.proximal_formula(free, "nudging")
        if proximal is None:
            raise InputError(
                "neuron.output: the proximal problem of this loss has no closed form that could be written as an equation; "
                "use --set neuron.output=explicit, or --set network.loss=least_squares"
            )
        return proximal, {}
