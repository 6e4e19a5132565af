"""Runs decks in ngspice, and reads what they write."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

NGSPICE = Path("/usr/bin/ngspice")
needs_ngspice = pytest.mark.skipif(not NGSPICE.exists(), reason="needs ngspice at /usr/bin/ngspice")


def run(deck: Path) -> None:
    """Simulate a deck in the folder where it lies."""
    done = subprocess.run([NGSPICE, "-b", deck.name], cwd=deck.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in done.stderr, done.stderr


def printed(path: Path) -> dict[str, float]:
    """Signals of an operating point, by their names."""
    pairs = [line.split(" = ") for line in path.read_text().splitlines() if " = " in line]
    return {name: float(value) for name, value in pairs}


def waves(path: Path) -> dict[str, np.ndarray]:
    """Signals of a transient, by their names; ``time`` is one."""
    first, *rows = path.read_text().splitlines()
    return dict(zip(first.split(), np.array([row.split() for row in rows], dtype=float).T, strict=True))
