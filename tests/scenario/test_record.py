"""What a scenario may say about recording, and what it is told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analogdp.errors import ScenarioError
from analogdp.scenario import dump_scenario, load_scenario
from analogdp.scenario.record import RecordSettings
from analogdp.scenario.schema import Scenario


def resolved(**record: Any) -> RecordSettings:
    """A record of a network with 32 and 10 units above the input."""
    sections = {"network": {"layers": [64, 32, 5, 10]}, "record": [{"layer": 1, **record}]}
    return Scenario.model_validate(sections).record[0]


def test_a_layer_is_enough() -> None:
    record = resolved()
    assert (record.what, record.units, record.samples, record.every, record.updates) == ("states", 8, 1, 1, None)


def test_a_layer_with_fewer_units_than_the_default_is_recorded_whole() -> None:
    assert resolved(layer=2).units == 5


@pytest.mark.parametrize("units", [3, [4, 0, 31], "all"])
def test_units_are_told_by_number_by_index_or_all(units: Any) -> None:
    assert resolved(units=units).units == (tuple(units) if isinstance(units, list) else units)


def test_a_resolved_scenario_loads_back_to_the_same_records(tmp_path: Path) -> None:
    scenario = Scenario.model_validate({"record": [{"layer": 1, "units": [2, 1]}, {"layer": 2, "what": "up"}]})
    (tmp_path / "a.yaml").write_text(dump_scenario(scenario))
    assert load_scenario(tmp_path / "a.yaml") == scenario


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{layer: 4}", "record.0.layer: 4 is out of range; allowed: 1, the first hidden layer, to 3, the output"),
        ("{layer: 0}", "record.0.layer: 0 is out of range; allowed: at least 1"),
        ("{}", "record.0.layer: is required: whose units: 1 is the first hidden layer"),
        (
            "{layer: 1, what: plsu}",
            "record.0.what: unknown value 'plsu': did you mean 'plus'? Known: down, minus, plus",
        ),
        ("{layer: 3, units: 11}", "record.0.units: 11 is out of range; layer 3 has 10 units"),
        ("{layer: 3, units: [1, 10]}", "record.0.units.1: 10 is out of range; units of layer 3: 0 to 9"),
        (
            "{layer: 1, units: [0, -1]}",
            "record.0.units: expected indices such as [0, 1, 2], how many of the first units",
        ),
        ("{layer: 1, units: []}", "record.0.units: expected indices such as [0, 1, 2]"),
        ("{layer: 1, units: 0}", "record.0.units: expected indices such as [0, 1, 2]"),
        ("{layer: 1, units: true}", "or all, not true"),
        ("{layer: 1, units: some}", "or all, not 'some'"),
        ("{layer: 1, samples: 33}", "record.0.samples: 33 is out of range; allowed: 1 to 32 (learning.batch)"),
        ("{layer: 1, every: 0}", "record.0.every: 0 is out of range; allowed: at least 1"),
        ("{layer: 1, updates: 0}", "record.0.updates: 0 is out of range; allowed: at least 1"),
        ("{layer: 1, during: testing}", "record.0.during: unknown value 'testing'"),
        ("{layer: 1, unit: 3}", "record.0.unit: unknown key 'unit'; did you mean 'units'?"),
        ("5", "record.0: expected a section of names and values, not 5"),
    ],
)
def test_what_cannot_be_recorded_is_named_with_its_place_and_what_can(tmp_path: Path, record: str, words: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"seed: 1\nrecord:\n  - {record}\n")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert words in str(problem)


def test_problems_of_several_records_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"record\.0\.layer.*record\.2\.what"):
        Scenario.model_validate({"record": [{"layer": 9}, {"layer": 1}, {"layer": 1, "what": "x"}]})
