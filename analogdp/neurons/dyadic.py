"""Dyadic neurons: two compartments nudged in opposite directions, whose mean is the activity and whose difference the error.

    tau ds+/dt = f(a + p D) - s+        a: bottom-up drive   W s_bar(below) + b
    tau ds-/dt = f(a - q D) - s-        D: top-down drive    W(above)^T delta(above)
    s_bar = w s+ + (1 - w) s-           what the layer above sees
    delta = s+ - s-                     what the layer below sees

Dual propagation ("DP") has p = alpha, q = 1 - alpha, its transposed form ("DP^T") p = 1 - alpha, q = alpha; both w = alpha.
Hoier, Staudt & Zach 2023; Hoier & Zach 2024 ("Two Tales of Single-Phase Contrastive Hebbian Learning"), Eq. 2, 3, 19, 22.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError, Problem
from analogdp.neurons import mismatch
from analogdp.neurons.activations import Activation, ActivationSettings, AnyActivation, make_activation
from analogdp.neurons.base import Equations, NeuronModel, State
from analogdp.neurons.losses import Loss
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

Nudge = Literal["proximal", "linearised", "explicit"]

UNLIKELY = 4
"""Standard deviations that no neuron and no moment is expected to exceed."""


class DyadicSettings(NeuronSettings):
    """What both kinds of dyads have."""

    alpha: Ratio = Field(default=0.5, ge=0, le=1, description="asymmetry of nudging: weight of s+ in the mean")
    beta: Ratio = Field(default=0.5, gt=0, le=100, description="nudging strength")
    activation: AnyActivation = Field(
        default=ActivationSettings(name="relu"), description="transfer function of hidden compartments"
    )

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

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        """The proximal problems of the outputs must have solutions, also where mismatch and noise are against it."""
        problems = super().contradictions(scenario)
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


class TransposedSettings(DyadicSettings):
    """DP-transposed dyads."""

    model: Literal["dp_transposed"] = "dp_transposed"


class Dyadic(NeuronModel):
    """A layer of dyads, with or without mismatch.

    Args:
        activation: the transfer function f of hidden units; output units are linear.
        loss: what the output units are nudged to lower.
        push, pull, mix: the gains p, q and the weight w, each a number or ``(chips, 1, units)``.
        beta: nominal nudging strength, which the learning signal is divided by.
        nudge: how an output compartment follows its label: ``proximal`` (DP), ``linearised`` (DP, gradient at the drive),
            ``explicit`` (DP^T, gradient at s_bar).
        gain: factor of the transfer function, or None; ``(2, chips, 1, units)``.
        offset: added to the drive of each compartment, or None; ``(2, chips, 1, units)``.
    """

    compartments = ("plus", "minus")
    plasticity = "contrastive_hebbian"
    asymmetric = True

    def __init__(
        self,
        activation: Activation,
        loss: Loss,
        push: Tensor | float,
        pull: Tensor | float,
        mix: Tensor | float,
        beta: float,
        nudge: Nudge,
        gain: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        self.activation, self.loss, self.nudge, self.beta = activation, loss, nudge, beta
        self.push, self.pull, self.mix = push, pull, mix
        self.minus_pull = -pull
        self.gain, self.offset = gain, offset
        self._gains = None if gain is None else gain.unbind()
        self._offsets = None if offset is None else offset.unbind()

    gain_formulas: ClassVar[tuple[str, str]]
    """The gains p and q of push and pull, as text."""

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, DyadicSettings)
        push, pull = cls.nominal_gains(settings.alpha)
        transfer = mismatch.relative(1.0, spread.gain, 2, units, stream.child("gain"))
        offset = mismatch.additive(0.0, spread.offset, 2, units, stream.child("offset"))
        return cls(
            activation=make_activation(settings.activation),
            loss=loss,
            push=mismatch.bounded(push, spread.of("push"), units, stream.child("push")),
            pull=mismatch.bounded(pull, spread.of("pull"), units, stream.child("pull")),
            mix=mismatch.bounded(settings.alpha, spread.of("mixing"), units, stream.child("mix"), highest=1.0),
        damping: how much of its state a layer keeps when it jumps, or None.
        input_gain: see :class:`NeuronModel`.
            beta=settings.beta,
            nudge=settings.output if isinstance(settings, DualPropagationSettings) else "explicit",
            gain=transfer if isinstance(transfer, Tensor) else None,
            offset=offset if isinstance(offset, Tensor) else None,
        )

    @staticmethod
    @abstractmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        """The gains p and q of push and pull."""

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        drives = _both(bottom_up, out) if top_down is None else self._apart(bottom_up, top_down, out)
        return self._transferred(drives, self.activation, out)

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        self.jumps = not activation.continuous
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        if label is None:
            drives = _both(bottom_up, out)
        elif self.nudge == "proximal":
            drives = self._proximal(bottom_up, label, nudging, out)
        else:
            at = self.upward(state) if self.nudge == "explicit" else bottom_up
            drives = self._apart(bottom_up, self.loss.gradient(at, label), out, -nudging)
        return self._transferred(drives, None, out)

    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        plus, minus = state
        return torch.lerp(minus, plus, self.mix, out=out)

    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        plus, minus = state
        return torch.sub(plus, minus, out=out)

    def learning_signal(self, state: State, out: Tensor | None = None) -> Tensor:
        return self.downward(state, out).div_(self.beta)

    def at_asymmetry(self, shift: Tensor) -> Self:
        moved = copy(self)
        slopes = [one - zero for zero, one in zip(self.nominal_gains(0.0), self.nominal_gains(1.0), strict=True)]
        moved.push, moved.pull = self.push + slopes[0] * shift, self.pull + slopes[1] * shift
        moved.minus_pull, moved.mix = -moved.pull, self.mix + shift
        return moved

    def equations(self, settings: NeuronSettings, output: bool) -> Equations:
        assert isinstance(settings, DyadicSettings)
        parameters: dict[str, Tensor | float] = {"alpha": settings.alpha}
        definitions = {"alpha_now": "alpha + asymmetry"}
        gains = zip(
            ("push", "pull", "mix"),
            (*self.gain_formulas, "alpha_now"),
            (*self.nominal_gains(settings.alpha), settings.alpha),
            (self.push, self.pull, self.mix),
            strict=True,
        )
        for name, formula, nominal, own in gains:
            definitions[name] = formula
            if isinstance(own, Tensor):
                definitions[name] += f" + {name}_deviation"
                parameters[f"{name}_deviation"] = own - nominal
        definitions |= {"upward": "mix * plus + (1 - mix) * minus", "downward": "plus - minus"}
        drives, sums = self._output_drives() if output else (_apart_formulas("bottom_up", "top_down"), {})
        for index, (compartment, drive) in enumerate(zip(self.compartments, drives, strict=True)):
            if self.offset is not None:
                drive += f" + {compartment}_offset"
                parameters[f"{compartment}_offset"] = self.offset[index]
            target = drive if output else self.activation.formula(drive)
            if self.gain is not None:
                target = f"{compartment}_gain * ({target})"
                parameters[f"{compartment}_gain"] = self.gain[index]
            definitions[f"{compartment}_target"] = target
        return Equations(definitions, parameters, sums)

    def _output_drives(self) -> tuple[tuple[str, str], dict[str, str]]:
        """Formulas of the nudged outputs' drives, and the sums in them."""
        if self.nudge != "proximal":
            gradient, sums = self.loss.gradient_formula("upward" if self.nudge == "explicit" else "bottom_up")
            return _apart_formulas("bottom_up", f"(-nudging * {gradient})"), sums
        plus = self.loss.proximal_formula("bottom_up", "(push * nudging)")
        minus = self.loss.proximal_formula("bottom_up", "(-pull * nudging)")
        if plus is None or minus is None:
            raise InputError(
                "neuron.output: the proximal problem of this loss has no closed form that could be written as an equation; "
                "use --set neuron.output=linearised, or --set network.loss=least_squares"
            )
        return (plus, minus), {}

    def _apart(
        self, drive: Tensor, push: Tensor, out: tuple[Tensor, ...] | None, strength: Tensor | float = 1.0
    ) -> tuple[Tensor, ...]:
        """The drives of the compartments when ``strength`` times ``push`` moves them apart."""
        up, down = self.push * strength, self.minus_pull * strength
        if out is None:
            return _moved(drive, up, push), _moved(drive, down, push)
        _moved(drive, up, push, out[0])
        _moved(drive, down, push, out[1])
        return out

    def _proximal(
        self, drive: Tensor, label: Tensor, nudging: Tensor | float, out: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, ...]:
        """The outputs that weigh their loss against their distance from the drive."""
        ends = tuple(self.loss.proximal(drive, label, gain * nudging) for gain in (self.push, self.minus_pull))
        if out is None:
            return ends
        for own, end in zip(out, ends, strict=True):
            own.copy_(end)
        return out

    def _transferred(
        self, drives: tuple[Tensor, ...], activation: Activation | None, out: tuple[Tensor, ...] | None
    ) -> State:
        """What the compartments make of their drives: offset, transfer function, gain; in place if there is ``out``."""
        results = []
        for index, drive in enumerate(drives):
            if self._offsets is not None:
                drive = drive + self._offsets[index] if out is None else drive.add_(self._offsets[index])
            if activation is not None:
                drive = activation(drive) if out is None else activation.apply_(drive)
            if self._gains is not None:
                drive = drive * self._gains[index] if out is None else drive.mul_(self._gains[index])
            results.append(drive)
        return tuple(results) if out is None else out


