"""The account of energy and time as people read it."""

import re
from pathlib import Path

import pytest

from analogdp.analysis import EnergyReport, Part
from analogdp.errors import InputError
from analogdp.reports import write_report
from analogdp.reports.energy import HEADER, energy_rows, energy_section
from tests.reports.runs import make_run

REPORT = EnergyReport(
    (
        Part("reads", 3e-9, 3e-6, 1e-6, 1e-3, "0.2 V"),
        Part("neurons", 1e-9, 1e-6, None, None, "1e-06 W & more"),
        Part("writes", 0.0, None, 0.0, None, "not stated: no write_pulse"),
    )
)


def test_every_part_is_a_row_and_what_is_missing_is_said() -> None:
    assert energy_rows(REPORT) == [
        ("reads", "3 nJ", "75.0 %", "1 µs", "3 µJ", "75.0 %", "1 ms", "0.2 V"),
        ("neurons", "1 nJ", "25.0 %", "-", "1 µJ", "25.0 %", "-", "1e-06 W & more"),
        ("writes", "0 J", "0.0 %", "0 s", "not stated", "-", "-", "not stated: no write_pulse"),
        ("all that is stated", "4 nJ", "", "", "4 µJ", "", "", ""),
    ]
    assert {len(row) for row in energy_rows(REPORT)} == {len(HEADER)}


def test_the_section_has_all_cells_escaped() -> None:
    section = energy_section(REPORT)
    assert re.findall("<td>(.*?)</td>", section)[8:16] == [
        cell.replace("&", "&amp;") for cell in energy_rows(REPORT)[1]
    ]


@pytest.mark.parametrize("report", [None, EnergyReport(REPORT.parts[2:])])
def test_an_account_that_states_nothing_is_not_shown(report: EnergyReport | None) -> None:
    assert energy_section(report) == ""


def test_the_page_of_a_run_shows_its_account(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run-1", epochs=1, chips=1, crossbars=False)
    (run / "energy.json").write_text(REPORT.to_json())
    assert energy_section(REPORT) in write_report(run).read_text()


def test_a_damaged_account_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run-1", epochs=1, chips=1, crossbars=False)
    (run / "energy.json").write_text("{")
    with pytest.raises(InputError, match=r"energy\.json: damaged"):
        write_report(run)
