"""What many write pulses in one direction do to a cell: mean and spread of the total change in closed form.

One pulse changes the normalised weight w by an affine law with cycle-to-cycle noise xi ~ N(0, 1):

    multiplicative:  w <- w + a (1 - g w) (1 + sigma xi)
    additive:        w <- w + a (1 - g w + sigma xi)

a is the signed step and g the slope in units of 1/weight: 0 for a constant step, gamma / bound for a linear one,
1 / bound for soft bounds. The distance y = 1 - g w then obeys y <- y (1 - k (1 + sigma xi)), or
y <- (1 - k) y - k sigma xi, with k = a g. So, with q = 1 - k, after n pulses

    E[change]   = a y (1 - q^n) / k
    Var[change] = a^2 y^2 [(q^2 + k^2 sigma^2)^n - q^(2n)] / k^2          (multiplicative)
                = a^2 sigma^2 (1 - q^(2n)) / (1 - q^2)                    (additive)

Both have the limits of a plain random walk for k -> 0: n a y, and n a^2 sigma^2 (times y^2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SMALLEST_DECAY = 1e-15
_LARGEST_EXPONENT = 30.0
_ZETA_HALF = -1.4603545088095868
_EXPECTED_MISS = -_ZETA_HALF / math.sqrt(2 * math.pi)


def change_moments(
    weight: Tensor, step: Tensor, slope: Tensor | None, pulses: Tensor, sigma: float, additive: bool
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the weight change by ``pulses`` pulses, without regard to the cell's bounds.

    A first pulse that would overshoot the fixed point 1/g (k > 1) puts the cell at its bound, where further pulses
    leave it: k counts as 1 in the powers, which leaves a single pulse exact.

    Args:
        weight: normalised weight before the pulses.
        step: signed step a of one pulse at w = 0.
        slope: g, of the sign of ``step``; None for 0.
        pulses: how many, not negative, whole numbers in a floating-point type; 0 gives exactly (0, 0).
        sigma: cycle-to-cycle noise relative to ``step``.
        additive: which of the two laws.

    Returns:
        New tensors of the weight's shape.
    """
    if slope is None:
        return step * pulses, root(pulses, pulses).mul_(step).abs_().mul_(sigma)
    largest_decay = 1.0 - torch.finfo(weight.dtype).eps / 2
    decay = (step * slope).add_(_SMALLEST_DECAY).clamp_(max=largest_decay)
    reach = torch.addcmul(torch.ones_like(weight), slope, weight, value=-1.0).mul_(step)
    log_kept = torch.log1p(-decay).mul_(pulses)
    mean = torch.expm1(log_kept).div_(decay).neg_().mul_(reach)
    if additive:
        variance = torch.expm1(log_kept.mul_(2.0)).div_(decay.mul_(decay - 2.0))
        return mean, root(variance, pulses).mul_(step).abs_().mul_(sigma)
    if sigma == 0.0:
        return mean, torch.zeros_like(mean)
    squared = decay.square()
    log_growth = (squared * sigma**2).div_((1.0 - decay).square_()).log1p_().mul_(pulses)
    second_moment = log_kept.mul_(2.0).add_(log_growth).clamp_(max=_LARGEST_EXPONENT).exp_()
    variance = torch.expm1(log_growth.neg_()).neg_().mul_(second_moment).div_(squared)
    return mean, root(variance, pulses).mul_(reach).abs_()


def root(variance: Tensor, pulses: Tensor) -> Tensor:
    """Square root of a variance that is exactly 0 where there are no pulses; zeros themselves take a CPU 20 times longer."""
    return variance.clamp(min=torch.finfo(variance.dtype).tiny).sqrt_().mul_(pulses.clamp(max=1.0))


def reflected_share(pulses: Tensor) -> Tensor:
    """Share of an overshoot beyond a bound that a walk stopped at the bound by every pulse comes back by.

    Pulses that no longer drive a cell at its bound still shake it, and the bound turns every outward step into none.
    Spitzer's identity gives the mean distance from the bound that n such steps leave, sum_j j^(-1/2) / sqrt(2 pi) of
    a step's standard deviation, where cutting the unbounded walk once at its end leaves sqrt(n / (2 pi)). The
    difference is this share of the overshoot: 0 for one pulse, 1 (a mirror) for many. The sum is
    2 sqrt(n) + zeta(1/2) + O(n^-1/2).
    """
    inverse_root = pulses.clamp(min=1.0).rsqrt_()
    return inverse_root.mul(-_ZETA_HALF - 1.0).add_(_ZETA_HALF).mul_(inverse_root).add_(1.0)


def furthest_points(change: Tensor, std: Tensor, pulses: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest change on the way of a random walk to its total ``change``, the total included.

    Given both ends, the maximum of a Brownian path with variance std^2 is (S + sqrt(S^2 - 2 std^2 ln U)) / 2 with U
    uniform, whatever the drift; single steps of standard deviation s miss it by 0.5826 s on average (Siegmund 1979).
    One pulse has no way. The two points are drawn from the same U: right for each, not for both together.

    Args:
        change: total S of each walk, drawn with its mean and ``std``.
        std: standard deviation of the total.
        pulses: how many steps each walk has.
        uniform: numbers in [0, 1).
    """
    way = std.square().mul_((pulses - 1.0).clamp_(0.0, 1.0)).mul_(torch.log1p(-uniform)).mul_(-2.0)
    span = torch.addcmul(way, change, change).sqrt_()
    miss = pulses.clamp(min=1.0).rsqrt_().mul_(std).mul_(_EXPECTED_MISS)
    lowest = torch.sub(change, span).mul_(0.5).add_(miss)
    highest = span.add_(change).mul_(0.5).sub_(miss)
    return torch.minimum(lowest, change, out=lowest), torch.maximum(highest, change, out=highest)
