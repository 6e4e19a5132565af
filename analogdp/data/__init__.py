"""Data sets: what they are, and the ones that a scenario can name."""

from analogdp.data import digits, idx
from analogdp.data.base import Dataset, load

__all__ = ["Dataset", "digits", "idx", "load"]
