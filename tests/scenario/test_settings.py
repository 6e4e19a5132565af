"""Strict sections, and sections whose type is chosen by a name."""

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from analogdp.errors import Problem
from analogdp.registry import Registry
from analogdp.scenario.settings import NameIn, OneOf, ProblemList, Settings


class SmallSettings(Settings):
    model: str = "small"
    size: int = Field(default=1, ge=1, le=9)


class LargeSettings(Settings):
    model: str = "large"
    weights: tuple[float, ...] = (1.0,)
    inner: SmallSettings = SmallSettings()


class Small:
    Settings = SmallSettings


class Large:
    Settings = LargeSettings


ANIMALS = Registry("animal", "analogdp.errors")
ANIMALS.register("small")(Small)
ANIMALS.register("large")(Large)


class Zoo(Settings):
    animal: Annotated[Settings, OneOf(ANIMALS, "model", "small")] = Field(default="small")
    favourite: Annotated[str, NameIn(ANIMALS)] = "large"


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        ({}, SmallSettings()),
        ({"animal": "large"}, LargeSettings()),
        ({"animal": {"model": "large", "weights": [1, 2]}}, LargeSettings(weights=(1, 2))),
        ({"animal": {"size": 3}}, SmallSettings(size=3)),
        ({"animal": SmallSettings(size=4)}, SmallSettings(size=4)),
    ],
)
def test_the_named_members_settings_validate_the_section(written, chosen):
    assert Zoo.model_validate(written).animal == chosen


@pytest.mark.parametrize(
    ("written", "place", "words"),
    [
        ({"animal": {"size": 10}}, ("animal", "size"), "10 is out of range; allowed: 1 to 9"),
        (
            {"animal": {"model": "large", "inner": {"size": "2"}}},
            ("animal", "inner", "size"),
            "expected a whole number, not '2'",
        ),
        (
            {"animal": {"weights": [1]}},
            ("animal", "weights"),
            "unknown key 'weights'; Known: model, size. It belongs to model: large",
        ),
        ({"animal": {"model": "large", "weights": [1, "x"]}}, ("animal", "weights", 1), "expected a number, not 'x'"),
        ({"favourite": "smal"}, ("favourite",), "unknown animal 'smal': did you mean 'small'? Known: large, small"),
        ({"favourite": 3}, ("favourite",), "unknown animal 3"),
    ],
)
def test_a_finding_is_in_words_at_its_own_place(written, place, words):
    with pytest.raises(ValidationError) as caught:
        Zoo.model_validate(written)
    (error,) = caught.value.errors()
    assert error["loc"] == place
    assert words in error["msg"]


def test_a_section_that_names_no_known_member_says_which_there_are():
    with pytest.raises(ValidationError) as caught:
        Zoo(animal="hughe")
    problems = caught.value.errors()[0]["ctx"]["error"].problems
    assert problems == [Problem("model", "unknown animal 'hughe': Known: large, small")]


def test_sections_cannot_be_changed_and_lists_become_tuples():
    large = LargeSettings(weights=[1.0, 2.0])
    assert large.weights == (1.0, 2.0)
    with pytest.raises(ValidationError, match="frozen"):
        large.model = "small"


def test_a_list_of_problems_says_them_all():
    assert str(ProblemList([Problem("a", "one"), Problem("b", "two")])) == "a: one; b: two"


def test_the_json_schema_has_one_section_for_each_member_and_knows_the_default():
    animal = Zoo.model_json_schema()["properties"]["animal"]
    large, small, name = animal["anyOf"]
    assert large["properties"]["model"]["const"] == "large"
    assert large["required"] == ["model"]
    assert small["required"] == []
    assert name["enum"] == ["large", "small"]
    assert animal["default"] == "small"
