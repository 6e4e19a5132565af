"""Reads files and members of archives into memory, by name and within bounds; nothing is unpacked onto the disk."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError

LARGEST = 1_000_000_000
"""Bytes that are taken from an archive at most: twice the largest batch of any data set here."""


def read_bytes(path: Path) -> bytes:
    """A whole file.

    Raises:
        InputError: it cannot be read, or is beyond all bounds.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} has more than {LARGEST:,} bytes; it is not the file it should be")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; get it again") from error


def read_tar(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Contents of the members of those names, of a tar archive packed by gzip.

    Raises:
        InputError: the archive is damaged, lacks a member, or has one beyond all bounds.
    """
    found: dict[str, bytes] = {}
    room = LARGEST
    try:
        with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
            for member in archive:
                # Those that are passed over have to be unpacked as well, so they count.
                room -= member.size
                if room < 0:
                    break
                file = archive.extractfile(member) if member.name in names and member.isfile() else None
                if file is not None:
                    found[member.name] = file.read()
            # Behind the last member stands the checksum of all, which is looked at when everything has been read.
            if room < 0 or len(packed.read(room + 1)) > room:
                raise InputError(f"{path} unpacks to more than {LARGEST:,} bytes; it is not the file it should be")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); get it again") from error
    missing = sorted(set(names) - found.keys())
    if missing:
        raise InputError(f"{path} has no {missing[0]}; it is not the file it should be")
    return found


def read_npz(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The arrays of those names in an NPZ file; arrays of Python objects are refused.

    Raises:
        InputError: the file is damaged, lacks an array, or is beyond all bounds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise InputError(f"{path} unpacks to more than {LARGEST:,} bytes; it is not the file it should be")
        with np.load(path, allow_pickle=False) as arrays:
            missing = sorted(set(names) - set(arrays.files))
            if missing:
                known = ", ".join(sorted(arrays.files)) or "nothing"
                raise InputError(f"{path} has no array {missing[0]}; it has {known}")
            return {name: arrays[name] for name in names}
    except (zipfile.BadZipFile, ValueError, EOFError, zlib.error, MemoryError, RuntimeError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); get it again") from error
