"""Critical nudging strengths and asymmetries: where a nudged network is stable no longer.

The state at rest is followed from weak nudging, or from symmetry, in steps that are halved where it is lost, until its leading
eigenvalue crosses: zero with the real part of a differential equation's, one with the modulus of a map's. Up to ``certified`` no
eigenvalue is needed: see :mod:`~analogdp.analysis.stability.certificates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from analogdp.analysis.stability.certificates import proven_stable
from analogdp.analysis.stability.fixed_point import fixed_point, newton_step
from analogdp.analysis.stability.linearisation import linearise
from analogdp.analysis.stability.spectrum import spectrum
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Clock, Continuous, ExponentialEuler, Sweep
from analogdp.errors import InputError
from analogdp.network import Network
from analogdp.neurons.dyadic import Dyadic

Dynamics = Literal["ode", "map", "sweep"]
"""Continuous time, all neurons jumping at once, or forward-backward sweeps."""

STRONGEST = 100.0
"""Nudging strength up to which is searched where nothing limits it: what scenarios may have."""
WEAKEST, NEAREST = -6, 4
"""Decades of the odds beta : (limit - beta), between which is searched."""
LONGEST_STEP, PRECISION = 1 / 32, 1e-6
"""Of the way from one end of a search to the other."""
GROWING = 1.5
"""By how much a step gets longer after one that went well."""
LARGEST_MISS, ROUNDING = 0.5, 1e-9
"""Of the step that the slopes at a state predict: what lies further off may be another branch. And of the state itself."""
LONG = 1e3
"""Of tau: a step after which nothing is left of a state."""
ROOM = 1e-6
"""Of alpha, from where the outputs' problems have no solution any longer."""
TURNING = 1e-6
"""Imaginary part of an eigenvalue, relative to its modulus or to 1 / tau, from which on it is one of a pair."""


@dataclass(frozen=True)
class Boundary:
    """Where stability is lost, ``(chips, batch)`` each.

    Attributes:
        value: of beta or alpha, between the last that is stable and the first that is not (the first one of the search, if not
            even that is stable); infinite where all are stable.
        certified: up to there the linearised network is proven stable, by g Lambda < 1 or what replaces it where slopes differ.
        searched: the last value of the search.
        eigenvalue: the leading one just before ``value``, complex: of d target / d state (1 where stability is lost; neurons with
            unequal time constants as if they had the shortest), of sweeps their multiplier.
        converged: whether it is one for sure: those of large networks are found by iterations.
        lost: whether the state at rest itself ends at ``value``: it meets an unstable one, or runs to infinity.
        turns: whether a pair of complex eigenvalues crosses: deviations circle.
        frequency: at which they do, in 1/s for ``ode``, else per step or sweep (1/2: they alternate).
    """

    value: Tensor
    certified: Tensor
    searched: Tensor
    eigenvalue: Tensor
    converged: Tensor
    lost: Tensor
    turns: Tensor
    frequency: Tensor

    @property
    def crosses(self) -> Tensor:
        """Whether stability is lost within what was searched, flags ``(chips, batch)``."""
        return self.value.isfinite()


def critical_beta(network: Network, inputs: Tensor, labels: Tensor, dynamics: Dynamics = "ode") -> Boundary:
    """The nudging strength at which each sample ceases to be stable.

    Proximal outputs limit the search: (1 - alpha) beta < 1 for least squares.

    Args:
        network: of dyads.
        inputs, labels: ``(chips or 1, batch, in)`` and ``(chips or 1, batch, out)``.
        dynamics: how time passes.

    Raises:
        InputError: the network cannot be linearised.
    """
    system = System(network, inputs, labels, 0.0)
    limit = _strongest(system).expand(system.chips, system.batch)

    def beta(place: Tensor) -> Tensor:
        odds = 10 ** (WEAKEST + (NEAREST - WEAKEST) * place)
        return limit * odds / (1 + odds)

    def move(place: Tensor) -> None:
        system.nudge(inputs, labels, beta(place).unsqueeze(-1))

    return _boundary(system, move, beta, dynamics)


