from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch

import analogdp
from analogdp import api
from analogdp.data import load as load_data
from analogdp.errors import InputError, RunError
from analogdp.runs import Observer, Row, RunDirectory, change_manifest
from analogdp.scenario import Scenario, load_scenario


def tiny(directory: Path, **sections: Any) -> Scenario:
    """Three updates of a small network of ideal weights."""
    learning = {"epochs": 1, "batch": 500, **sections.pop("learning", {})}
    run = {"directory": directory / "runs", "device": "cpu", **sections.pop("run", {})}
    network = {"layers": [64, 12, 10]}
    return Scenario.model_validate({"name": "tiny", "network": network, "learning": learning, "run": run, **sections})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> api.Result:
    """A run of two chips with physical cells, for tests that only look at it."""
    folder = tmp_path_factory.mktemp("finished")
    return api.run(tiny(folder, chips=2, synapse={"model": "crossbar", "device": "reram_sb"}, noise={"membrane": 0.01}))


def test_a_run_leaves_what_it_promises(finished: api.Result) -> None:
    names = {path.name for path in finished.directory.iterdir()}
    promised = {"scenario.yaml", "manifest.json", "metrics.parquet", "metrics.jsonl", "checkpoints", "log.txt"}
    assert promised | {"conductances.h5", "report.html", "plots"} <= names
    assert [name for name in names if name.startswith(".") and name != ".lock"] == []
    assert finished.directory.name == "tiny-1"
    assert finished.status == "finished"
    assert finished.report == finished.directory / "report.html"
    assert finished.exports == [finished.directory / name for name in ("conductances.h5", "conductances.h5.json")]


def test_metrics_have_a_row_for_every_evaluation_and_chip(finished: api.Result) -> None:
    assert [(row["epoch"], row["chip"]) for row in finished.metrics] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    table = pyarrow.parquet.read_table(finished.directory / "metrics.parquet")
    assert table["test_accuracy"].to_pylist() == [row["test_accuracy"] for row in finished.metrics]
    last = [row["test_accuracy"] for row in finished.final]
    assert finished.accuracy == pytest.approx(sum(last) / 2)


def test_an_opened_run_is_the_run_that_was_made(finished: api.Result) -> None:
    opened = analogdp.open_run(finished.directory)
    assert opened.scenario == finished.scenario
    assert opened.metrics == finished.metrics
    ours, theirs = opened.network.state_dict(), finished.network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_the_recorded_scenario_runs_to_the_same_numbers(finished: api.Result, tmp_path: Path) -> None:
    again = api.run(load_scenario(finished.directory / "scenario.yaml"), out=tmp_path / "again")
    assert again.metrics == finished.metrics
    assert (again.directory / "conductances.h5").read_bytes() == finished.exports[0].read_bytes()


def test_a_run_says_what_its_chips_took(finished: api.Result) -> None:
    assert finished.energy is not None
    reads = finished.energy.parts[0]
    assert (reads.name, reads.assumption[:5]) == ("reads, bottom-up", "0.2 V")
    samples = len(load_data(finished.scenario.data, finished.scenario.seed).train_inputs)
    steps = sum(row["settle_steps_mean"] for row in finished.final) / 2
    dt = finished.scenario.dynamics.time_step(finished.scenario)
    assert reads.training_time == pytest.approx(samples * steps * dt)


def test_a_result_shows_itself_in_text_and_in_a_notebook(finished: api.Result) -> None:
    assert "status: finished" in repr(finished)
    assert "test accuracy" in repr(finished)
    assert "±" in finished._repr_html_()
    assert "<td>tiny</td>" in finished._repr_html_()


def test_a_finished_run_is_not_run_again(finished: api.Result) -> None:
    before = (finished.directory / "manifest.json").read_bytes()
    messages: list[str] = []

    class Listener(Observer):
        def said(self, message: str) -> None:
            messages.append(message)

    assert analogdp.resume(finished.directory, progress=Listener()).status == "finished"
    assert messages == [f"{finished.directory} is finished; nothing to do"]
    assert (finished.directory / "manifest.json").read_bytes() == before


def test_a_run_in_progress_cannot_be_resumed_by_another(finished: api.Result) -> None:
    with RunDirectory(finished.directory).locked(), pytest.raises(InputError, match="by another process"):
        api.resume(finished.directory)


def test_ideal_weights_export_no_conductances(tmp_path: Path) -> None:
    result = api.run(tiny(tmp_path, learning={"epochs": 0}))
    assert result.exports == []
    assert not (result.directory / "conductances.h5").exists()
    assert len(result.metrics) == 1


