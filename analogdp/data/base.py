"""What a data set is: training and test samples, the same whichever source they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp.data.augmentation import Augmentation
from analogdp.data.samples import Samples
from analogdp.streams import Stream

Part = tuple[Samples | Tensor | NDArray[Any], Tensor]
"""Inputs ``(samples, ...)`` as :meth:`Samples.of` takes them, with labels ``(samples,)`` or targets ``(samples, outputs)``."""

_AS_THEY_ARE = Augmentation()


@dataclass(frozen=True)
class Dataset:
    """Training and test samples. Tensors and arrays that it is made of become :class:`Samples`.

    Attributes:
        name: as a scenario names it.
        train_inputs, test_inputs: ``(samples, inputs)``; images as brightness from 0 to 1, unless they are normalised.
        train_targets, test_targets: wanted outputs ``(samples, outputs)``; for classes 1 for the right one, else 0; for two
            classes that share one output, the number of the class.
        train_labels, test_labels: the class of each sample, int64 ``(samples,)``, or None for regression.
        classes: what the labels stand for, or None for regression.
        shape: of one input, such as ``(channels, height, width)``; by default ``(inputs,)``.
        augmentation: what is done to training samples when they are shown.
    """

    name: str
    train_inputs: Samples
    train_targets: Samples
    train_labels: Tensor | None
    test_inputs: Samples
    test_targets: Samples
    test_labels: Tensor | None
    classes: tuple[str, ...] | None = None
    shape: tuple[int, ...] = ()
    augmentation: Augmentation = _AS_THEY_ARE

    def __post_init__(self) -> None:
        for name in ("train_inputs", "train_targets", "test_inputs", "test_targets"):
            object.__setattr__(self, name, Samples.of(getattr(self, name)))
        if not self.shape:
            object.__setattr__(self, "shape", (self.train_inputs.features,))

    @classmethod
    def of_classes(
        cls, name: str, classes: tuple[str, ...], train: Part, test: Part, shape: tuple[int, ...] = ()
    ) -> Dataset:
        """A classification data set from (inputs, labels) of its two parts, with an output for each class."""

        def part(inputs: Samples | Tensor | NDArray[Any], labels: Tensor) -> tuple[Samples, Samples, Tensor]:
            labels = labels.to(torch.int64)
            return Samples.of(inputs), Samples.one_hot(labels, len(classes)), labels

        return cls(name, *part(*train), *part(*test), classes, shape)

    @classmethod
    def of_numbers(cls, name: str, train: Part, test: Part) -> Dataset:
        """A regression from (inputs, targets) of its two parts."""
        parts = ((Samples.of(inputs), Samples.of(targets), None) for inputs, targets in (train, test))
        return cls(name, *next(parts), *next(parts))

    def training(self, rows: Tensor, stream: Stream) -> tuple[Tensor, Tensor, Tensor | None]:
        """Training samples as a network is shown them.

        Args:
            rows: their indices ``(batch,)``, where the samples live.
            stream: at this presentation's index, of whatever is done to samples at random.

        Returns:
            inputs ``(1, batch, inputs)``, targets ``(1, batch, outputs)``, and labels ``(batch,)`` or None for regression.
        """
        raw, augmentation = self.train_inputs.unscaled(rows), self.augmentation
        if augmentation.moves:
            raw = augmentation.moved(raw, self.shape, stream)
        inputs = augmentation.noisy(self.train_inputs.scaled(raw), stream)
        labels = None if self.train_labels is None else self.train_labels[rows]
        return inputs.unsqueeze(0), self.train_targets[rows].unsqueeze(0), labels

    @staticmethod
    def correct(outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether outputs ``(..., outputs)`` mean the labels ``(...)``.

        The largest output is the class that is meant; a single output means the second of two classes above 1/2.
        """
        meant = outputs.argmax(-1) if outputs.shape[-1] > 1 else outputs[..., 0] > 0.5
        return meant == labels

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
        return f"Dataset({self.name}: {sizes}, {inputs} inputs, {self.train_targets.features} outputs)"
