"""From a file, or the name of a shipped one, to a scenario and back: extending, overriding, all problems at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analogdp import library
from analogdp.errors import Problem, ScenarioError
from analogdp.registry import suggestion
from analogdp.scenario.problems import problems_from
from analogdp.scenario.schema import Scenario
from analogdp.scenario.settings import OneOf
from analogdp.scenario.yaml import Document, Place, dump_yaml, parse_yaml, read_yaml

EXTENDS = "extends"

CARD = "card"
"""The key by which a device names the card that it takes its values from."""


def load_scenario(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario.

    Args:
        path: a YAML file, or the name of a shipped scenario such as ``quickstart``.
        overrides: settings such as ``neuron.alpha=0.3`` that replace the file's, the last one winning.

    Raises:
        ScenarioError: with all problems that were found, each with its place.
    """
    document = _extended(_find(path), ())
    return _validated(_merge(document, _parse_overrides(overrides)) if overrides else document)


def change_scenario(plain: Mapping[str, Any], changes: Mapping[str, Any], option: str) -> Scenario:
    """A scenario with other values of some settings.

    Args:
        plain: the scenario as a file has it.
        changes: values by dotted path; the name of another model takes the place of its whole section.
        option: what problems say that the values come from, such as ``--vary``.

    Raises:
        ScenarioError: with all problems that were found.
    """
    data: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for path, value in changes.items():
        _assign(data, places, path, value, f"{option} {path}={value}")
    return _validated(_merge(Document(plain), Document(data, places)))


def _validated(document: Document) -> Scenario:
    try:
        return Scenario.model_validate(document.data)
    except ValidationError as error:
        raise ScenarioError(problems_from(error, document)) from None


def dump_scenario(scenario: Scenario) -> str:
    """A scenario as YAML text with every default written out; it loads back as an equal scenario."""
    return dump_yaml(scenario.model_dump(mode="json"))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a scenario file, with the settings of every registered part."""
    schema = Scenario.model_json_schema()
    schema["properties"][EXTENDS] = {
        "type": "string",
        "description": "a scenario file beside this one, or the name of a shipped scenario, that this one changes",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _find(path: str | os.PathLike[str]) -> Path:
    """A file that is there, a shipped scenario's, or the path itself for the reader to complain about."""
    name = os.fspath(path)
    if not Path(name).exists() and not name.endswith((".yaml", ".yml")):
        known = library.names("scenarios")
        if name in known:
            return library.find("scenarios", name)
        raise ScenarioError([Problem("", f"no such file or shipped scenario: {suggestion(name, known)}", name)])
    return Path(name)


def _extended(path: Path, below: tuple[Path, ...]) -> Document:
    """A file's document, merged over the one that it extends; ``below`` are the files that extend this one."""
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        message = "expected a mapping such as 'name: my-first', not a list or a single value"
        raise ScenarioError([document.problem("", message)])
    _place_beside(path, document.data)
    if EXTENDS not in document.data:
        return document
    name = document.data.pop(EXTENDS)
    if not isinstance(name, str):
        raise ScenarioError([document.problem(EXTENDS, f"expected one file or shipped scenario, not {name!r}")])
    chain = (*below, path.resolve())
    parent = path.parent / name
    if not parent.is_file() and name in library.names("scenarios"):
        parent = library.find("scenarios", name)
    if parent.resolve() in chain:
        names = " -> ".join(file.name for file in (*chain, parent.resolve()))
        raise ScenarioError([document.problem(EXTENDS, f"the files extend each other in a circle: {names}")])
    if not parent.is_file():
        known = suggestion(name, library.names("scenarios"))
        raise ScenarioError([document.problem(EXTENDS, f"neither a file {parent} nor a shipped scenario: {known}")])
    return _merge(_extended(parent, chain), document)


def _place_beside(path: Path, data: Mapping[str, Any]) -> None:
    """Take a relative path of a file's initial weights from the file, so that the two can be moved together."""
    network = data.get("network")
    if isinstance(network, dict) and isinstance(network.get("weights"), str):
        network["weights"] = str(path.parent / network["weights"])


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Options written ``key=value``, as plain data.

    Raises:
        ScenarioError: one is not written so.
    """
    return dict(_parse_overrides(settings).data)


def _parse_overrides(overrides: Sequence[str]) -> Document:
    """The document that overrides make together."""
    data: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for override in overrides:
        option = f"--set {override}"
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")) or path.split(".")[0] == EXTENDS:
            raise ScenarioError([Problem("", "expected section.key=value, such as neuron.alpha=0.3", option)])
        _assign(data, places, path, parse_yaml(text, option).data if text.strip() else None, option)
    return Document(data, places)


def _assign(data: dict[str, Any], places: dict[str, Place], path: str, value: Any, option: str) -> None:
    """Set what lies at a dotted path; problems with it are told as those of ``option``."""
    keys, section = path.split("."), data
    for depth, key in enumerate(keys[:-1], start=1):
        inner = section.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = section[key] = _as_section(".".join(keys[:depth]), inner)
        section = inner
    section[keys[-1]] = value
    for stale in [written for written in places if f"{written}.".startswith(f"{path}.")]:
        del places[stale]
    places.update({".".join(keys[:depth]): Place(option) for depth in range(1, len(keys) + 1)})


def _merge(parent: Document, child: Document) -> Document:
    """``child`` over ``parent``: mappings are merged key by key, all else is replaced."""
    places = dict(parent.places)
    data = _merged(parent.data, child.data, "", parent, child, places)
    return Document(data, {**places, "": child.places.get("", parent.places.get("", Place("")))})


def _merged(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    path: str,
    parent: Document,
    child: Document,
    places: dict[str, Place],
) -> dict[str, Any]:
    data = dict(old)
    for key, value in new.items():
        inner = f"{path}.{key}" if path else key
        before, after = _as_section(inner, old.get(key)), _as_section(inner, value)
        kept = isinstance(before, Mapping) and isinstance(after, Mapping) and not _chooses_anew(inner, before, after)
        if kept:
            data[key] = _merged(before, after, inner, parent, child, places)
        else:
            data[key] = value
            for stale in [place for place in places if f"{place}.".startswith(f"{inner}.")]:
                del places[stale]
            places.update({place: at for place, at in child.places.items() if f"{place}.".startswith(f"{inner}.")})
        if inner in child.places and not (kept and inner in places):
            places[inner] = child.places[inner]
    return data


def _choices() -> dict[str, OneOf]:
    """The sections whose type is chosen by a name, and by which key."""
    fields = Scenario.model_fields.items()
    return {name: item for name, field in fields for item in field.metadata if isinstance(item, OneOf)}


def _as_section(path: str, value: Any) -> Any:
    """A section, where its bare name stands for it."""
    choice = _choices().get(path)
    return {choice.key: value} if choice and isinstance(value, str) else value


def _chooses_anew(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a section names another part than the one it extends, whose settings then mean nothing."""
    if CARD in new:
        # A resolved scenario has its card written out, which a card's name takes the place of.
        return bool(new[CARD] != old.get(CARD))
    choice = _choices().get(path)
    if choice is None or choice.key not in new:
        return False
    return bool(new[choice.key] != old.get(choice.key, choice.default))
