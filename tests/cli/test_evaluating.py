"""The command that tests a trained network once more, as it is or with the conductances of a chip."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

import analogdp
from analogdp.errors import AnalogdpWarning
from tests.commands import Command
from tests.small_runs import small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two chips."""
    return small_run(tmp_path_factory.mktemp("run"), (6, 4, 3), chips=2)


def columns(line: str) -> list[str]:
    return re.split(r"  +", line.strip())


def test_without_a_file_every_chip_is_tested_as_it_was_trained(run: Path, command: Command) -> None:
    code, out, err = command("evaluate", run)
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert columns(header) == ["test accuracy", "test loss"]
    scores = analogdp.evaluate(run)
    assert [columns(row) for row in rows] == [
        [f"chip {score.chip}", f"{score.accuracy:.2%}", f"{score.loss:.5g}"] for score in scores
    ]


def test_a_table_says_what_was_lost_with_the_measured_cells(run: Path, tmp_path: Path, command: Command) -> None:
    (source,) = analogdp.export(run, "csv", tmp_path / "bench", chip=1)
    tile = next(source.glob("layer0*.csv"))
    header, first, *rest = tile.read_text().splitlines()
    stuck = ",".join([*first.split(",")[:2], "0.001", first.split(",")[3], "stuck"])
    lost = ",".join([*rest[0].split(",")[:2], "", "", "missing"])
    kept = (f"{line},ok" for line in rest[1:])
    tile.write_text("\n".join([f"{header},state", stuck, lost, *kept]) + "\n")
    code, out, err = command("evaluate", run, "--conductances", source, "--missing", "open")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    found = analogdp.with_conductances(run, source, missing="open")
    assert lines[0] == f"chip 1, with the conductances of {source}"
    assert columns(lines[1]) == ["test accuracy", "test loss"]
    assert [columns(line)[0] for line in lines[2:4]] == ["simulated", "measured"]
    assert columns(lines[3])[1:] == [f"{found.after.accuracy:.2%}", f"{found.after.loss:.5g}"]
    assert lines[4] == ""
    assert columns(lines[5])[:4] == ["cells", "stuck", "missing", "out of range"]
    # A row's state is that of both cells of its pair.
    assert columns(lines[6])[:4] == ["synapse0", "48", "2", "2"]
    assert int(columns(lines[6])[4]) >= 1
    assert columns(lines[7])[:4] == ["synapse1", "24", "0", "0"]


def test_scores_are_kept_in_a_file(run: Path, tmp_path: Path, command: Command) -> None:
    plain, kept = command("evaluate", run), command("evaluate", run, "--json", tmp_path / "scores.json")
    assert kept == plain
    scores = [asdict(score) for score in analogdp.evaluate(run)]
    assert json.loads((tmp_path / "scores.json").read_text()) == {"run": str(run), "scores": scores}


def test_what_became_of_the_cells_is_kept_in_a_file(run: Path, tmp_path: Path, command: Command) -> None:
    (source,) = analogdp.export(run, "csv", tmp_path / "bench", chip=1)
    arguments = ("--conductances", source, "--missing", "open", "--json", tmp_path / "found.json")
    code, _, err = command("evaluate", run, *arguments)
    assert (code, err) == (0, "")
    told = json.loads((tmp_path / "found.json").read_text())
    found = analogdp.with_conductances(run, source, missing="open")
    assert (told["run"], told["conductances"], told["missing"]) == (str(run), str(source), "open")
    assert (told["simulated"], told["measured"]) == (asdict(found.before), asdict(found.after))
    assert [own["name"] for own in told["crossbars"]] == ["synapse0", "synapse1"]
    assert told["crossbars"][1] == {**asdict(found.layers[1]), "worst_at": list(found.layers[1].worst_at)}


def test_a_file_of_results_that_exists_is_left_as_it_is(run: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "found.json").write_text("mine")
    code, out, err = command("evaluate", run, "--json", tmp_path / "found.json")
    assert (code, out) == (2, "")
    assert "found.json exists; a file of results needs a new name" in err
    assert (tmp_path / "found.json").read_text() == "mine"


def test_a_wrong_unit_is_told_beside_the_table(run: Path, tmp_path: Path, command: Command) -> None:
    (source,) = analogdp.export(run, "csv", tmp_path / "bench", chip=1)
    for tile in source.glob("*.csv"):
        tile.write_text(tile.read_text().replace("[S]", "[uS]"))
    with pytest.warns(AnalogdpWarning, match="values in S that were read as uS: check the unit"):
        code, out, _ = command("evaluate", run, "--conductances", source)
    assert code == 0
    assert "measured" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--conductances", "nowhere"], "nowhere: no such file or folder; give measured conductances"),
        (["--missing", "open"], "--missing and --chip are for measured conductances"),
        (["--chip", "1"], "--missing and --chip are for measured conductances"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(arguments: list[str], said: str, run: Path, command: Command) -> None:
    code, out, err = command("evaluate", run, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"analogdp: {said}")
    assert err.count("\n") == 1


def test_an_unknown_way_with_missing_cells_names_the_nearest(run: Path, tmp_path: Path, command: Command) -> None:
    (source,) = analogdp.export(run, "csv", tmp_path / "bench", chip=0)
    code, _, err = command("evaluate", run, "--conductances", source, "--missing", "opn")
    assert code == 2
    assert "unknown 'opn': did you mean 'open'?" in err