def _moved(drive: Tensor, gain: Tensor | float, push: Tensor, out: Tensor | None = None) -> Tensor:
    """``drive + gain * push`` in one pass."""
    if isinstance(gain, Tensor):
        return torch.addcmul(drive, gain, push, out=out)
    return torch.add(drive, push, alpha=gain, out=out)


def _apart_formulas(drive: str, push: str) -> tuple[str, str]:
    """The drives of the compartments when ``push`` moves them apart, as text."""
    return f"{drive} + push * {push}", f"{drive} - pull * {push}"


def _both(drive: Tensor, out: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    """The same drive for both compartments."""
    if out is None:
        return drive, drive
    for own in out:
        own.copy_(drive)
    return out


@registry.neurons.register("dp")
class DualPropagation(Dyadic):
    """Dual propagation: s+ is pushed by alpha, s- pulled by 1 - alpha; the outputs solve proximal problems."""

    Settings = DualPropagationSettings
    gain_formulas = ("alpha_now", "1 - alpha_now")

    @staticmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        return alpha, 1 - alpha


@registry.neurons.register("dp_transposed")
class DualPropagationTransposed(Dyadic):
    """DP-transposed: push and pull swapped, so that s_bar follows the forward activations."""

    Settings = TransposedSettings
    gain_formulas = ("1 - alpha_now", "alpha_now")

    @staticmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        return 1 - alpha, alpha
