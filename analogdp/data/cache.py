"""Data sets that take long to read, kept as plain arrays of bytes that are mapped into memory instead of read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analogdp.data.batches import Batch
from analogdp.errors import InputError
from analogdp.files import atomic_path

CACHE_VARIABLE = "ANALOGDP_CACHE"
"""Environment variable with the folder for downloads and converted data; by default the system's place for caches."""

CONVERSION = 1
"""Goes into the names of kept arrays: another number leaves those of older releases behind."""


def cache_directory() -> Path:
    """The folder for what can be had again; it need not exist."""
    # Importing it takes a tenth of a second.
    import pooch

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("analogdp"))


def converted(
    folder: str, sources: Sequence[Path], shape: tuple[int, int], batches: Iterable[Batch]
) -> tuple[np.memmap[Any, np.dtype[np.uint8]], Tensor]:
    """All batches as one array in a file, mapped into memory, and their labels; made when it is not there yet.

    What was made from files of the same paths, sizes and times of change is used again.

    Args:
        folder: of the data set in the cache.
        sources: the files that the batches come from.
        shape: samples in all of them, and numbers in a sample.
        batches: read only if need be.

    Raises:
        InputError: there are more or fewer samples, or the cache cannot be written to or is damaged.
    """
    directory = cache_directory() / folder
    key = _fingerprint(sources)
    inputs_file, labels_file = (directory / f"{key}-{part}.npy" for part in ("inputs", "labels"))
    if not (inputs_file.is_file() and labels_file.is_file()):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _convert(inputs_file, labels_file, sources, shape, batches)
        except OSError as error:
            problem = f"data: {folder} cannot be kept in {directory} ({error.strerror or error})"
            raise InputError(f"{problem}; name another folder by ${CACHE_VARIABLE}") from error
    try:
        return np.load(inputs_file, mmap_mode="r"), torch.from_numpy(np.load(labels_file))
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{inputs_file} or its labels are damaged ({error}); remove both, and they are made anew"
        ) from error


def _convert(
    inputs_file: Path, labels_file: Path, sources: Sequence[Path], shape: tuple[int, int], batches: Iterable[Batch]
) -> None:
    with atomic_path(inputs_file) as inputs_path, atomic_path(labels_file) as labels_path:
        inputs = np.lib.format.open_memmap(inputs_path, "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        labels = np.zeros(shape[0], np.int64)
        count = 0
        for batch, batch_labels in batches:
            until = count + len(batch)
            if until <= len(inputs):
                inputs[count:until], labels[count:until] = batch, batch_labels
            count = until
        if count != len(inputs):
            where = " to ".join({str(sources[0]): None, str(sources[-1]): None})
            raise InputError(f"{where}: {count:,} samples; expected {len(inputs):,}: get the files again")
        inputs.flush()
        np.save(labels_path, labels)


def _fingerprint(sources: Sequence[Path]) -> str:
    found = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return hashlib.blake2b(repr((CONVERSION, found)).encode(), digest_size=8).hexdigest()
