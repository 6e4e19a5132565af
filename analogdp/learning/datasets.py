"""The data sets of several runs that are trained together: every chip is shown the samples of its own run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.data import Dataset, Samples
from analogdp.streams import Stream


class SamplesTogether:
    """Samples of several data sets of one size; what is taken of them is ``(chips, rows, ...)``.

    Args:
        each: of every data set, inputs, targets or labels.
        places: which of these each chip is shown, int64 ``(chips,)``.
    """

    def __init__(self, each: Sequence[Samples | Tensor], places: Tensor) -> None:
        self._each, self._places = each, places

    def __len__(self) -> int:
        return len(self._each[0])

    def __getitem__(self, rows: slice) -> Tensor:
        return torch.stack([own[rows] for own in self._each])[self._places]


@dataclass(frozen=True)
class DatasetTogether:
    """Data sets of one shape with the same numbers of samples.

    Attributes:
        each: the data sets, one for each seed, in the order of the first chips that have it.
        places: which of them each chip is shown, int64 ``(chips,)``.
    """

    each: tuple[Dataset, ...]
    places: Tensor

    @property
    def train_inputs(self) -> SamplesTogether:
        return SamplesTogether([own.train_inputs for own in self.each], self.places)

    @property
    def train_targets(self) -> SamplesTogether:
        return SamplesTogether([own.train_targets for own in self.each], self.places)

    @property
    def test_inputs(self) -> SamplesTogether:
        return SamplesTogether([own.test_inputs for own in self.each], self.places)

    @property
    def test_targets(self) -> SamplesTogether:
        return SamplesTogether([own.test_targets for own in self.each], self.places)

    @property
    def test_labels(self) -> SamplesTogether | None:
        labels = [own.test_labels for own in self.each if own.test_labels is not None]
        return SamplesTogether(labels, self.places) if labels else None

    def training(self, rows: Tensor, stream: Stream) -> tuple[Tensor, Tensor, Tensor | None]:
        """Training samples as the networks are shown them.

        Args:
            rows: their indices in each data set ``(data sets, batch)``.
            stream: of all chips, at this presentation's index.

        Returns:
            inputs ``(chips, batch, inputs)``, targets ``(chips, batch, outputs)``, and labels ``(chips, batch)`` or None.
        """
        parts = zip(self.each, rows, stream.of_each_seed(), strict=True)
        shown = [own.training(chosen, own_stream) for own, chosen, own_stream in parts]
        inputs, targets = torch.cat([own[0] for own in shown]), torch.cat([own[1] for own in shown])
        labels = [own[2] for own in shown if own[2] is not None]
        return inputs[self.places], targets[self.places], torch.stack(labels)[self.places] if labels else None

    @staticmethod
    def correct(outputs: Tensor, labels: Tensor) -> Tensor:
        """As :meth:`analogdp.data.Dataset.correct`, for the labels of each chip."""
        return Dataset.correct(outputs, labels)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> DatasetTogether:
        """The same samples on another device, or as another floating-point type."""
        return DatasetTogether(tuple(own.to(device, dtype) for own in self.each), self.places.to(device))


def for_chips(samples: Tensor) -> Tensor:
    """Samples ``(batch, numbers)``, which all chips are shown, or ``(chips, batch, numbers)``, with a first axis for chips."""
    return samples if samples.dim() > 2 else samples.unsqueeze(0)
