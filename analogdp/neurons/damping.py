"""Stabilised iterations of dual propagation: a layer that is pushed from above keeps a share of what it was."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp.scenario.quantities import Ratio

DampingRule = Literal["none", "contraction", "majoriser"] | Annotated[Ratio, Field(gt=0, le=1e6)]

DESCRIPTION = (
    "a pushed layer jumps to f((a + L s + D) / (1 + L)): contraction: L = (|W|^2 - 1) / 2, majoriser: L = |W|^2, or L itself; W "
    "are the weights above"
)

MARGIN = 1.05
"""Of squared norms, which power iterations approach from below."""

SWEEPS = 30
"""Default number of sweeps of damped layers, which come to their targets little by little."""


class Damping:
    """How much of its state a pushed layer keeps when it jumps.

        s <- f((a + L s + D) / (1 + L))     a: bottom-up drive, D: the compartment's push by the layer above

    f has to be a projection (relu, hard sigmoid, identity): then s = f(a + D) stays the fixed point, whatever L is. ``|W|`` is
    the norm of the weights above: with ``L >= (|W|^2 - 1) / 2`` the jump contracts, with ``L >= |W|^2`` it minimises a bound of
    the layer's energy from above, so that no jump raises this energy (Hoier & Zach 2024, App. F, Eq. 50). A layer that nobody
    pushes jumps to f(a) at once.

    Args:
        rule: ``contraction``, ``majoriser``, or L itself.
        like: a zero for each chip, ``(chips, 1, 1)``.
        asymmetry: of a moved input, in units of the layers': its push counts so many times the squared norm.

    Attributes:
        strength: L, ``(chips, 1, 1)``.
    """

    def __init__(self, rule: DampingRule, like: Tensor, asymmetry: float = 1.0) -> None:
        self.rule, self.asymmetry = rule, asymmetry
        self.strength = torch.zeros_like(like) if isinstance(rule, str) else torch.full_like(like, rule)

    @property
    def follows(self) -> bool:
        """Whether L depends on the weights."""
        return isinstance(self.rule, str)

    def follow(self, squared_norm: Tensor) -> None:
        """Take L from the squared norm of the weights above, ``(chips,)``."""
        safe = MARGIN * self.asymmetry * squared_norm
        wanted = (safe - 1) / 2 if self.rule == "contraction" else safe
        self.strength.copy_(wanted.clamp(min=0).view(-1, 1, 1))

    def kept(self, top_down: Tensor) -> Tensor:
        """The share L / (1 + L) that every sample's layer keeps, ``(chips, batch, 1)``; none where ``top_down`` is zero."""
        pushed = (top_down != 0).any(-1, keepdim=True)
        return torch.where(pushed, self.strength / (1 + self.strength), 0.0)
