"""Pictures in a folder, one folder for each class, with training and test pictures apart or together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field, field_validator
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.splitting import SplitSettings, divide
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings
from analogdp.scenario.schema import Scenario

ENDINGS = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"))
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What these files may hold: Pillow's readers of rarer formats are not needed, and less tested."""

TEST_FOLDERS = ("test", "val")
MODES = {"rgb": ("RGB", 3), "grey": ("L", 1)}
"""Pillow's name for each mode, and its channels."""

Side = Annotated[int, Field(ge=1, le=1024)]
LabelledPicture = tuple[Path, int]
"""A file and the number of its class."""


class FolderSettings(SplitSettings):
    """The section of pictures in folders."""

    input_bytes = 1

    name: Literal["folder"] = "folder"
    directory: Path = Field(
        strict=False, description="folder that holds train/CLASS/* and test/CLASS/* (or val/CLASS/*), or only CLASS/*"
    )
    size: tuple[Side, Side] = Field(description="height and width that the middle of every picture is scaled to")
    mode: Literal["rgb", "grey"] = Field(default="rgb", description="what pictures are converted to")
    classes: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="folders that are classes; default: all, sorted by name"
    )

    def resolved(self, scenario: Scenario) -> Self:
        """With the folder and the classes named outright, so that a run can be resumed from anywhere."""
        apart = self.places()[1] is not None
        section = self if apart else super().resolved(scenario)
        return section.model_copy(update={"directory": self.directory.resolve(), "classes": self.class_names()})

    def sizes(self) -> tuple[int, int]:
        channels, height, width = self.shape()
        return channels * height * width, len(self.class_names())

    def shape(self) -> tuple[int, int, int]:
        return MODES[self.mode][1], *self.size

    def samples(self) -> tuple[int, int]:
        train, test = find_pictures(self)
        return (len(train), len(test)) if test else self.divided(len(train))

    def places(self) -> tuple[Path, Path | None]:
        """The folders of training and of test pictures; None for the second where all lie in the first.

        Raises:
            InputError: there are training pictures only, or ``test_fraction`` would divide what is divided already.
        """
        train = self.directory / "train"
        if not train.is_dir():
            return self.directory, None
        if self.test_fraction is not None:
            raise InputError(f"data: {self.directory} has a folder train; leave data.test_fraction away")
        for name in TEST_FOLDERS:
            if (self.directory / name).is_dir():
                return train, self.directory / name
        raise InputError(f"data: {self.directory} has a folder train, but none called test or val; make one")

    def class_names(self) -> tuple[str, ...]:
        """The classes, as given or as they are found.

        Raises:
            InputError: there are fewer than two, or some that are only tested.
        """
        train, test = self.places()
        if self.classes is not None:
            return self.classes
        if not train.is_dir():
            raise InputError(f"data: there is no folder {train}; name another by data.directory")
        found = _folders(train)
        if len(found) < 2:
            only = f"only the folder {found[0]}" if found else "no folders"
            raise InputError(f"data: {train} has {only}; put the pictures of each class into a folder of its own there")
        untrained = sorted(set(_folders(test)) - set(found)) if test else []
        if untrained:
            raise InputError(f"data: {test} has the folder {untrained[0]}, but {train} has not; name data.classes")
        return tuple(found)

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is not None and len(set(classes)) < len(classes):
            raise ValueError(f"{', '.join(classes)} names a folder twice; name each class once")
        return classes


def _folders(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))


@registry.datasets.register("folder")
class Folder:
    """Pictures of your own, in a folder for each class."""

    Settings = FolderSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """Both parts; where they lie together, every class is split at random, by ``seed``."""
        assert isinstance(settings, FolderSettings)
        classes = settings.class_names()
        train, test = (read_pictures(part, settings) for part in find_pictures(settings))
        if not len(test[1]):
            return divide(settings, classes, *train, seed)
        return Dataset.of_classes("folder", classes, train, test)


def find_pictures(settings: FolderSettings) -> tuple[list[LabelledPicture], list[LabelledPicture]]:
    """The training and the test pictures; all are training pictures where they lie together.

    Classes take turns, so that the first few pictures are of all of them.

    Raises:
        InputError: a class has no pictures, or the folders do not fit the section.
    """
    train, test = settings.places()
    names = settings.class_names()
    return _of_classes(train, names), _of_classes(test, names) if test else []


def _of_classes(place: Path, names: Sequence[str]) -> list[LabelledPicture]:
    """The pictures of all classes, in turn."""
    columns = [[(path, label) for path in _pictures(place / name)] for label, name in enumerate(names)]
    return [each for each in chain.from_iterable(zip_longest(*columns)) if each is not None]


def _pictures(place: Path) -> list[Path]:
    if not place.is_dir():
        raise InputError(f"data: there is no folder {place}; every class needs one, with pictures")
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise InputError(f"data: {place} has no pictures; put some there ({', '.join(sorted(ENDINGS))})")
    return found


def read_pictures(files: Sequence[LabelledPicture], settings: FolderSettings) -> tuple[Tensor, Tensor]:
    """Pictures ``(samples, channels, height, width)``, bytes, and their labels.

    Raises:
        InputError: one cannot be read; it is named.
    """
    images = np.empty((len(files), *settings.shape()), np.uint8)
    for number, (path, _) in enumerate(files):
        images[number] = read_picture(path, settings)
    return torch.from_numpy(images), torch.tensor([label for _, label in files], dtype=torch.int64)


def read_picture(path: Path, settings: FolderSettings) -> NDArray[np.uint8]:
    """A picture ``(channels, height, width)``: scaled to cover that size, and cut out of the middle.

    Raises:
        InputError: it is damaged, too large, or has more than 8 bits in a channel.
    """
    mode, channels = MODES[settings.mode]
    height, width = settings.size
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(f"{path} has more than 8 bits in a channel; convert it to 8 bits")
            fitted = ImageOps.fit(image.convert(mode), (width, height), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}); replace or remove it") from error
    return np.asarray(fitted).reshape(height, width, channels).transpose(2, 0, 1)
