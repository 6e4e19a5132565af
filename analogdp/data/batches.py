"""Batches of pictures with their labels, checked before anybody computes with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Samples ``(samples, numbers)``, bytes, and their labels ``(samples,)``, from 0."""


def checked_batch(images: object, labels: object, numbers: int, classes: range, where: str) -> Batch:
    """Pictures and labels as they were found in a file, if that is what they are.

    Args:
        images: ``(samples, numbers)``, bytes.
        labels: ``(samples,)``, a list or an array.
        numbers: in a picture.
        classes: what the labels may be; the first of them becomes 0.
        where: what to call the file in messages.

    Raises:
        InputError: they are something else, or do not fit each other.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (numbers,):
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InputError(f"{where}: the pictures are {found}; expected uint8 (samples, {numbers}): get the file again")
    try:
        found_labels = np.asarray(labels)
    except ValueError:
        found_labels = np.empty(0)
    if found_labels.shape != images.shape[:1] or found_labels.dtype.kind not in "ui":
        raise InputError(f"{where} has no whole number as a label for each of its {len(images)} pictures; get it again")
    outside = found_labels[(found_labels < classes.start) | (found_labels >= classes.stop)]
    if len(outside):
        allowed = f"{classes.start} to {classes.stop - 1}"
        raise InputError(f"{where} has the label {outside[0]}; expected {allowed}: get the file again")
    return images, found_labels.astype(np.int64) - classes.start


def joined(batches: list[Batch]) -> Batch:
    """Several batches as one."""
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)
