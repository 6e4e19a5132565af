"""An account as a file, and what its parts add up to."""

from pathlib import Path

import pytest

from analogdp.analysis import EnergyReport, Part
from analogdp.errors import InputError

READS = Part("reads", 3e-9, 3e-6, 1e-6, 1e-3, "0.2 V")
NEURONS = Part("neurons", 1e-9, 1e-6, None, None, "1 uW")
WRITES = Part("writes", 0.0, None, 0.0, None, "not stated")
REPORT = EnergyReport((READS, NEURONS, WRITES))


def test_shares_are_of_what_is_stated() -> None:
    assert REPORT.inference == pytest.approx(4e-9)
    assert REPORT.training == pytest.approx(4e-6)
    assert REPORT.shares(READS) == pytest.approx((0.75, 0.75))
    assert REPORT.shares(WRITES) == (0.0, None)


def test_an_account_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    path.write_text(REPORT.to_json())
    assert EnergyReport.read(path) == REPORT
    assert EnergyReport.read(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "[]", '{"parts": 3}', '{"parts": [{"name": "reads"}]}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "energy.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"energy\.json: damaged"):
        EnergyReport.read(path)


def test_an_account_without_energy_states_nothing() -> None:
    assert REPORT.stated
    assert not EnergyReport((WRITES,)).stated
