"""The sections of scenarios that dyads are made from, and what does not go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from analogdp import registry
from analogdp.errors import Problem
from analogdp.neurons import mismatch
from analogdp.neurons.activations import ActivationSettings, AnyActivation
from analogdp.neurons.damping import DESCRIPTION, SWEEPS, DampingRule
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import NeuronSettings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

UNLIKELY = 4
"""Standard deviations that no neuron and no moment is expected to exceed."""


class DyadicSettings(NeuronSettings):
    """What both kinds of dyads have."""

    alpha: Ratio = Field(default=0.5, ge=0, le=1, description="asymmetry of nudging: weight of s+ in the mean")
    beta: Ratio = Field(default=0.5, gt=0, le=100, description="nudging strength")
    activation: AnyActivation = Field(
        default=ActivationSettings(name="relu"), description="transfer function of hidden compartments"
    )

    @property
    def may_differ(self) -> frozenset[str]:
        return frozenset(("alpha", "beta"))

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        """A lognormal spread multiplies, so it cannot vary a gain that is nominally off."""
        gains = registry.neurons.get(self.model).nominal_gains(self.alpha)
        spreads = {"push": scenario.mismatch.of("push"), "pull": scenario.mismatch.of("pull")}
        return [
            Problem(
                "alpha",
                f"{self.alpha:g} turns {name} off, and the lognormal spread of mismatch.{name} cannot vary 0; allowed: above 0 "
                f"and below 1, or mismatch.{name} with distribution: normal or uniform, or 0",
            )
            for (name, spread), nominal in zip(spreads.items(), gains, strict=True)
            if spread.std and spread.distribution == "lognormal" and not nominal
        ]


class DualPropagationSettings(DyadicSettings):
    """DP dyads."""

    model: Literal["dp"] = "dp"
    output: Literal["proximal", "linearised"] = Field(
        default="proximal", description="nudged outputs: the exact proximal problem, or one gradient step at the drive"
    )
    damping: DampingRule = Field(default="none", description=DESCRIPTION)
    input_strength: Ratio = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="the input is a linear dyad itself, whose asymmetry is so many times that of the layers; 0: it is clamped",
    )

    @property
    def may_differ(self) -> frozenset[str]:
        return frozenset() if self.damping != "none" or self.input_strength else super().may_differ

    @property
    def sweeps(self) -> int:  # type: ignore[override]
        return 1 if self.damping == "none" else SWEEPS

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        """The proximal problems of the outputs must have solutions, also where mismatch and noise are against it."""
        problems = super().contradictions(scenario) + self._refused_damping(scenario)
        if self.input_strength and self.alpha == 0.5:
            refusal = "alpha = 0.5 is not asymmetric and would leave the input where it is; set alpha, or this to 0"
            problems.append(Problem("input_strength", refusal))
        if self.input_strength and (scenario.synapse.noisy_reads or scenario.noise.conductance is not None):
            refusal = "what the input is sent down would be read without noise; use synapses without read noise, or 0"
            problems.append(Problem("input_strength", refusal))
        if self.output == "linearised":
            return problems
        loss = registry.losses.get(scenario.network.loss)
        drift = UNLIKELY * scenario.noise.asymmetry
        push = mismatch.far_above(self.alpha, scenario.mismatch.of("push"), UNLIKELY) + drift
        pull = mismatch.far_above(1 - self.alpha, scenario.mismatch.of("pull"), UNLIKELY) + drift
        fluctuation = 1 + UNLIKELY * scenario.noise.nudging
        limits = {
            "s-": 1 / (max(pull, 1e-12) * loss.curvature * fluctuation),
            "s+": loss.largest_step / (max(push, 1e-12) * fluctuation),
        }
        compartment = min(limits, key=lambda name: limits[name])
        if self.beta < limits[compartment]:
            return problems
        varies = fluctuation > 1 or push > self.alpha or pull > 1 - self.alpha
        margin = f", {UNLIKELY} standard deviations of its noise and mismatch included" if varies else ""
        return [
            *problems,
            Problem(
                "beta",
                f"{self.beta:g} is too strong for {compartment} of the outputs at alpha = {self.alpha:g} and "
                f"{scenario.network.loss}; allowed: below {limits[compartment]:.4g}{margin}, or output: linearised",
            ),
        ]

    def _refused_damping(self, scenario: Scenario) -> list[Problem]:
        """What damping does not go with."""
        if self.damping == "none":
            return []
        problems = []
        if not registry.activations.get(self.activation.name).projects:
            refusal = (
                f"it would move the fixed point of {self.activation.name}; use relu, hard_sigmoid or identity, or none"
            )
            problems.append(Problem("damping", refusal))
        if scenario.dynamics.has_time:
            refusal = (
                "in continuous time it is nothing but a membrane time constant 1 + L times as long; use dynamics.clock: sweep, "
                "or none"
            )
            problems.append(Problem("damping", refusal))
        if scenario.feedback.separate:
            refusal = "its norms are of synapses that are read backwards; use feedback.path: transposed, or none"
            problems.append(Problem("damping", refusal))
        return problems


class TransposedSettings(DyadicSettings):
    """DP-transposed dyads."""

    model: Literal["dp_transposed"] = "dp_transposed"
