"""What a data set is: training and test samples as tensors, the same whichever source they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analogdp import registry
from analogdp.scenario.schema import DataSettings
from analogdp.streams import Stream


@dataclass(frozen=True)
class Dataset:
    """Training and test samples.

    Attributes:
        name: as a scenario names it.
        train_inputs, test_inputs: ``(samples, inputs)``; images as brightness from 0 to 1.
        train_targets, test_targets: wanted outputs ``(samples, outputs)``; for classes 1 for the right one, else 0.
        train_labels, test_labels: the class of each sample, int64 ``(samples,)``, or None for regression.
        classes: what each output stands for, or None for regression.
    """

    name: str
    train_inputs: Tensor
    train_targets: Tensor
    train_labels: Tensor | None
    test_inputs: Tensor
    test_targets: Tensor
    test_labels: Tensor | None
    classes: tuple[str, ...] | None = None

    @classmethod
    def of_classes(
        cls, name: str, classes: tuple[str, ...], train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
    ) -> Dataset:
        """A classification data set from (inputs, labels) of its two parts; inputs become float32."""

        def part(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            labels = labels.to(torch.int64)
            targets = torch.nn.functional.one_hot(labels, len(classes)).to(torch.float32)
            return inputs.to(torch.float32), targets, labels

        return cls(name, *part(*train), *part(*test), classes)

    def training(self, rows: Tensor, stream: Stream) -> tuple[Tensor, Tensor, Tensor | None]:
        """Training samples as a network is shown them.

        Args:
            rows: their indices ``(batch,)``, where the samples live.
            stream: at this presentation's index, of whatever is done to samples at random.

        Returns:
            inputs ``(1, batch, inputs)``, targets ``(1, batch, outputs)``, and labels ``(batch,)`` or None for regression.
        """
        labels = None if self.train_labels is None else self.train_labels[rows]
        return self.train_inputs[rows].unsqueeze(0), self.train_targets[rows].unsqueeze(0), labels

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Dataset:
        """The same samples on another device, inputs and targets as another floating-point type; labels stay int64."""
        return replace(
            self,
            train_inputs=self.train_inputs.to(device, dtype),
            train_targets=self.train_targets.to(device, dtype),
            train_labels=None if self.train_labels is None else self.train_labels.to(device),
            test_inputs=self.test_inputs.to(device, dtype),
            test_targets=self.test_targets.to(device, dtype),
            test_labels=None if self.test_labels is None else self.test_labels.to(device),
        )

    def __repr__(self) -> str:
        samples, inputs = self.train_inputs.shape
        sizes = f"{samples} training and {len(self.test_inputs)} test samples"
        return f"Dataset({self.name}: {sizes}, {inputs} inputs, {self.train_targets.shape[1]} outputs)"


def load(settings: DataSettings, seed: int) -> Dataset:
    """The data set that a scenario's ``data`` section names; ``seed`` decides how it is split, if it is.

    Raises:
        InputError: its files are missing or damaged; the message says what to put where.
    """
    dataset: Dataset = registry.datasets.get(settings.name).load(settings, seed)
    return dataset
