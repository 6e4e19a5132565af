"""Losses at the output, with the gradient and the proximal step that nudging needs.

Shapes: outputs and labels ``(chips, batch, units)`` (labels may have one chip for all); values ``(chips, batch)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError

NEWTON_STEPS = 10
"""Newton steps of the cross-entropy's proximal problem: they reach rounding size in all the steps that are allowed."""


class Loss(ABC):
    """A loss ``l(s, y)`` of the output ``s`` for the label ``y``.

    Attributes:
        curvature: bound of the Hessian of l in s; a proximal step must stay above -1/curvature.
        largest_step: largest proximal step that is solved to rounding size.
    """

    curvature: ClassVar[float]
    largest_step: ClassVar[float] = math.inf

    @abstractmethod
    def value(self, s: Tensor, y: Tensor) -> Tensor:
        """The loss of every sample."""

    @abstractmethod
    def gradient(self, s: Tensor, y: Tensor) -> Tensor:
        """dl/ds."""

    @abstractmethod
    def proximal(self, a: Tensor, y: Tensor, step: Tensor | float) -> Tensor:
        """The s with ``s = a - step * dl/ds(s)``: for a positive step the minimum of ``step * l(s, y) + |s - a|^2 / 2``.

        A negative step, down to -1/curvature, climbs instead.
        """

    def gradient_formula(self, s: str) -> tuple[str, dict[str, str]]:
        """dl/ds at an expression ``s`` for ``label``, as text for engines that read equations.

        Returns:
            the formula, and by name the expressions in it that have to be summed over the outputs.

        Raises:
            InputError: there is no such text.
        """
        raise InputError(f"network.loss: {type(self).__name__} does not write its gradient as text")

    def proximal_formula(self, a: str, step: str) -> str | None:
        """The proximal step for ``label``, likewise; None where it has no closed form."""
        return None


@registry.losses.register("least_squares")
class LeastSquares(Loss):
    """l = |s - y|^2 / 2."""

    curvature = 1.0

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        return (s - y).square().sum(-1) / 2

    def gradient(self, s: Tensor, y: Tensor) -> Tensor:
        return s - y

    def proximal(self, a: Tensor, y: Tensor, step: Tensor | float) -> Tensor:
        return torch.lerp(a, y.expand_as(a), step / (1 + step))  # (a + step y) / (1 + step)

    def gradient_formula(self, s: str) -> tuple[str, dict[str, str]]:
        return f"({s} - label)", {}

    def proximal_formula(self, a: str, step: str) -> str:
        return f"({a} + {step} * label) / (1 + {step})"


@registry.losses.register("cross_entropy")
class CrossEntropy(Loss):
    """l = -sum_i y_i log softmax(s)_i, for labels that sum to one.

    Its Hessian is at most 1/2; the bound declared is that of the Hessian's diagonal, which the proximal step divides by.
    """

    curvature = 1.0
    largest_step = 5.0

    def value(self, s: Tensor, y: Tensor) -> Tensor:
        return -(y * torch.log_softmax(s, -1)).sum(-1)

    def gradient(self, s: Tensor, y: Tensor) -> Tensor:
        return torch.softmax(s, -1) - y

    def gradient_formula(self, s: str) -> tuple[str, dict[str, str]]:
        return f"(exp({s}) / partition - label)", {"partition": f"exp({s})"}

    def proximal(self, a: Tensor, y: Tensor, step: Tensor | float) -> Tensor:
        # Newton on F(s) = s - a + step (softmax(s) - y). Row by row the Jacobian is diag(1 + step p) - (step p) p^T,
        # which Sherman and Morrison's formula inverts exactly. Where the softmax saturates, full steps overshoot; the
        # damping by log(1 + d)/d, d the spread of a step, is that of generalised self-concordant functions (Sun &
        # Tran-Dinh 2019) and vanishes as the steps get small.
        s = a
        for _ in range(NEWTON_STEPS):
            p = torch.softmax(s, -1)
            residual = s - a + step * (p - y)
            diagonal = 1 + step * p
            scaled = residual / diagonal
            column = step * p / diagonal
            correction = (p * scaled).sum(-1, keepdim=True) / (1 - (p * column).sum(-1, keepdim=True))
            move = scaled + column * correction
            spread = (move.amax(-1, keepdim=True) - move.amin(-1, keepdim=True)).clamp_(min=torch.finfo(s.dtype).tiny)
            s = s - move * (torch.log1p(spread) / spread)
        return s
