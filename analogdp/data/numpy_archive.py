"""Arrays in a NumPy archive, as ``numpy.savez`` writes it; Python objects in it are never loaded."""

from __future__ import annotations

import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp.errors import InputError
from analogdp.registry import suggestion

MOST_CLASSES = 100_000
NUMBERS, TEXTS = "biuf", "U"
"""Kinds of elements, as NumPy abbreviates them."""

_DAMAGES = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


class NumpyArchive:
    """An archive, of which arrays are read one by one.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, is no such archive, or holds Python objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            headers = _read_headers(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
        except _DAMAGES as error:
            raise InputError(f"{path} is no archive of arrays ({error}); write it with numpy.savez") from error
        self.shapes = {name: shape for name, (shape, _) in headers.items()}
        self._types = {name: dtype for name, (_, dtype) in headers.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, from its header.

        Raises:
            InputError: there is no such array.
        """
        if name not in self.shapes:
            raise InputError(f"{self.path} has no array {name!r}; {suggestion(name, self.shapes)}")
        return self.shapes[name]

    def shape_of_numbers(self, name: str) -> tuple[int, ...]:
        """The shape of an array of numbers, from its header.

        Raises:
            InputError: there is no such array, or it has something else.
        """
        self._require(name, NUMBERS)
        return self.shapes[name]

    def numbers(self, name: str) -> Tensor:
        """An array as ``(samples, numbers)``: bytes as they are, all else as floats.

        Raises:
            InputError: it cannot be read, or has something else than finite numbers.
        """
        array = self._array(name, NUMBERS)
        if array.dtype != np.uint8:
            array = array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)
        flat = array.reshape(len(array), -1)
        wrong = np.flatnonzero(~np.isfinite(flat).all(1))
        if len(wrong):
            place = f"{self.path}: {name}[{wrong[0]}]"
            raise InputError(f"{place} has a number that is not finite; correct it, or leave the sample away")
        return torch.from_numpy(np.ascontiguousarray(flat))

    def labels(self, name: str) -> Tensor:
        """Numbers of classes, int64 ``(samples,)``.

        Raises:
            InputError: it cannot be read, or has something else than a whole number from 0 for each sample.
        """
        array = self._array(name, NUMBERS)
        if array.size != len(array):
            raise InputError(f"{self.path}: {name} has the shape {array.shape}; it must have one label for each sample")
        flat = array.reshape(-1)
        wrong = np.flatnonzero(~((flat >= 0) & (flat < MOST_CLASSES) & (flat == np.floor(flat))))
        if len(wrong):
            raise InputError(
                f"{self.path}: {name}[{wrong[0]}] is {flat[wrong[0]]:g}; labels are whole numbers, 0 for the first class; "
                f"or use task: regression, with targets"
            )
        return torch.from_numpy(flat.astype(np.int64))

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of texts.

        Raises:
            InputError: it cannot be read, or has something else.
        """
        return tuple(map(str, self._array(name, TEXTS).reshape(-1)))

    def _require(self, name: str, kinds: str) -> None:
        """Refuse an array that is missing, or whose elements are of another kind."""
        self.shape(name)
        if self._types[name].kind not in kinds:
            wanted = "texts" if kinds == TEXTS else "real numbers"
            raise InputError(f"{self.path}: {name} has elements of type {self._types[name]}, not {wanted}")

    def _array(self, name: str, kinds: str) -> NDArray[Any]:
        self._require(name, kinds)
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                array: NDArray[Any] = archive[name]
        except _DAMAGES as error:
            message = f"{self.path}: {name} cannot be read ({error}); write the file again with numpy.savez"
            raise InputError(message) from error
        return array


@lru_cache(maxsize=8)
def _read_headers(path: Path, stamp: int) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shapes of all arrays and the types of their elements."""
    layout = np.lib.format
    readers = {(1, 0): layout.read_array_header_1_0, (2, 0): layout.read_array_header_2_0}
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                shape, _, dtype = readers[layout.read_magic(file)](file)  # type: ignore[no-untyped-call]
            name = member.removesuffix(".npy")
            if dtype.hasobject:
                raise InputError(
                    f"{path}: {name} has Python objects, which are not loaded; save numbers, with one dtype"
                )
            headers[name] = shape, dtype
    return headers
