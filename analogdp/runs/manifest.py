"""What a run's manifest says: what ran, with which versions, where, and how it ended."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from analogdp import __version__
from analogdp.errors import InputError
from analogdp.files import checksum, write_text
from analogdp.runs.directory import REPORT, RunDirectory

Status = Literal["running", "interrupted", "finished", "diverged", "failed"]
_GIT_SECONDS = 5.0


class Manifest(BaseModel):
    """The contents of ``manifest.json``.

    Attributes:
        format: version of this list of fields.
        status: how far the run came; ``running`` with nobody holding the lock means that its process was killed.
        reason: why, for ``diverged``, ``failed`` and ``interrupted``.
        scenario: its name.
        versions: of analogdp, Python, torch, numpy and the platform.
        seed: the scenario's.
        device: where it was computed, for example ``cpu`` or ``cuda:0``.
        threads: CPU threads; sums depend on their number in the last bit, so a resumed run uses the same.
        git_revision: of the checkout that the scenario lies in, ``-dirty`` if it was modified; None outside of one.
        command: the command line of the process that started the run.
        started, ended: in ISO 8601, UTC; ``ended`` is None while running.
        resumed: when the run was taken up again.
        exports: names of the files that the scenario's exporters wrote.
        checksums: SHA-256 of the files of an ended run, by name relative to the run directory.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    status: Status = "running"
    reason: str = ""
    scenario: str
    versions: dict[str, str]
    seed: int
    device: str
    threads: int
    git_revision: str | None = None
    command: list[str] = []
    started: str
    ended: str | None = None
    resumed: list[str] = []
    exports: list[str] = []
    checksums: dict[str, str] = {}

    @property
    def concluded(self) -> bool:
        """Whether the run came to its end and everything was written; the report is the last to be."""
        return self.status in ("finished", "diverged") and REPORT in self.checksums

    def to_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2) + "\n"


def new_manifest(scenario: str, seed: int, device: str, threads: int, folder: Path) -> Manifest:
    """The manifest of a run that starts now; ``scenario`` is its name, and ``folder`` where it comes from."""
    return Manifest(
        scenario=scenario,
        versions=versions(),
        seed=seed,
        device=device,
        threads=threads,
        git_revision=git_revision(folder),
        command=list(sys.argv),
        started=now(),
    )


def read_manifest(run: RunDirectory) -> Manifest:
    """The manifest of a run.

    Raises:
        InputError: it is not readable as one.
    """
    try:
        return Manifest.model_validate_json(run.manifest.read_bytes())
    except (ValidationError, OSError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{run.manifest}: damaged{f' at {place}' if place else ''}: {first['msg']}") from error


def change_manifest(run: RunDirectory, **changes: object) -> Manifest:
    """Replace fields of a run's manifest, atomically."""
    manifest = read_manifest(run).model_copy(update=changes)
    write_text(run.manifest, manifest.to_json())
    return manifest


def status_now(run: RunDirectory, manifest: Manifest) -> Status:
    """The status, seen from outside: a run that nobody works on is not running, whatever its killed process wrote."""
    return "interrupted" if manifest.status == "running" and not run.is_locked() else manifest.status


def file_checksums(run: RunDirectory) -> dict[str, str]:
    """SHA-256 of every file of an ended run, by relative name."""
    return {file.relative_to(run.path).as_posix(): checksum(file) for file in run.finished_files()}


def versions() -> dict[str, str]:
    """Versions of what computes a run."""
    return {
        "analogdp": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
    }


def git_revision(folder: Path) -> str | None:
    """The commit checked out in ``folder``, ``-dirty`` if modified; None without git, a checkout or an answer."""
    # A checkout's own settings may name programs for git to start; this one would be.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(
            [*command, "--exclude=*"], capture_output=True, text=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def now() -> str:
    """The present time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
