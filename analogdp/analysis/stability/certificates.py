"""What proves that a linearised network is stable without computing any of its eigenvalues.

Changes travel up (U, through the slopes phi) and down (V, through chi), and turn around in two places: errors move the mean of a
hidden layer (kappa), and what comes up is turned into errors by the outputs (C), or by compartments whose slopes differ (psi; see
:mod:`~analogdp.analysis.stability.linearisation`). With delta_l = C x_l of the outputs and x_k = psi_k a_k of hidden layers,

    a_k = sum_l sum_(j < k, l) h^n U_kj kappa_j V_jl x_l

so that a mode with |h| <= 1, one that does not decay in continuous time, as a map, or in sweeps, needs a spectral radius of at
least one of the norms N_kl = sum_j |S_k U_kj kappa_j V_jl|_2, S the turning factors. Where no slopes differ g Lambda is sharper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from analogdp.analysis.stability.linearisation import Linear, Linearisation
from analogdp.analysis.stability.loops import loop_gain, output_closing, shares_slopes


def proven_stable(linearisation: Linearisation) -> Tensor:
    """Whether the linearised network, no other, is stable by proof, flags ``(chips, batch)``; False says nothing.

    For the differential equation, the synchronous map and sweeps. Never where time constants differ within a layer.
    """
    system = linearisation.system
    each = [system.tau[..., place] for place in system.places]
    together = torch.stack([(own == own[..., :1]).all(-1) for own in each]).all(0)
    alike = shares_slopes(linearisation) & output_closing(linearisation).exact
    return together & ((alike & (loop_gain(linearisation) < 1)) | (small_gain(linearisation) < 1))


def small_gain(linearisation: Linearisation) -> Tensor:
    """The spectral radius of N, ``(chips, batch)``: see the module. Infinite if the outputs may keep themselves going."""
    closing, transfers = output_closing(linearisation), [response.transfer() for response in linearisation.hidden]
    like, last = closing.gain[..., 0], len(transfers)
    # Outputs that follow their own mean go round among themselves, and make so much of it at most.
    kept = torch.linalg.matrix_norm(closing.own, 2)
    bounded = closing.exact & (kept < 1)
    if not transfers:
        return torch.zeros_like(kept).where(bounded, torch.inf)
    amplified = (1 / (1 - kept)).where(bounded, 0.0)
    through = closing.through if closing.at_mean else torch.ones_like(like)
    turns = [*(own.difference_by_drive for own in transfers), amplified.unsqueeze(-1) * through]
    phis, chis = [own.mean_by_drive for own in transfers], [own.difference_by_push for own in transfers]
    ups = [_matrix(way, phi) for way, phi in zip(linearisation.up, phis, strict=True)]
    downs = [_matrix(way, own) for way, own in zip(linearisation.down, [*chis[1:], like], strict=True)]
    gains = like.new_zeros(*like.shape[:-1], last, last)
    for turned, own in enumerate(transfers):
        above = _chained(ups[turned:], phis[turned + 1 :])
        below = [way.mT for way in _chained([way.mT for way in downs[turned:]], chis[turned + 1 :])]
        below[-1] = below[-1] @ closing.gain
        for k, raised in enumerate(above, start=turned):
            for source, lowered in enumerate(below, start=turned):
                path = turns[k + 1].unsqueeze(-1) * raised @ (own.mean_by_push.unsqueeze(-1) * lowered)
                gains[..., k, source] += torch.linalg.matrix_norm(path, 2)
    radius: Tensor = torch.linalg.eigvals(gains.nan_to_num(0, 0)).abs().amax(-1)
    return radius.where(bounded & gains.isfinite().all(-1).all(-1), torch.inf)


def _chained(ways: Sequence[Tensor], factors: Sequence[Tensor]) -> list[Tensor]:
    """The first way, it and the second, and so on, ``(chips, batch, out, in)`` each, with a factor between any two."""
    chains = [ways[0]]
    for way, factor in zip(ways[1:], factors, strict=True):
        chains.append(way @ (factor.unsqueeze(-1) * chains[-1]))
    return chains


def _matrix(way: Linear, like: Tensor) -> Tensor:
    """A linear map of messages ``(chips, batch, in)``, one of which is given, written out: ``(chips, batch, out, in)``."""
    columns = []
    for unit in range(like.shape[-1]):
        probe = torch.zeros_like(like)
        probe[..., unit] = 1
        columns.append(way(probe))
    return torch.stack(columns, -1)
