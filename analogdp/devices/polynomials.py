"""Fits of measurements as polynomials."""

from __future__ import annotations

import torch
from torch import Tensor


def polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """The polynomial with these coefficients, in ascending powers, by Horner's scheme."""
    result = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result.mul_(x).add_(coefficient)
    return result
