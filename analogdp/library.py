"""The device cards and scenarios that travel with the package, in a checkout and in an installed copy alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from analogdp.errors import InputError
from analogdp.registry import suggestion

Kind = Literal["devices", "scenarios"]

_PACKAGE = Path(__file__).parent
_SUFFIX = ".yaml"


def folder(kind: Kind) -> Path:
    """Where the shipped files of a kind lie: inside an installed package, or beside it in a checkout."""
    installed = _PACKAGE / "library" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """Names of the shipped files, sorted; those in subfolders are like ``papers/two-tales``."""
    root = folder(kind)
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob(f"*{_SUFFIX}"))


def find(kind: Kind, name: str) -> Path:
    """The shipped file called ``name``.

    Raises:
        InputError: there is none; the message lists them and the nearest.
    """
    known = names(kind)
    if name not in known:
        raise InputError(f"unknown {kind.removesuffix('s')} {name!r}: {suggestion(name, known)}")
    return folder(kind) / f"{name}{_SUFFIX}"
