"""What is measured of a run: the same whether it was interrupted or not, and changing nothing of the run itself."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

import analogdp as adp
from analogdp.analysis.adversarial import accuracy_under_attack
from analogdp.data import load
from analogdp.learning.together import program
from analogdp.runs import Observer
from analogdp.runs import measured as measured_runs
from analogdp.runs.execute import Interrupted
from analogdp.scenario.schema import Scenario

MEASURE = {
    "alignment": {"every": 2, "until": 5},
    "lipschitz": True,
    "adversarial": {"strengths": [0.05, 0.2], "samples": 20, "steps": 2},
}


def scenario(folder: Path, **sections) -> Scenario:
    base = {
        "data": {"name": "digits", "train_limit": 60, "test_limit": 30},
        "network": {"layers": [64, 8, 7, 10]},
        "neuron": {"model": "dp", "alpha": 0.3},
        "dynamics": {"clock": "sweep"},
        "learning": {"batch": 20, "epochs": 2},
        "measure": MEASURE,
        "run": {"directory": str(folder), "device": "cpu"},
    }
    return Scenario.model_validate({**base, **sections})


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return adp.run(scenario(tmp_path_factory.mktemp("runs"), chips=2, mismatch={"gain": 0.05}))


def test_every_evaluation_has_the_measured_columns(measured):
    columns = [f"test_accuracy_{attack}_{strength}" for attack in ("fgsm", "pgd") for strength in (0.05, 0.2)]
    columns += ["lipschitz_weights", "lipschitz_layers", "lipschitz_jacobian"]
    assert len(measured.metrics) == 3 * 2
    assert all(np.isfinite(row[name]) for row in measured.metrics for name in columns)


def test_bounds_lie_above_each_other(measured):
    for row in measured.metrics:
        assert row["lipschitz_jacobian"] < row["lipschitz_layers"]
        assert row["lipschitz_weights"] < row["lipschitz_layers"]


def test_the_columns_are_those_of_the_network_at_that_time(measured):
    data = load(measured.scenario.data, measured.scenario.seed)
    found = accuracy_under_attack(measured.network, data, "fgsm", 0.2, bounds=(0.0, 1.0), samples=20)
    assert found.tolist() == [row["test_accuracy_fgsm_0.2"] for row in measured.final]


def test_angles_are_those_of_the_wanted_batches_layers_and_chips(measured):
    table = pyarrow.parquet.read_table(measured.directory / "alignment.parquet").to_pydict()
    expected = [(update, layer, chip) for update in (0, 2, 4) for layer in (1, 2, 3) for chip in (0, 1)]
    assert list(zip(table["update"], table["layer"], table["chip"], strict=True)) == expected
    assert [row["angle"] for row in measured.alignment] == table["angle"]
    assert all(0 < angle < 90 for angle in table["angle"])


def test_measuring_changes_nothing_else(measured, tmp_path):
    plain = adp.run(scenario(tmp_path, chips=2, mismatch={"gain": 0.05}, measure={}))
    for ours, theirs in zip(measured.metrics, plain.metrics, strict=True):
        assert {name: ours[name] for name in theirs} == theirs
    assert not (plain.directory / "alignment.parquet").exists()
    assert plain.alignment == []


def test_a_run_that_is_measured_is_trained_alone(tmp_path):
    assert program(scenario(tmp_path)) is None
    assert program(scenario(tmp_path, measure={})) is not None


class Stopping(Observer):
    """Asks a run to stop after some updates, as Ctrl-C does."""

    def __init__(self, update: int) -> None:
        self.update = update

    def advanced(self, progress) -> None:
        if progress.update == self.update:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [2, 5])
def test_a_run_that_was_interrupted_ends_with_the_same_rows(tmp_path, after, monkeypatch):
    monkeypatch.setattr(measured_runs, "GATHERED", 1)
    whole = adp.run(scenario(tmp_path / "whole"))
    run = {"directory": str(tmp_path / "stopped"), "device": "cpu", "checkpoint_every": 3}
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        adp.run(scenario(tmp_path, run=run), progress=Stopping(after))
    (directory,) = (tmp_path / "stopped").iterdir()
    resumed = adp.resume(directory)
    assert resumed.alignment == whole.alignment
    assert resumed.metrics == whole.metrics
    for name in ("alignment.parquet", "alignment.jsonl"):
        assert (resumed.directory / name).read_bytes() == (whole.directory / name).read_bytes()


def test_angles_below_neurons_that_jump_are_empty(tmp_path):
    neuron = {"model": "untied", "activation": "step", "modulator": "rectangle"}
    run = adp.run(scenario(tmp_path, neuron=neuron, measure={"alignment": {"until": 2}}))
    lowest = [row["angle"] for row in run.alignment if row["layer"] == 1]
    assert len(lowest) == 2
    assert np.isnan(lowest).all()
    assert (run.directory / "plots" / "alignment.png").is_file()


def test_the_report_shows_what_was_measured(measured):
    page = (measured.directory / "report.html").read_text()
    assert "Alignment with backpropagation" in page
    assert "Accuracy under attack" in page
    for name in ("alignment", "attacks", "lipschitz"):
        assert (measured.directory / "plots" / f"{name}.png").stat().st_size > 5_000
