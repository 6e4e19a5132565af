"""Random bits, and whether most of them are ones: a task for a single unit."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.samples import Samples
from analogdp.scenario.data import DataSettings
from analogdp.streams import Stream

CLASSES = ("at most 70 % ones", "more than 70 % ones")


class OnesSettings(DataSettings):
    """The section of the random bits."""

    name: Literal["ones"] = "ones"
    dimension: int = Field(default=10, ge=2, le=100_000, description="bits in a sample")
    train_count: int = Field(default=1000, ge=1, le=10_000_000, description="training samples")
    test_count: int = Field(default=1000, ge=1, le=10_000_000, description="test samples")

    def sizes(self) -> tuple[int, int]:
        return self.dimension, 1

    def samples(self) -> tuple[int, int]:
        return self.train_count, self.test_count


@registry.datasets.register("ones")
class Ones:
    """Are more than 70 % of the bits ones? (Troiano et al. 2025); made up by the seed, with any number of bits.

    Each sample has a probability of ones of its own, uniform from 0 to 1, so that every number of ones is equally likely, and
    three samples in ten are of the second class. The one output is wanted at 1 for these, else at 0.
    """

    Settings = OnesSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """Draw all samples by ``seed``."""
        assert isinstance(settings, OnesSettings)
        train, test = (
            _samples(count, settings.dimension, Stream(seed, f"data/ones/{part}"))
            for part, count in (("train", settings.train_count), ("test", settings.test_count))
        )
        return Dataset("ones", *train, *test, CLASSES)


def _samples(count: int, dimension: int, stream: Stream) -> tuple[Samples, Samples, Tensor]:
    """Bits ``(count, dimension)``, targets ``(count, 1)`` and labels."""
    shared = stream.shared()
    bits = shared.child("bits").uniform((count, dimension)) < shared.child("share").uniform((count, 1))
    labels = (10 * bits[0].sum(1) > 7 * dimension).to(torch.int64)
    return Samples.of(bits[0].to(torch.float32)), Samples.of(labels[:, None]), labels