def test_the_observer_hears_of_every_update_and_evaluation(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listener(Observer):
        def started(self, directory: Path, update: int, total_updates: int, updates_per_epoch: int) -> None:
            heard.append(f"started {update}/{total_updates}")

        def advanced(self, progress: Any) -> None:
            heard.append(f"update {progress.update}")

        def evaluated(self, rows: list[Row]) -> None:
            heard.append(f"evaluated {rows[0]['update']}")

    api.run(tiny(tmp_path), progress=Listener())
    assert heard == ["started 0/3", "evaluated 0", "update 1", "update 2", "update 3", "evaluated 3"]


@pytest.mark.parametrize(("asked", "used"), [(2, 2), (None, 1)])
def test_threads_are_those_of_the_scenario_or_one_for_a_small_network_and_recorded(
    tmp_path: Path, asked: int | None, used: int
) -> None:
    torch.set_num_threads(3)
    seen: list[int] = []

    class Listener(Observer):
        def evaluated(self, rows: list[Row]) -> None:
            seen.append(torch.get_num_threads())

    result = api.run(tiny(tmp_path, learning={"epochs": 0}, run={"threads": asked}), progress=Listener())
    assert seen == [used]
    assert result.manifest.threads == used
    assert torch.get_num_threads() == 3


def test_a_diverged_run_keeps_its_data_and_is_not_resumed(tmp_path: Path) -> None:
    wild = tiny(tmp_path, network={"layers": [64, 12, 10], "gain": 50}, neuron={"model": "dp", "alpha": 0.9, "beta": 5})
    with pytest.raises(RunError, match=r"diverged: layer \d of chip 0"):
        api.run(wild)
    result = api.open_run(tmp_path / "runs" / "tiny-1")
    assert result.status == "diverged"
    assert "layer" in repr(result)
    assert result.report is not None
    assert (result.directory / "metrics.parquet").exists()
    with pytest.raises(RunError, match="diverged and would again"):
        api.resume(result.directory)


def test_missing_data_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALOGDP_DATA", raising=False)
    with pytest.raises(InputError, match="mnist"):
        api.run(tiny(tmp_path, data={"name": "mnist"}, network={"layers": [784, 10]}))
    assert list(tmp_path.iterdir()) == []


def test_a_scenario_that_cannot_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="memory"):
        api.run(tiny(tmp_path, network={"layers": [64, 10**12, 10]}))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists; a run needs a new directory"):
        api.run(tiny(tmp_path), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot make a run directory in /proc/runs"):
        api.run(tiny(tmp_path, run={"directory": "/proc/runs"}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_an_input_error(tmp_path: Path, finished: api.Result) -> None:
    with pytest.raises(InputError, match=r"cuda.* is not there"):
        api.run(tiny(tmp_path, run={"device": "cuda:1"}))
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_with_other_versions_after_saying_so(tmp_path: Path) -> None:
    result = api.run(tiny(tmp_path))
    run = RunDirectory(result.directory)
    run.report.unlink()
    versions = {**result.manifest.versions, "torch": "1.0"}
    change_manifest(run, status="interrupted", versions=versions)
    messages: list[str] = []

    class Listener(Observer):
        def said(self, message: str) -> None:
            messages.append(message)

    assert api.resume(run.path, progress=Listener()).status == "finished"
    assert "other versions than at the start (torch)" in messages[0]
    assert run.report.exists()


def test_the_public_names_are_there_and_others_are_not() -> None:
    assert set(analogdp.__all__) <= set(dir(analogdp))
    assert all(getattr(analogdp, name) for name in analogdp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = analogdp.runn  # type: ignore[attr-defined]


def test_one_chip_of_many_can_be_run_alone_and_is_the_same(make_scenario, tmp_path):
    sections = {
        "chips": 3,
        "learning": {"epochs": 1, "batch": 20},
        "mismatch": {"gain": 0.05},
        "noise": {"membrane": 0.01},
        "synapse": {"model": "crossbar", "device": "ecram_mo"},
    }
    whole = api.run(make_scenario(**sections), out=tmp_path / "all")
    alone = api.run(make_scenario(**sections, run={"only_chips": [1]}), out=tmp_path / "one")
    assert [row["chip"] for row in alone.final] == [1]
    assert alone.final[0] == next(row for row in whole.final if row["chip"] == 1)


@pytest.mark.parametrize(("chips", "message"), [([3], "chips of this scenario: 0 to 2"), ([1, 1], "named twice")])
def test_chips_that_a_scenario_does_not_have_are_refused(make_scenario, chips, message):
    with pytest.raises(ValueError, match=message):
        make_scenario(chips=3, run={"only_chips": chips})
