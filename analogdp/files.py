"""Files that are complete or absent: written under a temporary name in the same directory, synced, then renamed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from analogdp.errors import InputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` for the body to write; it takes the name ``path`` when the body succeeds.

    If the body fails, the temporary file is removed and whatever stood at ``path`` is untouched.

    Raises:
        OSError: of ``path``, where the temporary file could not be made or written.
    """
    with _told_of(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside ``path`` for the body to fill; it takes the name ``path`` when the body succeeds.

    A folder that stood there is removed then. If the body fails, the new one is removed and the other untouched.

    Raises:
        OSError: of ``path``, where the temporary folder could not be made or filled.
    """
    with _told_of(path):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path)))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync(file)
            if path.is_dir():
                old = temporary.with_name(f"{temporary.name}.old")
                path.rename(old)
                temporary.rename(path)
                shutil.rmtree(old)
            else:
                temporary.rename(path)
            _sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _prefix(path: Path) -> str:
    """Of temporary names, which may be longer than a name that is just short enough; bytes count."""
    return f".{path.name[:40]}."


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Have errors that name a temporary file, or none, name what it was to become."""
    try:
        yield
    except OSError as error:
        temporary = str(path.parent.absolute() / _prefix(path))
        if error.errno is None or not str(Path(str(error.filename or temporary)).absolute()).startswith(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class _KeptError(io.FileIO):
    """A file that goes on as if nothing had happened when it cannot be written.

    Attributes:
        error: why, or None.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        length = len(rest)
        with self._kept():
            while len(rest):
                rest = rest[super().write(rest) :]
        return length

    def truncate(self, size: int | None = None) -> int:
        with self._kept():
            super().truncate(size)
        return self.tell() if size is None else size

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or OSError(error.errno, error.strerror, str(self.name))


@contextmanager
def written_by_library(path: Path) -> Iterator[io.FileIO]:
    """A new file for a library that crashes when it cannot write, as HDF5 does on a full disk; afterwards that is told.

    Raises:
        OSError: the file could not be written.
    """
    with _KeptError(path, "w+") as file:
        try:
            yield file
        except Exception:
            # What a library makes of a file that holds less than it wrote says nothing.
            if file.error is None:
                raise
        if file.error is not None:
            raise file.error


def refuse_existing(path: Path, what: str) -> None:
    """Refuse a target that is there already, whose name cannot be, or that cannot be made where it is wanted.

    Raises:
        InputError: with the way out; ``what`` needs the target.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r} cannot be the name of {what}: {reason}") from None
    else:
        raise InputError(f"{path} exists; {what} needs a new name: choose another or remove it")
    if not path.parent.is_dir():
        raise InputError(
            f"{path.parent} is not a folder; {what} needs one to be written to: make it, or choose another"
        )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    write_bytes(path, content.encode())


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_format(path: Path, attributes: Mapping[str, Any], name: str, newest: int, wanted: str) -> None:
    """Refuse a file that is not of the format ``name``, or of a version that this release does not know.

    Args:
        path: of the file.
        attributes: its own, with ``format`` and ``format_version``.
        name: of the format.
        newest: version that can be read.
        wanted: which file of a run it should be.

    Raises:
        InputError: with what to give, or to install.
    """
    if attributes.get("format") != name:
        raise InputError(f"{path}: an HDF5 file, but not of the format '{name}'; give the {wanted} of a run")
    check_version(path, int(attributes["format_version"]), newest)


def check_version(path: Path, found: int, newest: int) -> None:
    """Refuse a version of a file's format that there is not, or not yet in this release.

    Raises:
        InputError: with what to install.
    """
    if found < 1:
        raise InputError(f"{path}: there is no format version {found}; versions count from 1")
    if found > newest:
        raise InputError(
            f"{path}: format version {found}, but this release of analogdp reads versions up to {newest}: install a newer one"
        )
