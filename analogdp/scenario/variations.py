"""Scenarios that differ from one in chosen settings: every combination of the values that are given for these."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from pydantic import ValidationError

from analogdp.errors import InputError
from analogdp.scenario.loading import change_scenario
from analogdp.scenario.schema import Scenario
from analogdp.scenario.settings import Settings

MOST = 10_000
"""Scenarios made at once."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class Variation:
    """One of the scenarios.

    Attributes:
        values: what it has of the varied settings, by dotted path.
        name: of them, unlike those of the others, and fit for a directory.
        scenario: itself, resolved.
    """

    values: dict[str, Any]
    name: str
    scenario: Scenario


def vary(scenario: Scenario, choices: Mapping[str, Iterable[Any]]) -> list[Variation]:
    """All combinations of values, the last setting varying fastest.

    Settings that the scenario has by default follow those that they depend on: a rate of the biases that equals that of the
    weights stays equal to it.

    Args:
        scenario: what all else is taken from.
        choices: values by dotted path, such as ``{"seed": range(5), "neuron.alpha": [0, 0.5, 1]}``.

    Raises:
        InputError: no settings or values, too many, or the same twice; ScenarioError where a value is not allowed.
    """
    listed = {path: _plain_values(path, values) for path, values in choices.items()}
    if not listed:
        raise InputError("nothing varies; name at least one setting, such as seed with 0 to 4")
    if (count := prod(map(len, listed.values()))) > MOST:
        raise InputError(f"{count} combinations are too many; allowed: up to {MOST}")
    plain = without_defaults(scenario)
    made = []
    for values in product(*listed.values()):
        own = dict(zip(listed, values, strict=True))
        made.append(Variation(own, _name(own, [*listed]), change_scenario(plain, own, "--vary")))
    names = [each.name for each in made]
    if len(set(names)) < len(names):
        width = len(str(len(made)))
        made = [Variation(own.values, f"{number:0{width}}-{own.name}", own.scenario) for number, own in enumerate(made)]
    return made


def _plain_values(path: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{path}: expected several values, such as [0, 0.5, 1], not {values!r}")
    # Numbers of numpy and torch know how to become those of Python.
    listed = [value.item() if hasattr(value, "item") else value for value in values]
    if not listed:
        raise InputError(f"{path}: no values are given; give at least one")
    if twice := [
        key for key, times in Counter(json.dumps(value, default=str) for value in listed).items() if times > 1
    ]:
        raise InputError(f"{path}: {twice[0]} is given twice")
    return listed


def without_defaults(scenario: Scenario) -> dict[str, Any]:
    """The scenario as plain data without what it would fill in by itself, so that changes of it carry on to that."""
    plain: dict[str, Any] = scenario.model_dump(mode="json")
    for *sections, name in _filled_in(scenario):
        section = plain
        for key in sections:
            section = section[key]
        value = section.pop(name)
        try:
            same = Scenario.model_validate(plain) == scenario
        except ValidationError:
            same = False
        if not same:
            section[name] = value
    return plain


def _filled_in(settings: Settings, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all settings that may be left out and depend on others then."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from _filled_in(value, (*place, name))
        elif field.default is None and value is not None:
            yield (*place, name)


def _name(values: Mapping[str, Any], paths: list[str]) -> str:
    """The values in a line, such as ``seed0-alpha0.5``."""
    ends = [path.rpartition(".")[2] for path in paths]
    names = [end if ends.count(end) == 1 else path for path, end in zip(paths, ends, strict=True)]
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values.values()]
    joined = "-".join(name + value for name, value in zip(names, shown, strict=True))
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", joined)[:LONGEST_NAME]