def critical_alpha(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    beta: float | Tensor,
    end: float,
    dynamics: Dynamics = "ode",
    alpha: float | Tensor | None = None,
) -> Boundary:
    """The asymmetry between 1/2 and ``end`` at which each sample ceases to be stable; mismatch stays as it was drawn.

    Args:
        network, inputs, labels, dynamics: as of :func:`critical_beta`.
        beta: nudging strength, a number or ``(chips, 1, 1)``.
        end: 0 or 1, say. Where the proximal problems of the outputs have no solution before, the search ends there.
        alpha: what the network was built with, a number or ``(chips, 1, 1)``; default: its neurons' weight of s+, which must not
            have mismatch.

    Raises:
        InputError: as above; ``alpha`` is not known; the outputs have no solution at 1/2.
    """
    system = System(network, inputs, labels, beta)
    nominal = _nominal_alpha(system) if alpha is None else torch.as_tensor(alpha).to(system.rest())
    neurons = [layer.neuron for layer in system.network.layers]
    last = _last_alpha(system, end, nominal)

    def at(place: Tensor) -> Tensor:
        return 0.5 + place * (last - 0.5)

    def move(place: Tensor) -> None:
        shift = at(place).unsqueeze(-1) - nominal
        for layer, neuron in zip(system.network.layers, neurons, strict=True):
            assert isinstance(neuron, Dyadic), "systems have no others"
            layer.neuron = neuron.at_asymmetry(shift)
        system.field.neurons = system.network.neurons

    return _boundary(system, move, at, dynamics)


def _boundary(
    system: System, move: Callable[[Tensor], None], value: Callable[[Tensor], Tensor], dynamics: Dynamics
) -> Boundary:
    """Where stability is lost on the way that ``move`` takes the system, from 0 to 1; ``value`` is beta or alpha there."""
    clock = _clock(system, dynamics)
    end = _follow(system, move, lambda state: spectrum(system, state, clock).growth < 1)
    certified = _follow(system, move, lambda state: proven_stable(linearise(system, state)))
    move(end.place)
    modes = spectrum(system, end.state, clock)
    leading = modes.leading
    angle = (leading.imag if clock is None else leading.angle()).abs()
    left = end.beyond.isfinite()
    rate = 1 / float(system.tau.min()) if clock is None else 1.0
    return Boundary(
        value=value((end.place + end.beyond) / 2).where(left, torch.inf),
        certified=value(certified.place).where(certified.beyond > 0, 0.0),
        searched=value(torch.ones_like(end.place)),
        eigenvalue=leading,
        converged=modes.certain,
        lost=end.lost,
        turns=left & (angle > TURNING),
        frequency=(angle * rate / (2 * math.pi)).where(left & (angle > TURNING), 0.0),
    )


def _clock(system: System, dynamics: Dynamics) -> Clock | None:
    """A clock whose linearised step is that of the dynamics."""
    if dynamics == "ode":
        return None
    if dynamics == "sweep":
        return Sweep()
    if dynamics != "map":
        raise InputError(f"dynamics: unknown value {dynamics!r}; known: {', '.join(get_args(Dynamics))}")
    # All of the way to the targets at once.
    return Continuous(ExponentialEuler, LONG * float(system.tau.max()), 1)


@dataclass
class _End:
    """How far samples were followed, ``(chips, batch)`` each.

    Attributes:
        place: the last one that is stable.
        beyond: the first one that is not, or infinite.
        lost: whether no state at rest was found there.
        state: at rest at ``place``, ``(chips, batch, size)``.
    """

    place: Tensor
    beyond: Tensor
    lost: Tensor
    state: Tensor


