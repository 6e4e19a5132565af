"""The stability of networks whose neurons or layers move at random: of products of random linear maps A.

Three growths per step: that of the mean, the radius of E[A]; the typical one of almost every realisation, the exponential of the
Lyapunov exponent; and that of the root of the mean square, the root of the radius of M -> E[A M A^T]. The first two are at most
as large as the third, in any order. So a network that is stable in the mean square is so almost surely and in the mean, and not
the other way round (Costa, Fragoso & Marques 2005, "Discrete-Time Markov Jump Linear Systems", Sec. 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import t as student
from torch import Tensor

from analogdp.analysis.stability.motion import (
    linear_step,
    refuse_many_layers,
    step_map,
    tick_probability,
)
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Clock, Poisson, Sweep
from analogdp.dynamics.krylov import DIRECTIONS, krylov_space, random_start
from analogdp.dynamics.stability import DENSE_SIZE
from analogdp.errors import InputError
from analogdp.streams import Stream

MOST_NUMBERS = 200
"""Numbers of a state whose second moments are followed: as many squared, and their products cost the third power."""

MEMORY = 2**28
"""Bytes of second moments at once."""

ACCURACY = 1e-9
"""Residual of a second moment, relative to its growth, at which its search ends."""

RESTARTS = 6
UNCERTAIN, BOUND_STEPS = 1e-6, 512
"""Relative error above which an eigenvalue is bounded as well, and by how many steps."""

ROUNDING = 10
"""Of a Krylov space, in units of the last digit."""

BLOCKS = 20
"""Of a drawn product, whose growths are taken as independent."""

CONFIDENCE = 0.95
LOST = 1e-13
"""A map that leaves so little of a vector leaves nothing but rounding."""


@dataclass(frozen=True)
class Growth:
    """Growth of small deviations for each step of a clock.

    Attributes:
        value: ``(chips, batch)``; below 1 is stable.
        error: an estimate of how far the eigenvalue behind it may be off, by what was not searched and by rounding.
    """

    value: Tensor
    error: Tensor

    @property
    def stable(self) -> Tensor:
        """Whether the growth is below 1 for certain."""
        return self.value + self.error < 1


@dataclass(frozen=True)
class DrawnGrowth:
    """Growth of small deviations in almost every realisation, for each step of a clock.

    Attributes:
        value: ``(chips, batch)``; 0 where all deviations are gone after some steps.
        low, high: the limits of its confidence interval (95 %).
    """

    value: Tensor
    low: Tensor
    high: Tensor


def expected_growth(system: System, state: Tensor, clock: Clock) -> Growth:
    """Growth of the mean deviation from a fixed point: the spectral radius of the mean map.

    A random clock's mean is that of a relaxation by its share times its probability; a random sweep's is the mean over orders.

    Args:
        system: the network with its samples.
        state: the fixed point, ``(chips, batch, size)``.
        clock: random, or not: then its growth.

    Raises:
        InputError: the clock cannot be linearised.
    """
    product = step_map(system, state, clock)
    directions = system.size if system.size <= DENSE_SIZE else DIRECTIONS
    space = krylov_space(product, random_start(state), directions)
    value, error, _, _ = _outermost(space.hessenberg)
    return Growth(value, error)


def mean_square_growth(system: System, state: Tensor, clock: Poisson | Sweep) -> Growth:
    """Growth of the root of the mean square deviation; arguments as of :func:`expected_growth`.

    The map of second moments keeps them positive semidefinite, so its outermost eigenvalue is real, and found from the identity.

    Raises:
        InputError: the network is too large, or the clock is not random.
    """
    if system.size > MOST_NUMBERS:
        raise InputError(
            f"the mean square of a state of {system.size} numbers takes {system.size**2} moments; allowed: up to "
            f"{MOST_NUMBERS} numbers, or the growth of drawn clocks (analysis.stability.almost_sure_growth)"
        )
    matrices = system.jacobian_matrix(state).flatten(0, 1)
    together = max(1, MEMORY // (8 * system.size**2 * DIRECTIONS))
    starts = range(0, len(matrices), together)
    chunks = [matrices[start : start + together] for start in starts]
    parts = [_moment_radius(_moments(system, chunk, clock), chunk) for chunk in chunks]
    radius, error = (torch.cat(own).reshape(state.shape[:2]) for own in zip(*parts, strict=True))
    # Of a square root; where that is none, of its own size.
    slope = (error / (2 * radius.sqrt())).nan_to_num(torch.inf)
    return Growth(radius.sqrt(), torch.minimum(slope, error.sqrt()))


@torch.no_grad()
def almost_sure_growth(
    system: System, state: Tensor, clock: Poisson | Sweep, stream: Stream, steps: int = 2000
) -> DrawnGrowth:
    """Growth of deviations in a realisation: the largest Lyapunov exponent of a drawn product of maps, exponentiated.

    A vector is followed through a first part, in which it turns to the direction of largest growth, and twenty more, which
    tell the error. Nilpotent networks come to rest for good after some jumps: growth 0.

    Args:
        system: the network with its samples.
        state: the fixed point, ``(chips, batch, size)``.
        clock: random clocks, or sweeps in random orders.
        stream: where ticks and orders are drawn; of each of the system's chips.
        steps: of the clock, at least 40.

    Raises:
        InputError: too few steps, or a clock that is not random.
    """
    _refuse_regular(clock)
    length = steps // (BLOCKS + 1)
    if length < 1:
        raise InputError(f"steps: {steps} are too few for a Lyapunov exponent; allowed: from {BLOCKS + 1}")
    step, vector = linear_step(system, state, clock, stream), random_start(state)
    vector = vector / vector.norm(dim=-1, keepdim=True)
    logs, lost = state.new_zeros(BLOCKS + 1, *state.shape[:2]), torch.zeros_like(state[..., 0], dtype=torch.bool)
    for taken in range((BLOCKS + 1) * length):
        moved = step(vector)
        grown = moved.norm(dim=-1)
        lost |= grown < LOST
        logs[taken // length] += grown.clamp_min(LOST).log()
        vector = torch.where(lost.unsqueeze(-1), vector, moved / grown.clamp_min(LOST).unsqueeze(-1))
    rates = logs[1:] / length
    mean, error = rates.mean(0), rates.std(0) / math.sqrt(BLOCKS)
    wide = float(student.ppf((1 + CONFIDENCE) / 2, BLOCKS - 1)) * error
    value, low, high = (own.exp().masked_fill(lost, 0) for own in (mean, mean - wide, mean + wide))
    return DrawnGrowth(value, low, high)


Moments = Callable[[Tensor], Tensor]
"""Second moments ``(systems, size, size)`` after a step, from those before."""


def _moments(system: System, jacobian: Tensor, clock: Poisson | Sweep) -> Moments:
    _refuse_regular(clock)
    if isinstance(clock, Poisson):
        return _tick_moments(jacobian, _same_clock(system, clock), tick_probability(clock), clock.share)
    refuse_many_layers(len(system.places))
    return _shuffled_moments(jacobian, system.places)


def _refuse_regular(clock: Clock) -> None:
    if not isinstance(clock, Poisson) and not (isinstance(clock, Sweep) and clock.order == "random"):
        raise InputError(
            f"dynamics.clock: {type(clock).__name__} is not random; use poisson, or sweep with order: random"
        )


def _tick_moments(jacobian: Tensor, together: Tensor, probability: float, share: float) -> Moments:
    """With F = share (J - 1) and ticks D, E[(1 + D F) M (1 + D F)^T]: ticks of one clock come together, others by chance."""
    moves = share * (jacobian - torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device))
    weights = together.to(jacobian.dtype) * (probability - probability**2) + probability**2

    def after(moments: Tensor) -> Tensor:
        moved = moves @ moments
        # Not its transposed: rounding that is not symmetric would be sent elsewhere, and grow.
        return moments + probability * (moved + moments @ moves.mT) + weights * (moved @ moves.mT)

    return after


def _same_clock(system: System, clock: Poisson) -> Tensor:
    """Whether two numbers of a state have one clock, ``(size, size)``."""
    units, compartments = system.network.sizes[1:], system.network.compartments
    numbers = [torch.arange(own) if clock.scope == "neuron" else torch.zeros(own) for own in units]
    names = torch.cat([own.repeat(compartments) + 2 * max(units) * layer for layer, own in enumerate(numbers)])
    return (names.unsqueeze(1) == names).to(system.tau.device)


def _shuffled_moments(jacobian: Tensor, places: Sequence[slice]) -> Moments:
    """The mean over orders as in :func:`analogdp.analysis.stability.motion.shuffled_mean`."""
    jumps = []
    for place in places:
        jump = torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device).repeat(len(jacobian), 1, 1)
        jump[:, place] = jacobian[:, place]
        jumps.append(jump)
    jumps[-1] = jumps[-1] @ jumps[-1]

    def after(moments: Tensor) -> Tensor:
        means = [moments]
        for members in range(1, 2 ** len(jumps)):
            own = [layer for layer in range(len(jumps)) if members >> layer & 1]
            ends = [jumps[layer] @ means[members ^ 1 << layer] @ jumps[layer].mT for layer in own]
            means.append(torch.stack(ends).mean(0))
        return means[-1]

    return after


def _moment_radius(after: Moments, like: Tensor) -> tuple[Tensor, Tensor]:
    """The outermost eigenvalue of a map of second moments and its error, ``(systems,)`` each."""
    size = like.shape[-1]
    start = torch.eye(size, dtype=like.dtype, device=like.device).expand_as(like).flatten(1)
    for _ in range(RESTARTS):
        space = krylov_space(lambda moments: after(moments.reshape(like.shape)).flatten(1), start)
        radius, error, residual, vector = _outermost(space.hessenberg)
        # Not the error, which in a space begun with the eigenvector of a defective eigenvalue would be missed.
        if bool((residual <= ACCURACY * radius).all()):
            break
        start = torch.einsum("msn,sm->sn", space.basis[:-1], vector.real)
    if bool((error > UNCERTAIN * radius).any()):
        bound = _bound(after, like)
        radius = torch.minimum(radius, bound)
        error = torch.minimum(error, bound - radius)
    return radius, error


def _bound(after: Moments, like: Tensor) -> Tensor:
    """An upper limit of the outermost eigenvalue ``(systems,)``: ||T^k(1)||^(1/k), as no positive map T exceeds its T(1) in norm.

    Sums of positive matrices lose nothing to rounding, also where the eigenvalue is defective.
    """
    moments, logs = (
        torch.eye(like.shape[-1], dtype=like.dtype, device=like.device).expand_as(like),
        like.new_zeros(len(like)),
    )
    for _ in range(BOUND_STEPS):
        moments = after(moments)
        trace = moments.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(torch.finfo(like.dtype).tiny)
        moments, logs = moments / trace[:, None, None], logs + trace.log()
    largest = torch.linalg.matrix_norm(moments, 2).clamp_min(torch.finfo(like.dtype).tiny)
    limit: Tensor = ((logs + largest.log()) / BOUND_STEPS).exp()
    return limit


def _outermost(hessenberg: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The largest modulus of eigenvalues ``(...)``, how far it may be off, its residual, its vector in the Krylov space.

    A perturbation, such as the residual or rounding, moves an eigenvalue by so many times its size as its condition says (d times
    as much where d eigenvalues are nearly one), and none by more than the bound of Elsner 1985.
    """
    square, last = hessenberg[..., :-1, :], hessenberg[..., -1, -1].abs()
    values, vectors = torch.linalg.eig(square)
    largest = values.abs().max(-1, keepdim=True)
    place = largest.indices.unsqueeze(-1)
    vector = vectors.gather(-1, place.expand(*vectors.shape[:-1], 1)).squeeze(-1)
    inverse, _ = torch.linalg.inv_ex(vectors)
    left = inverse.gather(-2, place.expand(*inverse.shape[:-2], 1, inverse.shape[-1])).squeeze(-2)
    norm, directions = torch.linalg.matrix_norm(square), square.shape[-1]
    residual = last * vector[..., -1].abs()
    moved = residual + ROUNDING * torch.finfo(square.dtype).eps * norm
    bound = (2 * norm + moved) ** (1 - 1 / directions) * moved ** (1 / directions)
    own = (directions * left.norm(dim=-1) * moved).nan_to_num(torch.inf)
    return largest.values.squeeze(-1), torch.minimum(own, bound), residual, vector
