"""Synthetic run directories with realistic numbers, for tests of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from analogdp.exports import write_conductances
from analogdp.files import checksum
from analogdp.scenario.schema import Scenario
from tests.exports.networks import fake_network

SCENARIO = """\
name: digits-asymmetric
description: {description}
seed: 7
data: {{name: digits, test_fraction: 0.2}}
network: {{layers: [64, 32, 10], loss: least_squares}}
chips: {chips}
"""

MANIFEST = {
    "status": "finished",
    "reason": "",
    "versions": {"analogdp": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "platform": "Linux-6.1"},
    "seed": 7,
    "device": "cpu",
    "threads": 2,
    "git_revision": "57b3d83",
    "command": ["analogdp", "run", "scenarios/my scenario.yaml"],
    "started": "2026-01-05T10:00:00+00:00",
    "ended": "2026-01-05T10:00:48+00:00",
}


def metric_rows(epochs: int, chips: int, pulses: bool = True, classifies: bool = True) -> list[dict[str, Any]]:
    """One row per epoch and chip: learning that slows down."""
    numbers = np.random.default_rng(5)
    rows = []
    for epoch in range(epochs + 1):
        for chip in range(chips):
            error = 0.87 * np.exp(-epoch / 2) + 0.03 + 0.004 * numbers.standard_normal()
            loss = 0.4 * error + 0.02
            row = {
                "epoch": epoch,
                "update": 45 * epoch,
                "chip": chip,
                "train_loss": 0.9 * loss,
                "train_accuracy": 1.01 - error,
                "test_loss": loss,
                "test_accuracy": 1 - error,
                "test_loss_noise_free": 0.95 * loss,
                "test_accuracy_noise_free": 1.005 - error,
                "settle_steps_mean": 18 + 6 * np.exp(-epoch) + numbers.standard_normal(),
                "settle_steps_max": 60.0,
                "settled_fraction": 1 - 0.05 * np.exp(-epoch),
                "pulses_up": int(40_000 / (1 + epoch)) if pulses and epoch else 0,
                "pulses_down": int(38_000 / (1 + epoch)) if pulses and epoch else 0,
            }
            rows.append(row if classifies else {key: row[key] for key in row if "accuracy" not in key})
    return rows


def make_run(
    directory: Path,
    *,
    epochs: int = 10,
    chips: int = 3,
    sizes: tuple[int, ...] = (64, 32, 10),
    crossbars: bool = True,
    journal: bool = False,
    classifies: bool = True,
    network: Any = None,
    exported: Scenario | None = None,
    description: str = "Asymmetric nudging on soft-bounds ReRAM with 2 % mismatch",
    **manifest: Any,
) -> Path:
    """A run directory; further arguments replace keys of its manifest, None removes them.

    ``network`` and ``exported``, whose crossbars are in it and the scenario they are exported with, have defaults.
    """
    directory.mkdir()
    (directory / "scenario.yaml").write_text(SCENARIO.format(description=json.dumps(description), chips=chips))
    rows = metric_rows(epochs, chips, crossbars, classifies) if epochs >= 0 else []
    if journal:
        (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), directory / "metrics.parquet")
    if crossbars:
        made = network or fake_network(sizes, tuple(range(chips)), tile=(32, 32))
        write_conductances(directory / "conductances.h5", made, exported or Scenario(name="digits-asymmetric"))
    files = sorted(path for path in directory.iterdir())
    content = {**MANIFEST, "checksums": {path.name: checksum(path) for path in files}, **manifest}
    (directory / "manifest.json").write_text(
        json.dumps({key: value for key, value in content.items() if value is not None})
    )
    return directory
