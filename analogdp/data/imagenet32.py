"""ImageNet in 32 x 32 pixels, from the batches of its publisher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from analogdp import registry
from analogdp.data.archives import read_npz
from analogdp.data.base import Dataset
from analogdp.data.batches import Batch, checked_batch
from analogdp.data.cache import converted
from analogdp.data.files import FileSettings
from analogdp.data.pickles import read_pickle_file
from analogdp.scenario.data import DataSettings

SHAPE = (3, 32, 32)
PIXELS = 3072
LABELS = range(1, 1001)
"""As they are numbered in the files."""

TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = ("val_data",)


class Imagenet32Settings(FileSettings):
    """The ImageNet32x32 section."""

    folder = "imagenet32"
    files = "train_data_batch_1 to train_data_batch_10 and val_data, as they are or with .npz,"
    train_samples = 1_281_167
    test_samples = 50_000
    input_bytes = 0

    name: Literal["imagenet32"] = "imagenet32"

    def sizes(self) -> tuple[int, int]:
        return PIXELS, len(LABELS)

    def shape(self) -> tuple[int, ...]:
        return SHAPE


@registry.datasets.register("imagenet32")
class Imagenet32:
    """Photographs of 1000 classes, 32 x 32 pixels in colour (Chrabaszcz et al. 2017); needs its batches.

    The classes are named by their numbers in the files. The pictures are kept as 4 GB of bytes in the cache, and mapped
    into memory.
    """

    Settings = Imagenet32Settings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """The published training and validation parts, in their order."""
        assert isinstance(settings, Imagenet32Settings)
        parts = {TRAIN: settings.train_samples, TEST: settings.test_samples}
        files = {names: [settings.find((name, f"{name}.npz")) for name in names] for names in parts}
        train, test = (
            converted(settings.folder, files[names], (samples, PIXELS), read_batches(files[names]))
            for names, samples in parts.items()
        )
        return Dataset.of_classes(settings.name, tuple(map(str, LABELS)), train, test)


def read_batches(paths: Sequence[Path]) -> Iterator[Batch]:
    """Pictures ``(samples, 3072)``, bytes by colour, row and column, and labels from 0, file by file.

    Raises:
        InputError: a file is damaged.
    """
    for path in paths:
        npz = path.suffix == ".npz"
        batch = read_npz(path, ("data", "labels")) if npz else read_pickle_file(path)
        yield checked_batch(batch.get("data"), batch.get("labels"), PIXELS, LABELS, str(path))
