"""The report's figures and tables in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analogdp.reports.facts import card_rows, file_rows, headline, provenance_rows
from analogdp.reports.source import read_run
from tests.exports.networks import CARD
from tests.reports.runs import make_run


def facts(directory: Path, **options: Any) -> dict[str, str]:
    return {fact.label: fact.value for fact in headline(read_run(make_run(directory, **options)))}


def test_the_headline_of_several_chips_has_their_spread_and_number(tmp_path: Path) -> None:
    found = facts(tmp_path / "a-1", chips=3)
    assert "±" in found["Test accuracy, with noise"]
    assert found["Chips"] == "3"
    assert found["Weight updates"] == "450"


def test_the_headline_of_one_chip_has_no_spread(tmp_path: Path) -> None:
    found = facts(tmp_path / "a-1", chips=1, crossbars=False)
    assert "±" not in "".join(found.values())
    assert not {"Chips", "Write pulses, all chips"} & found.keys()


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        ("2026-01-05T10:00:48+00:00", "48 s"),
        ("2026-01-05T10:02:03+00:00", "2 min 3 s"),
        ("2026-01-06T11:30:00+00:00", "25 h 30 min"),
        (None, None),
        ("soon", None),
    ],
)
def test_the_duration_is_in_words(tmp_path: Path, ended: str | None, text: str | None) -> None:
    assert facts(tmp_path / "a-1", crossbars=False, ended=ended).get("Duration") == text


def test_a_card_is_told_with_source_range_and_every_parameter() -> None:
    rows = dict(card_rows({**CARD, "parameters": {"step": 0.002, "gamma": {"up": 0.1}, "lifetime": None}}))
    assert rows["source"] == "Nobody, J. Irrepr. Res. 2020"
    assert (rows["lowest conductance"], rows["highest conductance"]) == ("100 nS", "10 µS")
    assert (rows["step"], rows["gamma.up"], rows["lifetime"]) == ("0.002", "0.1", "none")


def test_a_file_that_was_removed_is_called_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    (run / "metrics.parquet").rename(run / "elsewhere")
    assert {name: size for name, size, _ in file_rows(read_run(run))}["metrics.parquet"] == "missing"


def test_the_command_is_told_as_a_shell_would_take_it(tmp_path: Path) -> None:
    rows = dict(provenance_rows(read_run(make_run(tmp_path / "a-1", crossbars=False))))
    assert rows["command"] == "analogdp run 'scenarios/my scenario.yaml'"
