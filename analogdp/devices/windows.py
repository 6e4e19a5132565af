"""Window functions: how the motion of a normalised state slows down towards its bounds."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

WindowName = Literal["none", "joglekar", "biolek", "prodromakis"]


def joglekar(x: Tensor, power: float) -> Tensor:
    """``1 - (2x - 1)^(2 power)``: 1 in the middle, 0 at both ends, in either direction.

    Joglekar & Wolf, Eur. J. Phys. 30, 661 (2009). A state exactly at an end is stuck there for ever.
    """
    return 1 - (2 * x - 1).abs() ** (2 * power)


def biolek(x: Tensor, rising: Tensor, power: float) -> Tensor:
    """``1 - (x - step(-i))^(2 power)``: 1 at the end a state comes from, 0 at the end it moves to.

    Biolek, Biolek & Biolkova, Radioengineering 18, 210 (2009). A reversed state leaves its end at once.

    Args:
        x: the state from 0 to 1.
        rising: where x increases.
        power: how abruptly the motion ends.
    """
    return 1 - (x - (~rising).to(x.dtype)).abs() ** (2 * power)


def prodromakis(x: Tensor, power: float, scale: float) -> Tensor:
    """``scale (1 - ((x - 1/2)^2 + 3/4)^power)``: 0 at both ends, and largest in the middle.

    Prodromakis, Peh, Papavassiliou & Toumazou, IEEE Trans. Electron Devices 58, 3099 (2011). A state exactly at
    an end is stuck there for ever.
    """
    return scale * (1 - ((x - 0.5) ** 2 + 0.75) ** power)


def window(name: WindowName, x: Tensor, rising: Tensor, power: float, scale: float) -> Tensor:
    """The window called ``name``, never negative; 1 everywhere for ``none``."""
    if name == "joglekar":
        return joglekar(x, power).clamp(min=0.0)
    if name == "biolek":
        return biolek(x, rising, power).clamp(min=0.0)
    if name == "prodromakis":
        return prodromakis(x, power, scale).clamp(min=0.0)
    return torch.ones_like(x)
