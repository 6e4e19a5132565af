"""MNIST and Fashion-MNIST from their four IDX files, as they are distributed; nothing is ever downloaded."""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.errors import InputError
from analogdp.scenario.schema import DataSettings, Scenario

DATA_VARIABLE = "ANALOGDP_DATA"
"""Environment variable with the folder that holds a folder for each data set; ``--data-dir`` sets it for a command."""

SIDE = 28
BRIGHTEST = 255.0
LARGEST_FILE = 1_000_000_000
"""Bytes of an unpacked file that are read at most: a thousand times less than a gzip bomb, twenty times MNIST."""

_UNSIGNED_BYTE = 8


class IdxSettings(DataSettings):
    """What the sections of both data sets have."""

    folder: ClassVar[str]
    train_samples: ClassVar[int] = 60_000
    test_samples: ClassVar[int] = 10_000

    directory: Path | None = Field(
        default=None, strict=False, description=f"folder with the four IDX files; default: ${DATA_VARIABLE}/<data set>"
    )
    train_limit: int | None = Field(default=None, ge=1, description="use only the first so many training samples")
    test_limit: int | None = Field(default=None, ge=1, description="use only the first so many test samples")

    def resolved(self, scenario: Scenario) -> Self:
        """With the folder named outright, so that a run can be resumed from anywhere."""
        common = os.environ.get(DATA_VARIABLE)
        if self.directory is None and common:
            return self.model_copy(update={"directory": Path(common).resolve() / self.folder})
        return self

    def sizes(self) -> tuple[int, int]:
        return SIDE * SIDE, 10

    def shape(self) -> tuple[int, ...]:
        return 1, SIDE, SIDE

    def samples(self) -> tuple[int, int]:
        limits = ((self.train_samples, self.train_limit), (self.test_samples, self.test_limit))
        train, test = (min(count, limit or count) for count, limit in limits)
        return train, test


class MnistSettings(IdxSettings):
    """The MNIST section."""

    folder = "mnist"
    name: Literal["mnist"] = "mnist"


class FashionMnistSettings(IdxSettings):
    """The Fashion-MNIST section."""

    folder = "fashion-mnist"
    name: Literal["fashion_mnist"] = "fashion_mnist"


class IdxDataset:
    """A data set of ten classes of small pictures, in four files.

    Attributes:
        classes: what the labels 0 to 9 stand for.
    """

    Settings: ClassVar[type[IdxSettings]]
    classes: ClassVar[tuple[str, ...]]

    @classmethod
    def load(cls, settings: DataSettings, seed: int) -> Dataset:
        """The published training and test parts, in their order."""
        assert isinstance(settings, IdxSettings)
        directory = find_directory(settings.directory, settings.folder)
        train = read_part(directory, "train", settings.train_limit)
        test = read_part(directory, "t10k", settings.test_limit)
        return Dataset.of_classes(settings.name, cls.classes, train, test)


@registry.datasets.register("mnist")
class Mnist(IdxDataset):
    """Handwritten digits, 28 x 28 pixels in [0, 1] (LeCun et al. 1998); needs its four files, see ``directory``."""

    Settings = MnistSettings
    classes = tuple("0123456789")


@registry.datasets.register("fashion_mnist")
class FashionMnist(IdxDataset):
    """Pictures of clothes, 28 x 28 pixels in [0, 1] (Xiao et al. 2017); needs its four files, see ``directory``."""

    Settings = FashionMnistSettings
    classes = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def find_directory(given: Path | None, folder: str) -> Path:
    """The folder of a data set's files: the one given, or the one in the common data folder.

    Raises:
        InputError: it is not there, or no common data folder was named.
    """
    wanted = f"put the four IDX files of {folder} (such as train-images-idx3-ubyte.gz) there"
    if given is None:
        common = os.environ.get(DATA_VARIABLE)
        if not common:
            raise InputError(
                f"data: {folder} lies in files, and it is not known where: name the folder that holds {folder}/ "
                f"by --data-dir or ${DATA_VARIABLE}, or set data.directory; {wanted}"
            )
        given = Path(common) / folder
    if not given.is_dir():
        raise InputError(f"data: there is no folder {given}; {wanted}, or name another by --data-dir or data.directory")
    return given


def read_part(directory: Path, part: str, limit: int | None) -> tuple[Tensor, Tensor]:
    """Images ``(samples, pixels)`` with brightness in [0, 1] and labels of the part ``train`` or ``t10k``.

    Raises:
        InputError: a file is missing, damaged, or does not fit the other.
    """
    images_file = _find_file(directory, f"{part}-images-idx3-ubyte")
    labels_file = _find_file(directory, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels):
        raise InputError(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
    if images.shape[1:] != (SIDE, SIDE):
        raise InputError(f"{images_file} has images of {tuple(images.shape[1:])} pixels; expected {SIDE} x {SIDE}")
    if len(labels) == 0 or labels.max() > 9:
        raise InputError(f"{labels_file} has no labels, or some beyond 0 to 9")
    flat = images[:limit].reshape(-1, SIDE * SIDE).to(torch.float32)
    return flat.div_(BRIGHTEST), labels[:limit].to(torch.int64)


def read_idx(path: Path, dimensions: int) -> Tensor:
    """The array of unsigned bytes in an IDX file, packed by gzip or not.

    The format (LeCun): two zero bytes, the element type, the number of dimensions, each size as a big-endian
    32-bit number, then the elements with the last index running fastest.

    Raises:
        InputError: the file cannot be read, or does not hold such an array, whole.
    """
    content = _unpacked(path)
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise InputError(f"{path} is no IDX file with {dimensions} dimensions of bytes; get it again")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != prod(shape):
        found = f"{len(content) - start} of {prod(shape)} bytes"
        raise InputError(f"{path} is damaged: it holds {found}; get it again")
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy())


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged ({error}); get it again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path} unpacks to more than {LARGEST_FILE:,} bytes; it is not the file it should be")
    return content


def _find_file(directory: Path, name: str) -> Path:
    for candidate in (directory / name, directory / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise InputError(
        f"data: there is no {name} or {name}.gz in {directory}; put the four IDX files of the data set there"
    )
