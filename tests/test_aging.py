"""Finished runs whose cells are left alone: what the package and the command line tell of them, and leave behind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analogdp
from analogdp import api
from analogdp.errors import InputError
from analogdp.files import checksum
from analogdp.reports import write_report
from analogdp.runs import RunDirectory, change_manifest, read_manifest
from analogdp.scenario import Scenario
from tests.commands import Command

DAY, YEAR = 86400.0, 31_557_600.0

DRIFTING = {"card": "pcm_joshi", "programming_error": None, "flicker_noise": None}


def train(folder: Path, synapse: dict[str, Any], epochs: int = 2, chips: int = 4) -> Path:
    scenario = Scenario.model_validate(
        {
            "name": "drifting",
            "network": {"layers": [64, 16, 10]},
            "synapse": {"model": "crossbar", "weight_range": "8/sqrt(fan_in)", **synapse},
            "learning": {"epochs": epochs, "batch": 64, "rate": 0.2},
            "dynamics": {"dt": "0.5 us", "settle": {"tolerance": None, "at_most": "6 us"}},
            "chips": chips,
            "export": [],  # Pictures of crossbars take seconds.
            "run": {"device": "cpu", "threads": 1, "directory": folder},
        }
    )
    return api.run(scenario).directory


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of drifting cells in one-sided pairs that nobody has aged."""
    return train(tmp_path_factory.mktemp("trained"), {"device": DRIFTING, "pair": "one_sided"})


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "drifting"))


