"""Takes the figures of the documentation out of the notebooks that drew them: python docs/figures.py."""

from __future__ import annotations

import base64
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURES = {
    "sweeps": ("asymmetric-nudging", 1),
    "loop-gain": ("asymmetric-nudging", 2),
    "spectra": ("asymmetric-nudging", 4),
    "phase-diagrams": ("phase-diagrams", 1),
    "roots": ("phase-diagrams", 3),
    "critical": ("phase-diagrams", 4),
    "mismatch": ("hardware", 2),
    "time-constants": ("hardware", 3),
    "delays-boundary": ("hardware", 4),
    "clocks": ("asynchronous", 1),
    "random-clocks": ("asynchronous", 3),
    "delays": ("asynchronous", 5),
    "bench": ("bench", 2),
}
"""Which picture of which notebook, by the figure's name."""


def pictures(notebook: str) -> list[bytes]:
    """All PNG pictures of a notebook, in order."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    data = (output.get("data", {}) for cell in cells for output in cell.get("outputs", ()))
    return [base64.b64decode("".join(own["image/png"])) for own in data if "image/png" in own]


def figure(name: str) -> bytes:
    """A figure as its notebook has it."""
    notebook, number = FIGURES[name]
    return pictures(notebook)[number - 1]


if __name__ == "__main__":
    for name in FIGURES:
        (ROOT / "docs" / "figures" / f"{name}.png").write_bytes(figure(name))
