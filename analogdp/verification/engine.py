"""Starts the independent engine in a process of its own and brings its outcomes back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analogdp.errors import RunError
from analogdp.verification.job import Job, Outcome

TIMEOUT = 600.0
"""Seconds that the engine may take."""

PACKAGES = Path(__file__).parents[2]
"""Where this package can be imported from, also when it is not installed."""


def run_jobs(jobs: Sequence[Job], timeout: float = TIMEOUT) -> list[Outcome]:
    """Run jobs one after the other in one new process, which ends with them.

    Raises:
        RunError: the engine failed or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="analogdp-verification-") as place:
        folders = [Path(place) / str(number) for number in range(len(jobs))]
        for folder, job in zip(folders, jobs, strict=True):
            folder.mkdir()
            job.save(folder)
        _work(Path(place), folders, timeout)
        return [Outcome.load(folder, job.plan) for folder, job in zip(folders, jobs, strict=True)]


def _work(place: Path, folders: list[Path], timeout: float) -> None:
    # Warnings of Brian2's own dependencies are none of the user's business.
    command = [sys.executable, "-W", "ignore", "-m", "analogdp.verification.worker", *map(str, folders)]
    paths = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            cwd=place,
            # After an error Brian2 leaves reports in the folder for temporary files, which go with this one.
            env=os.environ | {"PYTHONPATH": paths, "TMPDIR": str(place)},
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"Brian2 was not done after {timeout:g} s; take fewer steps or samples, or a smaller network"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RunError(f"Brian2 failed: {lines[-1] if lines else f'it ended with code {done.returncode}'}")
