"""Handwritten digits, 8 x 8 pixels, 1797 of them; they come with scikit-learn and need no file."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import DataSettings
from analogdp.streams import WHOLE_RUN, stream

SAMPLES = 1797
BRIGHTEST = 16.0
CLASSES = tuple("0123456789")


class DigitsSettings(DataSettings):
    """The digits section."""

    name: Literal["digits"] = "digits"
    test_fraction: Ratio = Field(
        default=0.2, ge=0.01, le=0.99, description="share of every class that is only tested on"
    )

    def sizes(self) -> tuple[int, int]:
        return 64, len(CLASSES)

    def shape(self) -> tuple[int, ...]:
        return 1, 8, 8

    def samples(self) -> tuple[int, int]:
        # Rounding in each class can move a few samples to either part.
        test = round(SAMPLES * self.test_fraction)
        return SAMPLES - test, test


@registry.datasets.register("digits")
class Digits:
    """Handwritten digits, 8 x 8 pixels in [0, 1]; embedded in scikit-learn (Alpaydin & Kaynak 1998, UCI)."""

    Settings = DigitsSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """Split every class at random, by ``seed``."""
        assert isinstance(settings, DigitsSettings)
        images, labels = _samples()
        train, test = stratified_split(labels, settings.test_fraction, seed)
        return Dataset.of_classes("digits", CLASSES, (images[train], labels[train]), (images[test], labels[test]))


def stratified_split(labels: Tensor, test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test samples, each class divided by the same fraction; both in order."""
    test = []
    for label in range(int(labels.max()) + 1):
        members = torch.nonzero(labels == label).squeeze(1)
        order = torch.randperm(len(members), generator=stream(seed, "data/split", WHOLE_RUN, label))
        test.append(members[order[: round(len(members) * test_fraction)]])
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[torch.cat(test)] = True
    return torch.nonzero(~is_test).squeeze(1), torch.nonzero(is_test).squeeze(1)


@cache
def _samples() -> tuple[Tensor, Tensor]:
    """All images ``(samples, 64)`` with brightness in [0, 1], and their labels."""
    # scikit-learn takes a second to import, which only those who use these data should wait for.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return torch.from_numpy(bunch.data / BRIGHTEST).to(torch.float32), torch.from_numpy(bunch.target)
