"""Where commands write: files that a user names, and output and error streams that may be closed at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO

from analogdp.errors import InputError


def open_closed_streams() -> None:
    """Give a process that was started without standard output or error, by ``>&-``, one that goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open to the end


def tell(line: str, stream: TextIO) -> None:
    """Write a line at once; when nobody reads any longer, this and all later ones go nowhere."""
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        let_go(stream)


def let_go(stream: TextIO) -> None:
    """Have a stream whose reader has left go nowhere, so that Python does not complain when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def check_file(path: Path, suffix: str) -> None:
    """Refuse a file to be written whose name or folder will not do, before any work is done for it.

    Raises:
        InputError: the name does not end in ``suffix``, or its folder is not there.
    """
    if path.suffix != suffix:
        raise InputError(f"{path}: a name that ends in {suffix} is needed")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.absolute().parent}")


def make_folder(path: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror or error}") from error
