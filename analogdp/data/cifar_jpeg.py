"""A smaller copy of CIFAR-10, whose pictures were compressed as JPEG files. It is not the published data: JPEG is lossy."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from analogdp import registry
from analogdp.data.archives import read_npz
from analogdp.data.base import Dataset
from analogdp.data.batches import Batch, checked_batch
from analogdp.data.cache import converted
from analogdp.data.cifar import CIFAR10_CLASSES, PIXELS, SHAPE
from analogdp.data.files import FileSettings
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings

BATCH = 1000
"""Pictures that are decoded before they are written to the cache."""


class Cifar10JpegSettings(FileSettings):
    """The section of CIFAR-10 as JPEG files."""

    folder = "cifar10-jpeg"
    files = "train.npz and test.npz, each with the arrays jpeg, offsets and labels,"
    train_samples = 50_000
    test_samples = 10_000
    input_bytes = 1

    name: Literal["cifar10_jpeg"] = "cifar10_jpeg"

    def sizes(self) -> tuple[int, int]:
        return PIXELS, len(CIFAR10_CLASSES)

    def shape(self) -> tuple[int, ...]:
        return SHAPE


@registry.datasets.register("cifar10_jpeg")
class Cifar10Jpeg:
    """CIFAR-10 compressed as JPEG files, which is lossy: do not compare results with published ones to a tenth of a percent."""

    Settings = Cifar10JpegSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """Both parts in their order, decoded at their first use."""
        assert isinstance(settings, Cifar10JpegSettings)
        samples = {"train": settings.train_samples, "test": settings.test_samples}
        files = {part: settings.find([f"{part}.npz"]) for part in samples}
        kept = (
            converted(settings.folder, [file], (samples[part], PIXELS), decoded(file)) for part, file in files.items()
        )
        # They fit into memory, and there they can move to a GPU.
        train, test = ((torch.from_numpy(np.array(inputs)), labels) for inputs, labels in kept)
        return Dataset.of_classes(settings.name, CIFAR10_CLASSES, train, test)


def decoded(path: Path) -> Iterator[Batch]:
    """Batches of pictures ``(samples, 3072)``, bytes by colour, row and column, and labels.

    The file has ``jpeg``, all JPEG files one after the other, ``offsets``, where each begins and the last one ends, and
    ``labels``.

    Raises:
        InputError: the file is damaged; a picture that is gets named by its number.
    """
    arrays = read_npz(path, ("jpeg", "offsets", "labels"))
    content, offsets, labels = arrays["jpeg"], arrays["offsets"], arrays["labels"]
    if content.dtype != np.uint8 or offsets.dtype.kind not in "ui" or content.ndim != 1 or offsets.ndim != 1:
        raise InputError(f"{path}: jpeg and offsets are no rows of bytes and whole numbers; get it again")
    if (
        len(offsets) != len(labels) + 1
        or offsets[0] != 0
        or offsets[-1] != len(content)
        or (np.diff(offsets) < 0).any()
    ):
        raise InputError(f"{path} is damaged: the offsets do not divide its pictures; get it again")
    for start in range(0, len(labels), BATCH):
        numbers = range(start, min(start + BATCH, len(labels)))
        images = [
            _picture(content[offsets[number] : offsets[number + 1]], f"{path}, picture {number}") for number in numbers
        ]
        yield checked_batch(np.stack(images), labels[numbers.start : numbers.stop], PIXELS, range(10), str(path))


def _picture(content: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    try:
        with Image.open(BytesIO(content.tobytes()), formats=("JPEG",)) as image:
            if image.size != SHAPE[1:]:
                raise InputError(f"{where} has {image.width} x {image.height} pixels; expected 32 x 32")
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{where} is damaged ({error}); get the file again") from error
    return pixels.transpose(2, 0, 1).reshape(-1)
