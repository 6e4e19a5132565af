"""Looking parts up by name."""

from importlib.metadata import EntryPoint

import pytest

from analogdp import registry
from analogdp.errors import InputError
from analogdp.registry import Registry, suggestion

# A module without members of its own stands for a room.
EMPTY_ROOM = "analogdp.errors"


@pytest.fixture
def colours():
    known = Registry("colour", EMPTY_ROOM)
    known.register("red")("a member")
    known.register("green")("another")
    return known


def test_a_member_is_found_by_its_name(colours):
    assert colours.get("red") == "a member"
    assert colours.names() == ["green", "red"]
    assert "red" in colours
    assert "blue" not in colours


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known_ones(colours):
    with pytest.raises(InputError, match=r"unknown colour 'gren': did you mean 'green'\? Known: green, red"):
        colours.get("gren")


def test_a_name_can_be_taken_once_only(colours):
    with pytest.raises(ValueError, match="already a colour named 'red'"):
        colours.register("red")("one more")


def test_another_package_adds_a_member_by_an_entry_point(monkeypatch, colours):
    point = EntryPoint("loads", "json:loads", EMPTY_ROOM)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == EMPTY_ROOM else [])
    assert colours.names() == ["green", "loads", "red"]
    assert colours.get("loads")("[1]") == [1]


def test_the_first_question_finds_what_importing_the_room_registers(monkeypatch):
    late = Registry("colour", "room.to.come")
    monkeypatch.setattr(registry.importlib, "import_module", lambda room: late.register("red")("a member"))
    assert late.names() == ["red"]


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("modle", ["model", "alpha"], "did you mean 'model'? Known: alpha, model"),
        ("zzz", ["model"], "Known: model"),
        ("a", [], "Known: none"),
    ],
)
def test_a_suggestion_names_the_nearest_if_one_is_near(name, known, words):
    assert suggestion(name, known) == words


@pytest.mark.parametrize("known", registry.all_registries(), ids=lambda known: known.kind)
def test_every_registry_has_members_that_say_what_they_are(known):
    assert known.names()
    for name in known.names():
        assert known.get(name).__doc__
