"""The independent engine's process: ``python -m analogdp.verification.worker FOLDER...`` runs the job in each folder."""

from __future__ import annotations

import sys
from pathlib import Path

from analogdp.verification.brian import simulate
from analogdp.verification.job import Job


def main(folders: list[str]) -> None:
    """Run the job of every folder and leave its outcome there."""
    for folder in map(Path, folders):
        simulate(Job.load(folder)).save(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
