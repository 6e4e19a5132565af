"""Device cards: those that are shipped, and what a wrong one is told."""

import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from pydantic import ValidationError

from analogdp import library
from analogdp.devices import CardField, DeviceCard, ImperfectDevice, ProgrammedDevice, load_card
from analogdp.errors import InputError, ScenarioError
from analogdp.scenario.problems import problems_from
from analogdp.scenario.settings import Settings
from analogdp.streams import Stream

SHIPPED = [
    "capacitor",
    "ecram_li",
    "ecram_mo",
    "gokmen_vlasov",
    "idealized",
    "pcm_joshi",
    "reram_array_hfo2",
    "reram_array_om",
    "reram_sb",
    "rram_milo",
    "rram_wan",
    "sonos_agrawal",
]
CARD = """
name: mine
model: constant
material: paper
source: this test
low: 10 uS
high: 20 uS
parameters: {step: 0.01}
"""


class Section(Settings):
    device: CardField


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def problems(action: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        action()
    return str(caught.value)


def test_the_shipped_cards_are_those_of_the_literature() -> None:
    assert set(SHIPPED) <= set(library.names("devices"))


@pytest.mark.parametrize("name", library.names("devices"))
def test_a_shipped_card_says_what_it_is_and_can_be_written(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.material
    assert card.source
    assert "assumption" in card.note
    device = card.device()
    state = device.sample((1, 4, 5), Stream(0, "cells"))
    before = device.conductance(state).clone()
    device.pulse(state, torch.full((1, 1, 4, 5), 3.0), Stream(0, "write"))
    assert (device.conductance(state) != before).any()


@pytest.mark.parametrize("name", library.names("devices"))
def test_hardly_any_device_of_a_shipped_card_is_cut_at_zero_conductance(name: str) -> None:
    card = load_card(name)
    if getattr(card.parameters, "lower_spread", 0) == 0:
        pytest.skip("all cells have the same lower bound")
    lower = card.device().sample((1, 200, 200), Stream(0, "cells")).parameters["lower"]
    assert (lower <= lower.min() + 1e-6).double().mean().item() < 0.006


@pytest.mark.parametrize("name", library.names("devices"))
def test_a_card_counts_the_numbers_of_its_imperfections(name: str) -> None:
    card = load_card(name, {"faults": {"stuck_on": 0.1}, "endurance": {"cycles": 1e6}})
    device = card.device()
    assert isinstance(device, ImperfectDevice)
    own, inner = (model.sample((1, 4, 5), Stream(0, "cells")) for model in (device, device.inner))
    added = (own.variables | own.parameters).keys() - (inner.variables | inner.parameters).keys()
    held = sum((own.variables | own.parameters)[name].element_size() for name in added) / 4
    assert card.tensors_per_cell() == card.parameters.tensors_per_cell() + held


def test_imperfections_can_be_switched_on_and_off_and_replaced_whole() -> None:
    changes = {
        "drift": None,
        "flicker_noise": None,
        "faults": {"stuck_off": "1 %"},
        "programming_error": {"model": "pcm_joshi"},
    }
    card = load_card("pcm_joshi", changes)
    assert (card.drift, card.flicker_noise) == (None, None)
    assert card.faults is not None
    assert card.faults.stuck_off == pytest.approx(0.01)
    assert card.programming_error is not None
    assert card.programming_error.model == "pcm_joshi"


def test_a_card_without_imperfections_is_its_model_alone() -> None:
    off = dict.fromkeys(("programming_error", "drift", "flicker_noise"))
    assert type(load_card("pcm_joshi", off).device()) is ProgrammedDevice
    assert type(load_card("pcm_joshi").device()) is ImperfectDevice


def test_a_card_is_known_by_name_and_by_path(tmp_path: Path) -> None:
    assert load_card("reram_sb").parameters.step == 0.002  # type: ignore[attr-defined]
    assert math.isclose(load_card(write(tmp_path, CARD)).high, 20e-6)


def test_values_of_a_card_can_be_replaced() -> None:
    card = load_card("reram_sb", {"step": 0.01, "high": "90 uS"})
    assert (card.parameters.step, card.high) == (0.01, pytest.approx(90e-6))  # type: ignore[attr-defined]
    assert card.source == load_card("reram_sb").source


@pytest.mark.parametrize(
    "written",
    [
        "reram_sb",
        {"card": "reram_sb"},
        {"card": "reram_sb", "read_noise": "1 %"},
        load_card("ecram_li").model_dump(mode="json"),
    ],
)
def test_a_scenario_may_name_a_card_change_it_or_write_it_out(written: Any) -> None:
    card = Section.model_validate({"device": written}).device
    assert Section.model_validate(Section(device=card).model_dump(mode="json")).device == card


def test_a_scenario_may_name_a_file(tmp_path: Path) -> None:
    assert Section.model_validate({"device": str(write(tmp_path, CARD))}).device.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("low: 10 uS", "low: 10", r"mine.yaml:6: low: 10 has no unit; write for example '20 uS'"),
        ("low: 10 uS", "low: 30 uS", "high: 2e-05 S is not above the card's low, 3e-05 S"),
        ("low: 10 uS", "low: 3 V", "low: '3 V' is not a conductance"),
        ("low: 10 uS", "", "low: is required"),
        ("step: 0.01", "step: -1", "parameters.step: -1 is out of range; allowed: above 0, at most 2"),
        ("step: 0.01", "stepp: 0.01", "parameters.stepp: unknown key 'stepp'; did you mean 'step'"),
        ("step: 0.01", "step: 0.01, lower: 0.5", "parameters.lower: 0.5 is out of range"),
        ("model: constant", "model: konstant", "unknown device model 'konstant': did you mean 'constant'"),
        ("name: mine", "name: my own", "name: 'my own' is not allowed; at most 100 of the letters"),
        (CARD, "- a list", "mine.yaml"),
    ],
)
def test_a_wrong_card_is_told_what_is_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, CARD.replace(old, new))
    assert said in problems(lambda: load_card(path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"setp": 1}, "setp: unknown key 'setp': did you mean 'step'?"),
        ({"step": 5}, "step: 5 is out of range; allowed: above 0, at most 2"),
        ({"slope_up": 0.1}, "slope_up: unknown key 'slope_up'"),
        ({"low": "1 S"}, "not above the card's low"),
    ],
)
def test_a_wrong_change_is_told_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    assert said in problems(lambda: load_card("reram_sb", changes))


