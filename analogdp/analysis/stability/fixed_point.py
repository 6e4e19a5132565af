"""Where a nudged network is at rest, whether or not any dynamics would go there: by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.analysis.stability.system import System
from analogdp.dynamics.krylov import solve
from analogdp.dynamics.stability import DENSE_SIZE

MOST_ITERATIONS = 40
SHORTEST_STEP = 2**-10
"""Of a Newton step, below which a sample is given up: it has come to a kink that it cannot cross."""
TOLERANCE = 1e-10
DIRECTIONS = 80
"""Products with the Jacobian for each linear system."""


@dataclass(frozen=True)
class FixedPoint:
    """States at rest.

    Attributes:
        state: ``(chips, batch, size)``.
        residual: the largest distance of a neuron from its target, ``(chips, batch)``.
        found: whether that is none, ``(chips, batch)``; elsewhere ``state`` is the best that was come to.
    """

    state: Tensor
    residual: Tensor
    found: Tensor


def free_state(system: System) -> Tensor:
    """The state that a forward pass without nudging finds.

    It is at rest, unless the gains of compartments differ: what such neurons send down goes round more often than is followed.
    """
    field, state = system.field, system.rest()
    strength, field.nudging = field.nudging, 0.0
    with torch.no_grad():
        # Mismatched compartments differ even so: once down and up again is where that matters most.
        for _ in range(2 * len(system.widths)):
            state = system.targets(state)
    field.nudging = strength
    return state


def fixed_point(system: System, start: Tensor | None = None) -> FixedPoint:
    """The state at which all neurons are at their targets, stable or not.

    Each sample goes Newton steps, shortened until they come nearer. Errors are relative to states of order 1.

    Args:
        system: the network with its samples.
        start: ``(chips, batch, size)``, such as a fixed point at a weaker nudging; default: the free network's.
    """
    state = free_state(system) if start is None else start
    error = _error(system, state)
    for _ in range(MOST_ITERATIONS):
        limit = TOLERANCE * state.abs().amax(-1).clamp_min(1.0)
        active = error.abs().amax(-1) > limit
        if not bool((active & error.isfinite().all(-1)).any()):
            break
        moved, nearer = _shortened(system, state, error, newton_step(system, state, error))
        if not bool((nearer & active).any()):
            break
        state = torch.where((nearer & active).unsqueeze(-1), moved, state)
        error = _error(system, state)
    residual = error.abs().amax(-1)
    return FixedPoint(state, residual, residual <= TOLERANCE * state.abs().amax(-1).clamp_min(1.0))


def newton_step(system: System, state: Tensor, error: Tensor) -> Tensor:
    """The change of a state that would undo an error, ``targets(state) - state``, if the system were linear.

    Not finite where a small system has none; for large ones the best within a Krylov space.
    """
    if system.size <= DENSE_SIZE:
        matrix = torch.eye(system.size).to(error) - system.jacobian_matrix(state)
        step: Tensor = torch.linalg.solve_ex(matrix, error.unsqueeze(-1))[0].squeeze(-1)
        return step
    jacobian = system.jacobian(state)
    return solve(lambda vector: vector - jacobian(vector), error, DIRECTIONS)


def _error(system: System, state: Tensor) -> Tensor:
    with torch.no_grad():
        return system.targets(state) - state


def _shortened(system: System, state: Tensor, error: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Each sample after the longest share of its step that comes nearer, and whether any does."""
    before = error.norm(dim=-1)
    share, moved, nearer = 1.0, state, torch.zeros_like(before, dtype=torch.bool)
    while share >= SHORTEST_STEP and not bool(nearer.all()):
        tried = state + share * step
        better = (_error(system, tried).norm(dim=-1) < (1 - share / 10) * before) & ~nearer
        moved = torch.where(better.unsqueeze(-1), tried, moved)
        nearer, share = nearer | better, share / 2
    return moved, nearer
