"""A trainer that needs no network, and run directories to try it in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from analogdp.learning import Progress
from analogdp.runs import Manifest, Products, Row, RunDirectory, new_manifest
from analogdp.runs.directory import MANIFEST, REPORT, SCENARIO
from analogdp.streams import stream


class WalkingLearner:
    """Moves a vector of weights by seeded random steps; counts pulses since the last evaluation."""

    def __init__(self, total_updates: int = 12, updates_per_epoch: int = 4) -> None:
        self.total_updates, self.updates_per_epoch = total_updates, updates_per_epoch
        self.weights = torch.zeros(5)
        self.counters = torch.zeros(2, dtype=torch.int64)
        self.on_advance: Callable[[int], None] = lambda update: None

    @property
    def update(self) -> int:
        return int(self.counters[0])

    def advance(self) -> Progress:
        self.on_advance(self.update)
        self.weights += torch.randn(5, generator=stream(3, "walk", self.update))
        self.counters += torch.tensor([1, self.update % 3])
        epoch = self.update // self.updates_per_epoch
        return Progress(
            update=self.update, epoch=epoch, loss=float(self.weights.norm()), accuracy=None, settle_steps=7.0
        )

    def evaluate(self) -> list[Row]:
        rows: list[Row] = [
            {
                "epoch": self.update // self.updates_per_epoch,
                "update": self.update,
                "chip": chip,
                "pulses_up": int(self.counters[1]),
                "test_loss": float(self.weights.square().sum()) + chip,
            }
            for chip in range(2)
        ]
        self.counters[1] = 0
        return rows

    def tensors(self) -> dict[str, Tensor]:
        return {"weights": self.weights, "counters": self.counters}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self.weights.copy_(tensors["weights"])
        self.counters.copy_(tensors["counters"])


@pytest.fixture
def learner() -> Callable[..., WalkingLearner]:
    return WalkingLearner


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return new_manifest("walk", seed=3, device="cpu", threads=1, folder=tmp_path)


@pytest.fixture
def new_run(tmp_path: Path, manifest: Manifest) -> Callable[[], RunDirectory]:
    """Makes run directories with a scenario that nobody reads."""
    files = {SCENARIO: "name: walk\n", MANIFEST: manifest.to_json()}
    return lambda: RunDirectory.create(tmp_path / "runs", "walk", files)


@pytest.fixture
def products() -> Callable[[RunDirectory], Products]:
    """One export and a report, as plain text files."""

    def make(run: RunDirectory) -> Products:
        def export() -> list[Path]:
            run.conductances.write_text("cells")
            return [run.conductances]

        return Products(export, lambda: (run.path / REPORT).write_text("page") and None)

    return make
