"""The characteristic equation of a nudged network: a few outputs decide on the eigenvalues of all its neurons.

Where the compartments share their slopes, all of a network's loops lead through its n_L outputs (:mod:`.loops`). With h what
every neuron makes of its target (1 / lambda for the synchronous map with multiplier lambda, 1 / (1 + tau p) for the ODE),

    det(1 + C sum_m h^{2m} A_m) = 0                     gradients at the drive (DP)
    det(1 + h N + sum_m h^{2m+1} A_m C) = 0             gradients at the outputs' own mean (DP-transposed)

so 1 / h are the eigenvalues of d target / d state that are not zero: those of a block companion matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd

import torch
from torch import Tensor

from analogdp.analysis.stability.linearisation import Linearisation
from analogdp.analysis.stability.loops import loop_operators, output_closing, shares_slopes
from analogdp.errors import InputError


@dataclass(frozen=True)
class LoopEquation:
    """The loops of a network whose neurons all move alike, and how its outputs close them.

    Attributes:
        loops: A_m, the topmost hidden layer's first, ``(layers - 1, chips, batch, out, out)``; of outputs that take gradients at
            their own mean, with its slopes.
        gain, own: C and N, ``(chips, batch, out, out)``; see :class:`~analogdp.analysis.stability.loops.Closing`.
        at_mean: which of the two equations holds.
    """

    loops: Tensor
    gain: Tensor
    own: Tensor
    at_mean: bool

    def eigenvalues(self) -> Tensor:
        """Eigenvalues of d target / d state, complex ``(chips, batch, count)``; all that are missing are zero."""
        numbers = range(1, len(self.loops) + 1)
        if self.at_mean:
            terms, powers = self.loops @ self.gain, [2 * m + 1 for m in numbers]
        else:
            terms, powers = self.gain @ self.loops, [2 * m for m in numbers]
        if not powers or bool(self.own.any()):
            terms, powers = torch.cat([self.own.unsqueeze(0), terms]), [1, *powers]
        common = reduce(gcd, powers)
        values = _inverse_roots([power // common for power in powers], terms)
        turns = torch.exp(2j * torch.pi * torch.arange(common, device=values.device) / common)
        roots: Tensor = values.unsqueeze(-1).pow(1 / common) * turns
        return roots.flatten(-2)

    def sweep_multipliers(self, order: str) -> Tensor:
        """Multipliers of a sweep, complex ``(chips, batch, count)``; all that are missing are zero.

        In a forward-backward sweep errors go down and up again through all loops at once. In forward and odd_even sweeps, which
        are consistent orders of a block tridiagonal matrix, the loop through the m-th layer from the top takes m sweeps: but for
        N, multipliers are the squares of the synchronous map's (Young 1954). The outputs jump twice.

        Args:
            order: ``forward_backward``, ``forward`` or ``odd_even``.
        """
        loops = self.loops.sum(0, keepdim=True) if order == "forward_backward" else self.loops
        delays, size = len(loops), self.gain.shape[-1]
        # Of the outputs' mean, and of the errors of the last sweeps, the latest first.
        matrix = self.gain.new_zeros(*self.gain.shape[:-2], (1 + delays) * size, (1 + delays) * size)
        matrix.diagonal(-size, -2, -1)[..., size:].fill_(1)
        first = torch.cat([-self.own, *loops], -1)
        matrix[..., :size, :] = -self.own @ first
        matrix[..., :size, size:] += first[..., size:]
        matrix[..., size : 2 * size, :] = -self.gain @ first
        values: Tensor = torch.linalg.eigvals(matrix)
        return values


def has_loop_equation(linearisation: Linearisation) -> bool:
    """Whether the characteristic equation is one of the outputs' size: all compartments share their slopes."""
    return bool(shares_slopes(linearisation).all()) and output_closing(linearisation).exact


def loop_equation(linearisation: Linearisation) -> LoopEquation:
    """The characteristic equation of a network whose neurons all move alike.

    Raises:
        InputError: compartments differ in their slopes (at a nudged fixed point of a curved activation, with mismatched gains).
    """
    if not has_loop_equation(linearisation):
        raise InputError(
            "the compartments have unequal slopes here, so the characteristic equation is none of the outputs' size; "
            "use spectrum, CharacteristicFunction, or linearise at the free state"
        )
    closing, loops = output_closing(linearisation), loop_operators(linearisation, asymmetric=True)
    if closing.at_mean:
        loops = closing.through.unsqueeze(-1) * loops
    return LoopEquation(loops, closing.gain, closing.own, closing.at_mean)


def _inverse_roots(powers: list[int], terms: Tensor) -> Tensor:
    """All x at which the determinant of ``x^d + sum_j x^(d - powers[j]) terms[j]``, d the last of the powers, is zero."""
    degree, size = powers[-1], terms.shape[-1]
    companion = terms.new_zeros(*terms.shape[1:-2], degree * size, degree * size)
    companion.diagonal(-size, -2, -1).fill_(1)
    for power, term in zip(powers, terms, strict=True):
        companion[..., :size, (power - 1) * size : power * size] = -term
    values: Tensor = torch.linalg.eigvals(companion)
    return values
