"""The report's figures and tables in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analogdp.exports import LineResistances, read_conductances, write_conductances
from analogdp.reports.cells import CrossbarSummary, WireLoss, summarise
from analogdp.reports.facts import card_rows, describe_crossbar, file_rows, headline, provenance_rows
from analogdp.reports.source import read_run
from tests.exports.networks import CARD, VERIFIED, network_of, of_units, programmed, table
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


def summary_of_units(folder: Path, shares: tuple[float, ...]) -> CrossbarSummary:
    cells = programmed(of_units(table(9, 7, chips=1, tile=None), shares, polarities=2), polarities=2)
    return summarise(read_conductances(write_conductances(folder / "c.h5", network_of(cells), VERIFIED))[0], mapped=1)


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ((0.5, 0.5), "A cell is 2 devices in parallel, with equal shares of its current."),
        ((0.75, 0.1875, 0.0625), "A cell is 3 devices in parallel, with 75, 18.8 and 6.25 % of its current."),
    ],
)
def test_cells_of_several_devices_are_told_with_their_shares(
    tmp_path: Path, shares: tuple[float, ...], text: str
) -> None:
    assert text in describe_crossbar(summary_of_units(tmp_path, shares))


def test_resistances_of_lines_are_told_with_the_loss_on_them(tmp_path: Path) -> None:
    loss = WireLoss(LineResistances(2.5, 0.0, 1e3, 50.0), mean=0.01234, largest=0.5678, share=0.0456)
    assert (
        "Resistance between two cells: 2.5 Ω along word lines, 0 Ω along bit lines; of drivers 1 kΩ, of sensing circuits "
        "50 Ω. Because of them, what is read differs from what G+ − G− stands for by 0.0123 on average (4.56 % of the mean "
        "magnitude) and by 0.568 at most."
    ) in describe_crossbar(replace(summary_of_units(tmp_path, (1.0,)), wires=loss))


def test_writes_are_said_to_include_those_of_programming(tmp_path: Path) -> None:
    summary = summary_of_units(tmp_path, (0.5, 0.5))
    assert "pulses, programming included;" in describe_crossbar(summary)
    assert "programming" not in describe_crossbar(replace(summary, programming=None))


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
