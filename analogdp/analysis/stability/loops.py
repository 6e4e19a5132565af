"""The loops of a nudged network: what comes back to the outputs of the errors that they send down.

Errors delta_L go down to hidden layer k, there move its mean a little (by kappa = gamma f' of the push, see
:mod:`~analogdp.analysis.stability.linearisation`), and that goes up to the outputs again. With Phi_k = d a_L / d s_bar_k and
B_k = d D_k / d delta_L, the loop through the m-th hidden layer from the top (m = L - k) is

    A_m = Phi_k kappa_k B_k        K_m = Phi_k phi_k Phi_k^T        A_m = gamma K_m  if all neurons have one gamma

where slopes phi are those of the mean: Phi and B hold the slopes of layers above k. delta_L = -C a_L closes the loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.analysis.stability.linearisation import Linear, Linearisation

NEGLIGIBLE = 1e-12
"""A factor of a layer this much smaller than its largest slope is none, but rounding."""


@dataclass(frozen=True)
class Closing:
    """What output neurons make of their drives: ``delta = -h gain s``, where ``s`` is the drive, or the outputs' own mean.

    The mean obeys ``(1 + h own) s = h through a``.

    Attributes:
        gain: C, ``(chips, batch, out, out)``.
        at_mean: whether the gradient is taken at the outputs' own mean (DP-transposed), one h later than at the drive.
        own: N, how nudging moves that mean, of the same shape; 0 unless the outputs have a gamma.
        through: the slopes of the mean by the drive, ``(chips, batch, out)``.
        exact: where this is all there is, ``(chips, batch)`` flags; compartments of unequal gains answer in two ways at once.
    """

    gain: Tensor
    at_mean: bool
    own: Tensor
    through: Tensor
    exact: Tensor


def output_closing(linearisation: Linearisation) -> Closing:
    """How the outputs close the loops."""
    output = linearisation.output
    by_drive = (output.difference.unsqueeze(-1) * output.drive).sum(0)
    through = (output.mean * output.drive.diagonal(dim1=-2, dim2=-1)).sum(0)
    # Targets follow the outputs' mean, a weighted sum of the compartments whose weights add up to one.
    by_mean = output.own.sum(1)
    own = -(output.mean.unsqueeze(-1) * by_mean).sum(0)
    if not bool(output.own.any()):
        return Closing(-by_drive, False, own, through, torch.ones_like(through[..., 0], dtype=torch.bool))
    gain = -(output.difference.unsqueeze(-1) * by_mean).sum(0)
    own = own.masked_fill(own.abs() <= NEGLIGIBLE * gain.abs().amax((-2, -1), keepdim=True), 0.0)
    return Closing(gain, True, own, through, (by_drive.abs() <= NEGLIGIBLE).all(-1).all(-1))


def shares_slopes(linearisation: Linearisation) -> Tensor:
    """Where the compartments of all neurons have one slope, so that drives alone make no errors, ``(chips, batch)`` flags."""
    flags = linearisation.output.drive.new_ones(linearisation.state.shape[:2], dtype=torch.bool)
    for response in linearisation.hidden:
        phi, _, psi, _ = response.transfer()
        flags = flags & (psi.abs().amax(-1) <= NEGLIGIBLE * phi.abs().amax(-1))
    return flags


def is_nilpotent(linearisation: Linearisation, alike: bool = True) -> Tensor:
    """Where no push moves a mean, so that no loop is closed: all eigenvalues are zero, those in time of lone neurons.

    Args:
        linearisation: of a nudged network.
        alike: whether both compartments of a neuron have one time constant. If not, contributions to the mean that would cancel
            do not, and each has to be zero: so it is in DP-transposed at alpha = 0 and 1.

    Returns:
        flags ``(chips, batch)``.
    """
    output = linearisation.output
    by_mean = output.mean.unsqueeze(-1) * output.own.sum(1)
    own = by_mean.sum(0, keepdim=True) if alike else by_mean
    largest = output.own.abs().amax((0, 1, -2, -1)).clamp_min(1.0)
    flags = (own.abs().amax((-2, -1)) <= NEGLIGIBLE * largest).all(0)
    for response in linearisation.hidden:
        moved = response.mean * response.push
        kappa = moved.sum(0, keepdim=True) if alike else moved
        largest = torch.maximum(response.drive.abs(), response.push.abs()).amax(-1).amax(0)
        flags = flags & (kappa.abs().amax(-1) <= NEGLIGIBLE * largest).all(0)
    return flags


def loop_operators(linearisation: Linearisation, asymmetric: bool = False) -> Tensor:
    """The loops, ``(layers - 1, chips, batch, out, out)``; the first is through the topmost hidden layer.

    They are found by sending each output's error down, without writing out any weights: 2 (layers - 1) products for each output.

    Args:
        linearisation: of a nudged network.
        asymmetric: A_m, with the neurons' own gamma and feedback; otherwise K_m, which are positive semidefinite if no slope is
            negative.
    """
    layers = []
    for (up, down), response in zip(_ways(linearisation), reversed(linearisation.hidden), strict=True):
        phi, kappa, _, _ = response.transfer()
        middle, below = (kappa, down) if asymmetric else (phi, up)
        layers.append(up.mT @ (middle.unsqueeze(-1) * below))
    like = linearisation.output.drive[0]
    return torch.stack(layers) if layers else like.new_zeros(0, *like.shape)


def largest_loop(linearisation: Linearisation) -> Tensor:
    """Lambda, the largest eigenvalue of the sum of all K_m, ``(chips, batch)``; 0 without hidden layers."""
    total = loop_operators(linearisation).sum(0)
    largest: Tensor = torch.linalg.eigvalsh((total + total.mT) / 2)[..., -1]
    return largest


def loop_gain(linearisation: Linearisation) -> Tensor:
    """g Lambda ``(chips, batch)``: below 1 no loop can sustain itself, whatever its phase.

    With one gamma, a quadratic loss and transposed feedback it is \\|gamma\\| beta_out Lambda. In general it is a bound of the
    numerical radius of the closed loop, which contains its eigenvalues: writing C = U S V^T,

        g Lambda = largest eigenvalue of S^1/2 (V^T X V t + U^T Y U / t) S^1/2 / 2
        X = sum_k Phi_k |kappa_k| Phi_k^T        Y = sum_k B_k^T |kappa_k| B_k

    since |x* kappa y| <= (t x* |kappa| x + y* |kappa| y / t) / 2 for any t > 0; it holds for gammas of either sign, for a loss
    with any Hessian, and for feedback that is not transposed (where B is not Phi^T, and the eigenvalues may be much smaller). It
    needs compartments that share their slopes; h may differ between layers, but not within one.
    """
    closing = output_closing(linearisation)
    like = closing.gain
    above, below = torch.zeros_like(like), torch.zeros_like(like)
    for (up, down), response in zip(_ways(linearisation), reversed(linearisation.hidden), strict=True):
        weights = response.transfer().mean_by_push.abs().unsqueeze(-1)
        above = above + up.mT @ (weights * up)
        below = below + down.mT @ (weights * down)
    if closing.at_mean:
        above = closing.through.unsqueeze(-1) * above * closing.through.unsqueeze(-2)
        above, below = _with_outputs(closing, above, below)
    left, sizes, right = torch.linalg.svd(closing.gain)
    root = sizes.sqrt().unsqueeze(-1)
    above = root * (right @ above @ right.mT) * root.mT
    below = root * (left.mT @ below @ left) * root.mT
    sizes_above, sizes_below = (torch.linalg.eigvalsh(own)[..., -1].clamp_min(0) for own in (above, below))
    balance = torch.where(sizes_above > 0, (sizes_below / sizes_above).sqrt(), 1.0).clamp_min(1e-150)[..., None, None]
    total = (balance * above + below / balance) / 2
    largest: Tensor = torch.linalg.eigvalsh(total)[..., -1].clamp_min(0)
    return largest


def linear_errors(linearisation: Linearisation, free_errors: Tensor) -> Tensor:
    """delta_L of a linear network at rest: ``(1 + C sum A)^-1 C (y - a_ff)`` ``(chips, batch, out)``.

    Args:
        linearisation: of a network of linear neurons with least squares.
        free_errors: ``y - a_ff``, labels minus the outputs that are not nudged, ``(chips, batch, out)``.
    """
    closing = output_closing(linearisation)
    identity = torch.eye(free_errors.shape[-1], dtype=free_errors.dtype, device=free_errors.device)
    loops = loop_operators(linearisation, asymmetric=True).sum(0)
    if closing.at_mean:
        loops = closing.through.unsqueeze(-1) * loops
        pushed = torch.linalg.solve(identity + closing.own + loops @ closing.gain, free_errors.unsqueeze(-1))
        errors: Tensor = closing.gain @ pushed
    else:
        errors = torch.linalg.solve(identity + closing.gain @ loops, closing.gain @ free_errors.unsqueeze(-1))
    return errors.squeeze(-1)


def _with_outputs(closing: Closing, above: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs as one more hidden layer between themselves: their own loop is ``own = gamma / (p + q) gain``."""
    # Row by row, where the gain has no zero row.
    size = closing.gain.norm(dim=-1)
    ratio = closing.own.norm(dim=-1) / torch.where(size > 0, size, 1.0)
    return above + torch.diag_embed(ratio), below + torch.diag_embed(ratio)


def _ways(linearisation: Linearisation) -> list[tuple[Tensor, Tensor]]:
    """Phi_k^T and B_k ``(chips, batch, units, out)`` of each hidden layer, the topmost one first."""
    drive = linearisation.output.drive[0]
    columns: list[list[tuple[Tensor, Tensor]]] = []
    for output in range(drive.shape[-1]):
        ahead = torch.zeros_like(drive[..., 0])
        ahead[..., output] = 1
        columns.append(_way_down(linearisation, ahead))
    return [
        (torch.stack([up for up, _ in own], -1), torch.stack([down for _, down in own], -1))
        for own in zip(*columns, strict=True)
    ]


def _way_down(linearisation: Linearisation, ahead: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What one output's error becomes in each layer, along the transposed forward slopes and along the feedback."""
    below, found = ahead, []
    links: list[tuple[Linear, Linear]] = list(zip(linearisation.back, linearisation.down, strict=True))
    for (back, down), response in zip(reversed(links), reversed(linearisation.hidden), strict=True):
        ahead, below = back(ahead), down(below)
        found.append((ahead, below))
        phi, _, _, chi = response.transfer()
        ahead, below = phi * ahead, chi * below
    return found
