"""A disk without room, as far as files of this process go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from resource import RLIMIT_FSIZE, getrlimit, setrlimit


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """No file can become larger than ``bytes_left``."""
    before = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        setrlimit(RLIMIT_FSIZE, before)
