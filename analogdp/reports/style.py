"""Colours and numbers, the same in the page and in the pictures."""

from __future__ import annotations

import math

# Okabe and Ito's palette, which colour-blind readers can tell apart ("Color universal design", 2008).
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
BLACK = "#222222"
GREY = "#8a8f98"

NOISY, NOISE_FREE, TRAINING = BLUE, GREEN, ORANGE
PLUS, MINUS = VERMILLION, BLUE

DIVERGING = "RdBu_r"
"""Signed values around zero; known under this name to plotly and matplotlib."""
SEQUENTIAL = "Cividis"
"""Counts; its name in plotly (matplotlib writes it in lower case)."""

MOST_LINES = 32
"""Chips drawn as single lines; with more of them the lines would be a blot."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def prefix(value: float) -> tuple[float, str]:
    """The factor to divide by and the SI prefix to write, so that ``value`` becomes a number between 1 and 1000.

    >>> prefix(2.5e-6)
    (1e-06, 'µ')
    """
    if not value or not math.isfinite(value):
        return 1.0, ""
    exponent = min(max(3 * math.floor(math.log10(abs(value)) / 3 + 1e-12), -15), 9)
    return float(f"1e{exponent}"), _PREFIXES[exponent]


def quantity(value: float, unit: str) -> str:
    """A number with its unit: ``2.5 µS``."""
    factor, letter = prefix(value)
    return f"{value / factor:.4g} {letter}{unit}"


def percent(mean: float, spread: float, chips: int) -> str:
    """A share as a percentage, with the standard deviation over chips if there are several."""
    return f"{100 * mean:.2f}" + (f" ± {100 * spread:.2f} %" if chips > 1 else " %")


def number(mean: float, spread: float, chips: int) -> str:
    """A number, with the standard deviation over chips if there are several."""
    return f"{mean:.4g}" + (f" ± {spread:.2g}" if chips > 1 else "")


def count(value: int) -> str:
    """A whole number with its thousands set apart by thin spaces."""
    return f"{value:,}".replace(",", "\u2009")
