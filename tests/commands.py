"""What the command line answers, for tests that call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
"""``command("export", run, ...)``, the fixture of that name."""
