"""CIFAR-10 and CIFAR-100 from the archives of their publisher, packed or unpacked, in the python or the binary version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.archives import read_bytes, read_tar
from analogdp.data.base import Dataset
from analogdp.data.batches import Batch, checked_batch, joined
from analogdp.data.download import DownloadSettings
from analogdp.data.pickles import read_pickle
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings

SHAPE = (3, 32, 32)
PIXELS = 3072

ADDRESSES = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree "
    "motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate "
    "poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider "
    "squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle "
    "wardrobe whale willow_tree wolf woman worm"
)
_COARSE = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture "
    "insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores "
    "medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2"
)
FINE_CLASSES, COARSE_CLASSES = tuple(_FINE.split()), tuple(_COARSE.split())
"""What the labels of CIFAR-100 stand for, and those of its groups."""


@dataclass(frozen=True)
class Version:
    """How a publisher's archive holds a data set.

    Attributes:
        archive: its name.
        folder: what it unpacks to.
        train, test: the files of both parts: records of bytes where they end in ``.bin``, else pickled dictionaries.
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]


class CifarSettings(DownloadSettings):
    """What the sections of both data sets have.

    Attributes:
        versions: of the archive; the one that is downloaded comes first.
        labels: kinds of labels that a sample has, in their order.
    """

    train_samples = 50_000
    test_samples = 10_000
    addresses = ADDRESSES
    versions: ClassVar[tuple[Version, ...]]
    labels: ClassVar[tuple[str, ...]]

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels stand for."""
        return CIFAR10_CLASSES

    @property
    def label(self) -> str:
        """The kind of labels that is learned."""
        return self.labels[0]

    def sizes(self) -> tuple[int, int]:
        return PIXELS, len(self.classes)

    def shape(self) -> tuple[int, ...]:
        return SHAPE


class Cifar10Settings(CifarSettings):
    """The CIFAR-10 section."""

    folder = "cifar10"
    files = "cifar-10-binary.tar.gz or cifar-10-python.tar.gz, or the folder that one of them unpacks to,"
    checksums: ClassVar[dict[str, str]] = {
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    }
    versions = (
        Version(
            "cifar-10-binary.tar.gz",
            "cifar-10-batches-bin",
            tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
            ("test_batch.bin",),
        ),
        Version(
            "cifar-10-python.tar.gz",
            "cifar-10-batches-py",
            tuple(f"data_batch_{number}" for number in range(1, 6)),
            ("test_batch",),
        ),
    )
    labels = ("labels",)
    name: Literal["cifar10"] = "cifar10"


class Cifar100Settings(CifarSettings):
    """The CIFAR-100 section."""

    folder = "cifar100"
    files = "cifar-100-binary.tar.gz or cifar-100-python.tar.gz, or the folder that one of them unpacks to,"
    checksums: ClassVar[dict[str, str]] = {
        "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    }
    versions = (
        Version("cifar-100-binary.tar.gz", "cifar-100-binary", ("train.bin",), ("test.bin",)),
        Version("cifar-100-python.tar.gz", "cifar-100-python", ("train",), ("test",)),
    )
    labels = ("coarse_labels", "fine_labels")
    name: Literal["cifar100"] = "cifar100"

    coarse: bool = Field(default=False, description="learn the 20 groups instead of the 100 classes")

    @property
    def classes(self) -> tuple[str, ...]:
        return COARSE_CLASSES if self.coarse else FINE_CLASSES

    @property
    def label(self) -> str:
        return self.labels[0 if self.coarse else 1]


class Cifar:
    """A data set of photographs, 32 x 32 pixels in three colours."""

    Settings: ClassVar[type[CifarSettings]]

    @classmethod
    def load(cls, settings: DataSettings, seed: int) -> Dataset:
        """The published training and test parts, in their order."""
        assert isinstance(settings, CifarSettings)
        version, path = find_version(settings)
        contents = read_files(version, path)
        train = read_part(settings, version.train, contents, settings.train_samples)
        test = read_part(settings, version.test, contents, settings.test_samples)
        return Dataset.of_classes(settings.name, settings.classes, train, test)


@registry.datasets.register("cifar10")
class Cifar10(Cifar):
    """Photographs of ten kinds of animals and vehicles, 32 x 32 pixels in colour (Krizhevsky 2009); needs its archive."""

    Settings = Cifar10Settings


@registry.datasets.register("cifar100")
class Cifar100(Cifar):
    """Photographs of 100 classes in 20 groups, 32 x 32 pixels in colour (Krizhevsky 2009); needs its archive."""

    Settings = Cifar100Settings


def find_version(settings: CifarSettings) -> tuple[Version, Path]:
    """The version that is there, and its archive or the folder that it was unpacked to.

    Raises:
        InputError: none is there.
    """
    places: dict[str, Version] = {}
    for version in settings.versions:
        first = version.train[0]
        places |= {f"{version.folder}/{first}": version, version.archive: version, first: version}
    path = settings.find_or_download(tuple(places), settings.versions[0].archive)
    version = next(version for place, version in places.items() if path.as_posix().endswith(f"/{place}"))
    return version, path if path.name == version.archive else path.parent


def read_files(version: Version, path: Path) -> dict[Path, bytes]:
    """All files of an archive or folder, by where they are.

    Raises:
        InputError: one is missing, or the archive is damaged.
    """
    names = (*version.train, *version.test)
    if path.is_dir():
        return {path / name: read_bytes(path / name) for name in names}
    contents = read_tar(path, [f"{version.folder}/{name}" for name in names])
    return {path / name: contents[f"{version.folder}/{name}"] for name in names}


def read_part(
    settings: CifarSettings, names: tuple[str, ...], contents: Mapping[Path, bytes], samples: int
) -> tuple[Tensor, Tensor]:
    """Pictures ``(samples, 3072)``, bytes by colour, row and column, and labels, of the files of those names.

    Raises:
        InputError: one is damaged, or has not its share of the samples.
    """
    batches = []
    for path in (path for path in contents if path.name in names):
        batch = read_batch(settings, path, contents[path])
        if len(batch[0]) != samples // len(names):
            raise InputError(f"{path} has {len(batch[0])} pictures; expected {samples // len(names)}: get it again")
        batches.append(batch)
    images, labels = joined(batches)
    return torch.from_numpy(images), torch.from_numpy(labels)


def read_batch(settings: CifarSettings, path: Path, content: bytes) -> Batch:
    """A file of either version: a pickled dictionary, or records of one byte for each label and 3072 for the picture.

    Raises:
        InputError: it is damaged.
    """
    classes = range(len(settings.classes))
    if path.suffix != ".bin":
        batch = read_pickle(content, str(path))
        return checked_batch(batch.get("data"), batch.get(settings.label), PIXELS, classes, str(path))
    size = len(settings.labels) + PIXELS
    if len(content) % size:
        raise InputError(f"{path} is damaged: {len(content):,} bytes are no records of {size}; get it again")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    images, labels = records[:, len(settings.labels) :], records[:, settings.labels.index(settings.label)]
    return checked_batch(images, labels, PIXELS, classes, str(path))