@pytest.mark.parametrize(
    ("card", "changes", "said"),
    [
        (
            "pcm_joshi",
            {"high": "30 uS"},
            "programming_error: pcm_nandakumar was measured from 0 to 2.5e-05 S, but cells of card 'pcm_joshi' have 0 to 3e-05 S",
        ),
        ("rram_milo", {"low": "10 uS"}, "rram_milo was measured from 5e-05 to 0.000225 S"),
        (
            "rram_wan",
            {"high": "50 uS"},
            "relaxation: was measured up to full_scale, 4e-05 S, but cells of card 'rram_wan'",
        ),
        (
            "rram_wan",
            {"programming_error": {"model": "rram_wan"}},
            "relaxation: holds the programming error rram_wan already",
        ),
        ("pcm_joshi", {"read_noise": 0.01}, "flicker_noise: card 'pcm_joshi' has read noise of its own kind"),
        ("pcm_joshi", {"drift": {"start": 0}}, "drift.start: 0 is out of range; allowed: above 0"),
        ("pcm_joshi", {"drift": {"strat": 0}}, "drift.strat: unknown key 'strat'; did you mean 'start'"),
        ("pcm_joshi", {"faults": {"stuck_on": 0.7, "unformed": 0.4}}, "faults.unformed: 0.4 and 0.7 of other faults"),
        ("pcm_joshi", {"faults": {"on_conductance": 20}}, "faults.on_conductance: 20 is out of range; allowed: 0 to 1"),
        ("pcm_joshi", {"levels": 1}, "levels: 1 is out of range; allowed: 2 to 1000000"),
        ("pcm_joshi", {"low": "25 uS"}, "high: 2.5e-05 S is not above the card's low"),
        ("reram_sb", {"levels": 16}, "unknown key 'levels'"),
        ("reram_sb", {"levels": 16}, "It belongs to model: programmed"),
        ("reram_sb", {"programming_error": "normal"}, "programming_error: expected a section of names and values"),
        ("reram_sb", {"endurance": {"cycles": 0}}, "endurance.cycles: 0 is out of range; allowed: above 0"),
    ],
)
def test_a_wrong_imperfection_is_told_what_is_wrong(card: str, changes: dict[str, Any], said: str) -> None:
    assert said in problems(lambda: load_card(card, changes))


def test_a_wrong_imperfection_in_a_file_is_told_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, CARD + "programming_error: {model: rram_milo}\n")
    assert "mine.yaml:9: programming_error: rram_milo was measured" in problems(lambda: load_card(path))


def test_a_scenario_with_a_wrong_card_is_told_the_cards_file_and_line_and_all_problems(tmp_path: Path) -> None:
    path = write(tmp_path, CARD.replace("low: 10 uS", "low: 30 uS").replace("step: 0.01", "stepp: 0.01"))
    with pytest.raises(ValidationError) as caught:
        Section.model_validate({"device": str(path)})
    found = problems_from(caught.value)
    assert [problem.path for problem in found] == ["device"]
    for said in (
        f"{path}:7: high: ",
        f"{path}:8: parameters.stepp: unknown",
        f"{path}:8: parameters.step: is required",
    ):
        assert said in found[0].message


def test_an_unknown_card_is_told_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'reram_sb'"):
        load_card("rerram_sb")
    with pytest.raises(ValidationError, match="did you mean 'reram_sb'"):
        Section.model_validate({"device": "rerram_sb"})


def test_the_schema_of_a_section_with_a_card_accepts_what_the_section_accepts() -> None:
    schema = Section.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for written in ("reram_sb", {"card": "reram_sb", "step": 0.1}, load_card("capacitor").model_dump(mode="json")):
        jsonschema.validate({"device": written}, schema)


def test_a_resolved_card_records_every_parameter() -> None:
    plain = load_card("reram_sb").model_dump(mode="json")
    assert plain["parameters"]["read_noise"] == 0.0
    assert DeviceCard.model_validate(plain) == load_card("reram_sb")
