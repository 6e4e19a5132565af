"""A data set in the user's own arrays: an ``.npz`` archive, as ``numpy.savez`` writes it."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.numpy_archive import NumpyArchive
from analogdp.data.splitting import divide
from analogdp.data.user_files import Contents, UserFileSettings
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings


class NpzSettings(UserFileSettings):
    """The section of arrays."""

    name: Literal["npz"] = "npz"
    input_shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        min_length=1,
        max_length=3,
        description="of one input, such as [1, 28, 28]; default: as in the file",
    )

    def look(self) -> Contents:
        archive = NumpyArchive(self.file)
        parts = _parts(archive)
        counts = [self._count(archive, part) for part in parts]
        found = archive.shape(f"{parts[0]}inputs")[1:] or (1,)
        numbers = self.regression()
        outputs = prod(archive.shape(f"{parts[0]}targets")[1:]) if numbers else len(_classes(archive))
        test = counts[1] if len(counts) > 1 else None
        return Contents(inputs=self._shape_of_one(found), outputs=outputs, train=counts[0], test=test)

    def _count(self, archive: NumpyArchive, part: str) -> int:
        """Samples in a part, by the shapes of its arrays, which must have numbers."""
        names = f"{part}inputs", f"{part}{'targets' if self.regression() else 'labels'}"
        inputs, wanted = map(archive.shape_of_numbers, names)
        if not inputs or inputs[:1] != wanted[:1] or 0 in (*inputs, *wanted):
            raise InputError(
                f"{self.file}: {names[0]} has the shape {inputs}, {names[1]} {wanted}; their first numbers count the samples, "
                f"which must be as many in both, and nothing may be empty"
            )
        return inputs[0]

    def _shape_of_one(self, found: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an input, as the section says or as it is found; images without channels have one."""
        if self.input_shape is None and len(found) > 3:
            raise InputError(f"{self.file}: inputs have the shape {list(found)}, not channels, height and width")
        if self.input_shape is None:
            return (1, *found) if len(found) == 2 else found
        if prod(self.input_shape) != prod(found):
            raise InputError(
                f"input_shape {list(self.input_shape)} does not hold the file's inputs of shape {list(found)}"
            )
        return self.input_shape


@registry.datasets.register("npz")
class Npz:
    """Your own arrays, from a NumPy archive: ``inputs`` with ``labels`` or ``targets``, divided already or not."""

    Settings = NpzSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """The arrays' own training and test parts, or all samples, split at random by ``seed``.

        Raises:
            InputError: the file is not what the scenario says, or cannot be used.
        """
        assert isinstance(settings, NpzSettings)
        settings.refuse_change()
        archive = NumpyArchive(settings.file)
        classes = None if settings.regression() else _classes(archive)
        train, *test = [_pair(archive, part, classes) for part in _parts(archive)]
        if not test:
            return divide(settings, classes, *train, seed)
        if train[0].shape[1] != test[0][0].shape[1] or train[1].shape[1:] != test[0][1].shape[1:]:
            raise InputError(f"{settings.file}: training and test arrays have samples of other shapes; make them alike")
        if classes is None:
            return Dataset.of_numbers(settings.name, train, test[0])
        return Dataset.of_classes(settings.name, classes, train, test[0])


def _parts(archive: NumpyArchive) -> tuple[str, ...]:
    """How the names of the arrays begin, of each part."""
    return ("train_", "test_") if "train_inputs" in archive.shapes else ("",)


def _pair(archive: NumpyArchive, part: str, classes: tuple[str, ...] | None) -> tuple[Tensor, Tensor]:
    """Inputs ``(samples, features)``, and labels or targets, of a part."""
    wanted = archive.numbers(f"{part}targets") if classes is None else archive.labels(f"{part}labels")
    return archive.numbers(f"{part}inputs"), wanted


def _classes(archive: NumpyArchive) -> tuple[str, ...]:
    """What the labels stand for: the texts of an array ``classes``, or else their numbers."""
    used = torch.cat([archive.labels(f"{part}labels") for part in _parts(archive)])
    most = int(used.max())
    if int(used.min()) == most:
        raise InputError(f"{archive.path} has one class only, {most}; there is nothing to learn")
    if "classes" not in archive.shapes:
        return tuple(map(str, range(most + 1)))
    classes = archive.texts("classes")
    if most >= len(classes):
        raise InputError(f"{archive.path}: a label is {most}, but classes has {len(classes)} names, for labels from 0")
    return classes
