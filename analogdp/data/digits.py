"""Handwritten digits, 8 x 8 pixels, 1797 of them; they come with scikit-learn and need no file."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.splitting import SplitSettings, divide
from analogdp.scenario.data import DataSettings

SAMPLES = 1797
BRIGHTEST = 16.0
CLASSES = tuple("0123456789")


class DigitsSettings(SplitSettings):
    """The digits section."""

    name: Literal["digits"] = "digits"

    def sizes(self) -> tuple[int, int]:
        return 64, len(CLASSES)

    def shape(self) -> tuple[int, ...]:
        return 1, 8, 8

    def samples(self) -> tuple[int, int]:
        return self.divided(SAMPLES)


@registry.datasets.register("digits")
class Digits:
    """Handwritten digits, 8 x 8 pixels in [0, 1]; embedded in scikit-learn (Alpaydin & Kaynak 1998, UCI)."""

    Settings = DigitsSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """Split every class at random, by ``seed``."""
        assert isinstance(settings, DigitsSettings)
        return divide(settings, CLASSES, *_samples(), seed)


@cache
def _samples() -> tuple[Tensor, Tensor]:
    """All images ``(samples, 64)`` with brightness in [0, 1], and their labels."""
    # scikit-learn takes a second to import, which only those who use these data should wait for.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return torch.from_numpy(bunch.data / BRIGHTEST).to(torch.float32), torch.from_numpy(bunch.target)