@pytest.fixture(scope="module")
def old(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, aged for a year."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("old") / "drifting"))
    analogdp.age(run, ["1 day", "1 year"])
    return run


def contents(run: Path) -> dict[str, str]:
    return {path.relative_to(run).as_posix(): checksum(path) for path in run.rglob("*") if path.is_file()}


def test_compensation_brings_back_part_of_what_a_year_of_drift_takes(old: Path) -> None:
    aging = analogdp.open_run(old).aging
    assert aging is not None
    fresh, _, late = ({name: np.array(values) for name, values in each.accuracy.items()} for each in aging.moments)
    for name in ("global", "column"):
        gained = late[name] - late["none"]
        # One-sided t test with 3 degrees of freedom: t > 4.54 is a chance of 1 %.
        assert gained.mean() / (gained.std(ddof=1) / 2) > 4.54
        assert late[name].mean() < fresh[name].mean()


def test_the_result_is_what_the_run_keeps(copied: Path) -> None:
    aging = analogdp.age(analogdp.open_run(copied), "1 day", compensation=["none"], reads=2)
    assert analogdp.open_run(copied).aging == aging
    assert (aging.chips, aging.reads, aging.compensations) == ((0, 1, 2, 3), 2, ("none",))
    assert [moment.after for moment in aging.moments] == [0.0, DAY]


def test_a_run_that_nobody_aged_has_no_aging(trained: Path) -> None:
    assert analogdp.open_run(trained).aging is None


def test_times_asked_for_later_take_the_place_of_the_earlier_ones_and_agree_with_them(
    old: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(old, tmp_path / "again"))
    before = analogdp.open_run(again).aging
    after = analogdp.age(again, YEAR)
    assert before is not None
    assert after.moments == (before.moments[0], before.moments[2])
    assert analogdp.open_run(again).aging == after


def test_aging_changes_nothing_that_training_left(trained: Path, old: Path) -> None:
    before, after = contents(trained), contents(old)
    assert after.keys() - before.keys() == {"aging.json", "plots/aging.png"}
    changed = {name for name, digest in before.items() if after[name] != digest}
    assert changed <= {"report.html", "manifest.json", ".lock"}
    recorded, now = (read_manifest(RunDirectory(run)) for run in (trained, old))
    kept = {name: digest for name, digest in now.checksums.items() if name in recorded.checksums}
    assert kept | {"report.html": ""} == recorded.checksums | {"report.html": ""}
    assert now.model_copy(update={"checksums": {}}) == recorded.model_copy(update={"checksums": {}})


def test_an_aged_run_is_shown_with_all_files_in_order(old: Path, command: Command) -> None:
    code, out, _ = command("show", old)
    assert code == 0
    assert re.search(r"^aging\.json +[\d.]+ kB +ok$", out, re.MULTILINE)
    assert re.search(r"^plots/aging\.png +[\d.]+ kB +ok$", out, re.MULTILINE)
    assert "CHANGED" not in out


def test_a_file_that_was_changed_before_is_still_told_after_aging(copied: Path, command: Command) -> None:
    scenario = copied / "scenario.yaml"
    scenario.write_text(scenario.read_text() + "# edited\n")
    analogdp.age(copied, "1 day", compensation=["none"])
    assert re.search(r"^scenario\.yaml .*CHANGED", command("show", copied)[1], re.MULTILINE)


def test_the_page_of_an_aged_run_has_a_section_and_can_be_made_again(old: Path) -> None:
    page, picture = (old / "report.html").read_bytes(), (old / "plots/aging.png").read_bytes()
    assert b"<h2>Aging</h2>" in page
    assert b"<td>1 year</td>" in page
    write_report(old)
    assert (old / "report.html").read_bytes() == page
    assert (old / "plots/aging.png").read_bytes() == picture


def test_a_finished_run_stays_finished_after_aging(old: Path) -> None:
    assert analogdp.resume(old).status == "finished"


def test_the_command_prints_a_table_and_says_where_it_is_kept(copied: Path, command: Command) -> None:
    code, out, err = command("age", copied, "--after", "1 hour, 2 days", "--after", "1 min", "--reads", "3")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "Test accuracy with noise, mean ± standard deviation over 4 chips; "
        "line currents for the compensation are the mean of 3 reads."
    )
    assert re.split(r"  +", lines[1]) == ["after", "conductance", "uncompensated", "global", "per column"]
    assert [re.split(r"  +", line)[0] for line in lines[2:6]] == ["0 s", "1 min", "1 h", "2 days"]
    assert all(re.search(r"-[\d.]+ %( +[\d.]+ ± [\d.]+ %){3}$", line) for line in lines[3:6])
    assert lines[6].startswith(f"kept in {copied}/aging.json, ")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("1 parsec", "after: '1 parsec' is not a time"),
        ("1 blink", "after: unknown unit 'blink' in '1 blink'"),
        ("0 s", "after: 0 s is out of range"),
    ],
)
def test_what_is_no_time_is_one_message_and_exit_code_2(trained: Path, command: Command, time: str, said: str) -> None:
    code, out, err = command("age", trained, "--after", time)
    assert (code, out) == (2, "")
    assert err.startswith(f"analogdp: {said}")


def test_cells_that_do_not_age_are_exit_code_2_and_nothing_is_written(tmp_path: Path, command: Command) -> None:
    run = train(tmp_path, {"device": "reram_sb"}, epochs=0, chips=1)
    before = contents(run)
    code, _, err = command("age", run)
    assert code == 2
    assert "cells of card 'reram_sb' do not change in time" in err
    assert contents(run) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"status": "diverged", "reason": "layer 1 of chip 0"},
            "diverged, and is no trained network: .*layer 1 of chip 0",
        ),
        ({"status": "running", "checksums": {}}, "has not come to its end .*; go on with: analogdp resume"),
        ({"status": "interrupted", "checksums": {}}, "has not come to its end .*; go on with: analogdp resume"),
    ],
)
def test_a_run_that_did_not_finish_is_refused(copied: Path, changes: dict[str, Any], said: str) -> None:
    change_manifest(RunDirectory(copied), **changes)
    with pytest.raises(InputError, match=said):
        analogdp.age(copied, DAY)


def test_a_run_that_is_still_running_is_refused(trained: Path) -> None:
    with RunDirectory(trained).locked(), pytest.raises(InputError, match="is being run by another process"):
        analogdp.age(trained, DAY)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, command: Command) -> None:
    code, _, err = command("age", tmp_path)
    assert code == 2
    assert "is not a run directory" in err
