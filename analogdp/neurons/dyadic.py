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
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError
from analogdp.neurons import mismatch
from analogdp.neurons.activations import Activation, make_activation
from analogdp.neurons.base import Equations, FreeResponse, NeuronModel, ResponseTerm, State
from analogdp.neurons.compartments import draw_gain_and_offset, written
from analogdp.neurons.damping import Damping
from analogdp.neurons.dyadic_settings import DualPropagationSettings, DyadicSettings, TransposedSettings
from analogdp.neurons.losses import Loss
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

Nudge = Literal["proximal", "linearised", "explicit"]


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
        damping: how much of its state a layer keeps when it jumps, or None.
        input_gain, input_damping: see :class:`NeuronModel`.
    """

    compartments = ("plus", "minus")
    remedy = "a smaller neuron.beta, alpha nearer to 1/2, model: dp_transposed, smaller weights"
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
        damping: Damping | None = None,
        input_gain: float = 0.0,
        input_damping: Damping | None = None,
    ) -> None:
        self.activation, self.loss, self.nudge, self.beta = activation, loss, nudge, beta
        self.push, self.pull, self.mix = push, pull, mix
        self.minus_pull = -pull
        self.jumps = not activation.continuous
        self.gain, self.offset = gain, offset
        self.damping, self.input_gain, self.input_damping = damping, input_gain, input_damping
        self._gains = None if gain is None else gain.unbind()
        self._offsets = None if offset is None else offset.unbind()

    gain_formulas: ClassVar[tuple[str, str]]
    """The gains p and q of push and pull, as text with a place for alpha."""

    @classmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        assert isinstance(settings, DyadicSettings)
        push, pull = cls.nominal_gains(settings.alpha)
        gain, offset = draw_gain_and_offset(spread, 2, units, stream)
        nudge: Nudge = "explicit"
        damping, input_gain, input_damping = None, 0.0, None
        if isinstance(settings, DualPropagationSettings):
            nudge = settings.output
            input_gain = settings.input_strength * asymmetry(push, pull, settings.alpha)
            if settings.damping != "none":
                like = torch.zeros(len(stream.chips), 1, 1, device=stream.device, dtype=stream.dtype)
                damping = Damping(settings.damping, like)
                if settings.input_strength:
                    input_damping = Damping(settings.damping, like, settings.input_strength)
        return cls(
            activation=make_activation(settings.activation),
            loss=loss,
            push=mismatch.bounded(push, spread.of("push"), units, stream.child("push")),
            pull=mismatch.bounded(pull, spread.of("pull"), units, stream.child("pull")),
            mix=mismatch.bounded(settings.alpha, spread.of("mixing"), units, stream.child("mix"), highest=1.0),
            beta=settings.beta,
            nudge=nudge,
            gain=gain,
            offset=offset,
            damping=damping,
            input_gain=input_gain,
            input_damping=input_damping,
        )

    @staticmethod
    @abstractmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        """The gains p and q of push and pull."""

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        if self.damping is not None and top_down is not None:
            return self._damped(bottom_up, top_down, self.damping.kept(top_down), state, out)
        drives = _both(bottom_up, out) if top_down is None else self._apart(bottom_up, top_down, out)
        return self._transferred(drives, self.activation, out)

    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
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

    @property
    def slope_gain(self) -> Tensor | float:
        return 1.0 if self._gains is None else torch.lerp(self._gains[1], self._gains[0], self.mix)

    def free_response(self, output: bool) -> FreeResponse:
        activation = None if output else self.activation
        if self._gains is None and self._offsets is None:
            return FreeResponse(activation, (ResponseTerm(),))
        terms = zip((self.mix, 1 - self.mix), *self.gains_and_offsets(), strict=True)
        return FreeResponse(activation, tuple(ResponseTerm(share * gain, 1.0, offset) for share, gain, offset in terms))

    def gains_and_offsets(self) -> tuple[tuple[Tensor | float, ...], tuple[Tensor | float, ...]]:
        """Of the transfer function of each compartment."""
        return self._gains or (1.0, 1.0), self._offsets or (0.0, 0.0)

    def at_asymmetry(self, shift: Tensor) -> Self:
        moved = copy(self)
        slopes = [one - zero for zero, one in zip(self.nominal_gains(0.0), self.nominal_gains(1.0), strict=True)]
        moved.push, moved.pull = self.push + slopes[0] * shift, self.pull + slopes[1] * shift
        moved.minus_pull, moved.mix = -moved.pull, self.mix + shift
        return moved

    def equations(self, settings: NeuronSettings, output: bool, free: bool = False) -> Equations:
        assert isinstance(settings, DyadicSettings)
        parameters: dict[str, Tensor | float] = {"alpha": settings.alpha}
        now = "alpha" if free else "alpha_now"
        definitions = {} if free else {now: "alpha + asymmetry"}
        gains = zip(
            ("push", "pull", "mix"),
            (formula.format(alpha=now) for formula in (*self.gain_formulas, "{alpha}")),
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
        drives, sums = self._output_drives(free) if output else (_apart_formulas("bottom_up", "top_down"), {})
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

    def _output_drives(self, free: bool) -> tuple[tuple[str, str], dict[str, str]]:
        """Formulas of the free or nudged outputs' drives, and the sums in them."""
        if free:
            return ("bottom_up", "bottom_up"), {}
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

    def _damped(
        self, bottom_up: Tensor, top_down: Tensor, kept: Tensor, state: State, out: tuple[Tensor, ...] | None
    ) -> State:
        """Jumps of which the compartments keep a share: those that are pushed, as the others have nowhere to come from."""
        drives = []
        pushes = zip(self._apart(bottom_up, top_down, None), (self.push, self.pull), state, strict=True)
        for index, (drive, gain, own) in enumerate(pushes):
            if self._offsets is not None:
                drive = drive + self._offsets[index]
            if isinstance(gain, Tensor) or gain:
                drive = torch.lerp(drive, own if self._gains is None else own / self._gains[index], kept)
            drive = self.activation(drive)
            drives.append(drive if self._gains is None else drive * self._gains[index])
        return written(drives, out)

    def _proximal(
        self, drive: Tensor, label: Tensor, nudging: Tensor | float, out: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, ...]:
        """The outputs that weigh their loss against their distance from the drive."""
        return written([self.loss.proximal(drive, label, gain * nudging) for gain in (self.push, self.minus_pull)], out)

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


def asymmetry(push: float, pull: float, mix: float) -> float:
    """By how much of its push the mean of a linear dyad moves: gamma = w p - (1 - w) q."""
    return mix * push - (1 - mix) * pull


def _both(drive: Tensor, out: tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    """The same drive for both compartments."""
    return written((drive, drive), out)


@registry.neurons.register("dp")
class DualPropagation(Dyadic):
    """Dual propagation: s+ is pushed by alpha, s- pulled by 1 - alpha; the outputs solve proximal problems."""

    Settings: ClassVar[type[DyadicSettings]] = DualPropagationSettings
    gain_formulas = ("{alpha}", "1 - {alpha}")

    @staticmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        return alpha, 1 - alpha


@registry.neurons.register("dp_transposed")
class DualPropagationTransposed(Dyadic):
    """DP-transposed: push and pull swapped, so that s_bar follows the forward activations."""

    Settings: ClassVar[type[DyadicSettings]] = TransposedSettings
    gain_formulas = ("1 - {alpha}", "{alpha}")

    @staticmethod
    def nominal_gains(alpha: float) -> tuple[float, float]:
        return 1 - alpha, alpha
