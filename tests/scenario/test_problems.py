"""From pydantic's errors to problems."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BeforeValidator, Field, ValidationError

from analogdp.errors import Problem
from analogdp.scenario.problems import problems_from
from analogdp.scenario.settings import ProblemList, Settings
from analogdp.scenario.yaml import parse_yaml


class Inner(Settings):
    gain: float = Field(default=1.0, gt=0)


def several(value):
    if value == "bad":
        raise ProblemList([Problem("x", "one"), Problem("", "two")])
    if value == "invalid":
        Inner(gain=0)
    return value


class Outer(Settings):
    size: int = 1
    either: int | Inner | Literal["auto"] = 1
    pair: tuple[int, int] = (1, 1)
    checked: Annotated[str, BeforeValidator(several)] = ""
    needed: float = Field(description="how much there is of it")
    folder: Path = Field(default=Path(), strict=False)


def found(text, prefix=""):
    document = parse_yaml(text, "a.yaml")
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document.data)
    return list(map(str, problems_from(caught.value, document, prefix)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size: 1", ["a.yaml: needed: is required: how much there is of it"]),
        ("needed: 1\nsize: a", ["a.yaml:2: size: expected a whole number, not 'a'"]),
        ("needed: 1\npair: [1, b]", ["a.yaml:2: pair.1: expected a whole number, not 'b'"]),
        ("needed: 1\neither: {gain: 0}", None),
        ("needed: 1\nchecked: bad", ["a.yaml:2: checked.x: one", "a.yaml:2: checked: two"]),
        ("needed: 1\nchecked: invalid", ["a.yaml:2: checked.gain: 0 is out of range; allowed: above 0"]),
        ("needed: 1\nfolder: 3", ["a.yaml:2: folder: expected a path, not 3"]),
        ("needed: 1\nsizes: 3\n", ["a.yaml:2: sizes: unknown key 'sizes'; did you mean 'size'? "]),
    ],
)
def test_each_problem_has_its_place_and_path(text, words):
    if words is None:
        either, gain = found(text)
        assert either.startswith("a.yaml:2: either: expected a whole number, not a mapping; or unknown value")
        assert gain == "a.yaml:2: either.gain: 0 is out of range; allowed: above 0"
    else:
        assert [line[: len(start)] for line, start in zip(found(text), words, strict=True)] == words


def test_the_members_of_a_union_are_told_together_and_do_not_appear_in_the_path():
    (problem,) = found("needed: 1\neither: autom")
    assert problem.startswith("a.yaml:2: either: expected a whole number, not 'autom'; or ")
    assert problem.endswith("unknown value 'autom': did you mean 'auto'? Known: auto")


def test_a_prefix_stands_before_every_path():
    assert found("size: 1", "synapse.device")[0].startswith("a.yaml: synapse.device.needed: is required")


def test_without_a_document_paths_are_pydantics_own():
    with pytest.raises(ValidationError) as caught:
        Outer(needed="much")
    assert list(map(str, problems_from(caught.value))) == ["needed: expected a number, not 'much'"]