def _follow(system: System, move: Callable[[Tensor], None], stable: Callable[[Tensor], Tensor]) -> _End:
    """Follow the states at rest from 0 to 1 as long as they are stable, and there are any."""
    place = system.rest()[..., 0]
    move(place)
    rest = fixed_point(system)
    lost = ~rest.found
    end = _End(place, torch.where(lost | ~stable(rest.state), 0.0, torch.inf), lost, rest.state)
    step = torch.full_like(place, LONGEST_STEP)
    while bool((active := (end.place < 1) & (end.beyond - end.place > PRECISION)).any()):
        tried = torch.minimum((end.place + step).clamp_max(1.0), (end.place + end.beyond) / 2)
        tried = torch.where(active, tried, end.place)
        move(tried)
        state, near = _continued(system, end.state)
        fine = active & near & stable(state)
        end.place = torch.where(fine, tried, end.place)
        end.state = torch.where(fine.unsqueeze(-1), state, end.state)
        # A branch that turns away may only need shorter steps.
        left = active & ~fine & (near | (step <= PRECISION))
        end.beyond, end.lost = torch.where(left, tried, end.beyond), torch.where(left, ~near, end.lost)
        step = torch.where(fine, (GROWING * step).clamp_max(LONGEST_STEP), step / 2)
    return end


def _continued(system: System, state: Tensor) -> tuple[Tensor, Tensor]:
    """The state at rest next to one that was before the system moved, and whether it lies where that was leading to."""
    with torch.no_grad():
        error = system.targets(state) - state
    step = newton_step(system, state, error)
    rest = fixed_point(system, state + step)
    missed, length = (rest.state - state - step).norm(dim=-1), step.norm(dim=-1)
    return rest.state, rest.found & (missed <= LARGEST_MISS * length + ROUNDING * state.norm(dim=-1).clamp_min(1.0))


def _strongest(system: System) -> Tensor:
    """The nudging strength below which all outputs of a chip have solutions ``(chips or 1, 1)``, or that is enough."""
    highest_pull, highest_push = _solvable(system)
    pull, push = _largest_gains(system)
    return torch.minimum(highest_pull / pull, highest_push / push).clamp_max(STRONGEST)


def _last_alpha(system: System, end: float, nominal: Tensor | float) -> Tensor:
    """The last alpha on the way to ``end`` at which all outputs have solutions, ``(chips or 1, 1)``."""
    beta = torch.as_tensor(system.field.nudging).to(system.rest()).reshape(-1, 1)
    highest_pull, highest_push = (highest / beta for highest in _solvable(system))
    pull, push = _largest_gains(system)
    # From the network's own alpha the pull falls as fast as alpha grows, and the push grows.
    own = torch.as_tensor(nominal).to(beta).reshape(-1, 1)
    lowest, highest = own + pull - highest_pull, own + highest_push - push
    if bool(((lowest >= 0.5) | (highest <= 0.5)).any()):
        raise InputError(
            f"beta: {float(beta.max()):g} is too strong for proximal outputs at alpha = 1/2, where the search begins; take a "
            "weaker one, or neuron.output: linearised"
        )
    return torch.minimum(torch.maximum(torch.full_like(beta, end), lowest + ROOM), highest - ROOM)


def _solvable(system: System) -> tuple[Tensor, Tensor]:
    """Products of nudging strength with the pull and the push of outputs, below which their proximal problems have solutions."""
    output, loss, like = system.network.neurons[-1], system.network.loss, system.rest().new_ones(1, 1)
    if isinstance(output, Dyadic) and output.nudge == "proximal":
        return like / loss.curvature, like * loss.largest_step
    return like * torch.inf, like * torch.inf


def _largest_gains(system: System) -> tuple[Tensor, Tensor]:
    """The largest pull and push of a chip's outputs, ``(chips or 1, 1)`` each."""
    output, like = system.network.neurons[-1], system.rest()
    assert isinstance(output, Dyadic), "systems have no others"
    pull, push = (
        torch.as_tensor(gain).to(like).reshape(1, 1, -1) if not isinstance(gain, Tensor) else gain
        for gain in (output.pull, output.push)
    )
    return pull.amax(-1), push.amax(-1)


def _nominal_alpha(system: System) -> Tensor | float:
    mixes = [neuron.mix for neuron in system.network.neurons if isinstance(neuron, Dyadic)]
    first = mixes[0]
    if any(isinstance(mix, Tensor) and mix.shape[-1] > 1 for mix in mixes):
        raise InputError("alpha: neurons with mismatch of mixing do not show what they were built with; say it")
    return first
