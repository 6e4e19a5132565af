"""MNIST and Fashion-MNIST from their four IDX files, as they are distributed."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.download import DownloadSettings
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings

SIDE = 28
LARGEST_FILE = 1_000_000_000
"""Bytes of an unpacked file that are read at most: a thousand times less than a gzip bomb, twenty times MNIST."""

_UNSIGNED_BYTE = 8


class IdxSettings(DownloadSettings):
    """What the sections of both data sets have."""

    train_samples = 60_000
    test_samples = 10_000

    def sizes(self) -> tuple[int, int]:
        return SIDE * SIDE, 10

    def shape(self) -> tuple[int, ...]:
        return 1, SIDE, SIDE


class MnistSettings(IdxSettings):
    """The MNIST section. The publisher's own server refuses requests; these are the mirrors in use."""

    folder = "mnist"
    files = "the four IDX files of mnist (such as train-images-idx3-ubyte.gz)"
    addresses = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    name: Literal["mnist"] = "mnist"


class FashionMnistSettings(IdxSettings):
    """The Fashion-MNIST section."""

    folder = "fashion-mnist"
    files = "the four IDX files of fashion-mnist (such as train-images-idx3-ubyte.gz)"
    addresses = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
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
        train = read_part(settings, "train")
        test = read_part(settings, "t10k")
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


def read_part(settings: IdxSettings, part: str) -> tuple[Tensor, Tensor]:
    """Images ``(samples, pixels)``, bytes, and labels of the part ``train`` or ``t10k``.

    Raises:
        InputError: a file is missing, damaged, or does not fit the other.
    """
    images_file, labels_file = (
        settings.find_or_download((name, f"{name}.gz"), f"{name}.gz")
        for name in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
    )
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels):
        raise InputError(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
    if images.shape[1:] != (SIDE, SIDE):
        raise InputError(f"{images_file} has images of {tuple(images.shape[1:])} pixels; expected {SIDE} x {SIDE}")
    if len(labels) == 0:
        raise InputError(f"{labels_file} has no labels; get it again")
    wrong = torch.nonzero(labels > 9)
    if len(wrong):
        place = int(wrong[0])
        raise InputError(f"{labels_file}: labels[{place}] is {int(labels[place])}; expected 0 to 9")
    return images.reshape(-1, SIDE * SIDE), labels


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
