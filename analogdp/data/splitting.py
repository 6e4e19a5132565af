"""Dividing samples into training and test samples, where their source does not."""

from __future__ import annotations

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp.data.base import Dataset
from analogdp.errors import Problem
from analogdp.scenario.data import DataSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import Scenario
from analogdp.streams import WHOLE_RUN, stream

USUAL_FRACTION = 0.2


class SplitSettings(DataSettings):
    """What the sections of data sets have that come in one part."""

    test_fraction: Ratio | None = Field(
        default=None, ge=0.01, le=0.99, description="share of the samples that is only tested on; default 0.2"
    )

    def resolved(self, scenario: Scenario) -> Self:
        section = super().resolved(scenario)
        if self.test == "rest" or self.test_fraction is not None:
            return section
        return section.model_copy(update={"test_fraction": USUAL_FRACTION})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        if self.test == "rest" and self.test_fraction is not None:
            refusal = "with test: rest, all samples that draw has not drawn are tested on; leave it away"
            problems.append(Problem("test_fraction", refusal))
        return problems

    def divided(self, samples: int) -> tuple[int, int]:
        """So many samples as training and test samples; rounding in each class can move a few to either part."""
        if self.test == "rest":
            return samples, 0
        test = round(samples * (self.test_fraction or USUAL_FRACTION))
        return samples - test, test


def divide(
    settings: SplitSettings, classes: tuple[str, ...] | None, inputs: Tensor, wanted: Tensor, seed: int
) -> Dataset:
    """A data set of samples divided at random, by ``seed``, as the section says.

    Where the rest of a draw is tested on, all samples are training samples, from which will be drawn.

    Args:
        settings: of the data set.
        classes: every class is divided by the same fraction; None for regression.
        inputs: ``(samples, ...)``.
        wanted: labels ``(samples,)``, or targets ``(samples, outputs)`` of a regression.
        seed: of the scenario.
    """
    fraction = settings.test_fraction or USUAL_FRACTION
    if settings.test == "rest":
        everything = torch.arange(len(wanted))
        rows = everything, everything[:0]
    elif classes is None:
        rows = random_split(len(wanted), fraction, seed)
    else:
        rows = stratified_split(wanted, fraction, seed)
    train, test = ((inputs[own], wanted[own]) for own in rows)
    if classes is None:
        return Dataset.of_numbers(settings.name, train, test)
    return Dataset.of_classes(settings.name, classes, train, test)


def random_split(samples: int, test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test samples, both in order."""
    order = torch.randperm(samples, generator=stream(seed, "data/split", WHOLE_RUN))
    return _apart(samples, order[: round(samples * test_fraction)])


def stratified_split(labels: Tensor, test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test samples, each class divided by the same fraction; both in order."""
    test = []
    for label in range(int(labels.max()) + 1):
        members = torch.nonzero(labels == label).squeeze(1)
        order = torch.randperm(len(members), generator=stream(seed, "data/split", WHOLE_RUN, label))
        test.append(members[order[: round(len(members) * test_fraction)]])
    return _apart(len(labels), torch.cat(test))


def _apart(samples: int, test: Tensor) -> tuple[Tensor, Tensor]:
    is_test = torch.zeros(samples, dtype=torch.bool)
    is_test[test] = True
    return torch.nonzero(~is_test).squeeze(1), torch.nonzero(is_test).squeeze(1)
