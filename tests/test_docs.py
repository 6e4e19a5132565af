"""What the documentation says of scenario files, Python names and commands is what the package has."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import annotated_types
import pytest
from pydantic import WithJsonSchema
from typer.main import get_command

import analogdp
from analogdp import registry
from analogdp.api import Result
from analogdp.cli.application import application
from analogdp.devices.cards import DeviceCard
from analogdp.scenario import Scenario, load_scenario
from analogdp.scenario.settings import NameIn, OneOf, Settings
from analogdp.scenario.yaml import parse_yaml

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCENARIOS = ROOT / "docs" / "scenarios.md"
REFERENCES = (SCENARIOS, ROOT / "docs" / "devices.md", ROOT / "docs" / "exports.md")
"""Pages with tables of keys."""

QUANTITIES = {
    "a time": "time",
    "a rate": "rate",
    "a voltage": "voltage",
    "a conductance": "conductance",
    "a resistance": "resistance",
    "a current": "current",
    "an energy": "energy",
    "a power": "power",
    "a length": "length",
    "a temperature": "temperature",
    "a ratio": "ratio",
}
WORDS = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", Path: "path"}
WRITTEN_OUT = {
    "inputs": "list of whole numbers",
    "input_shape": "list of whole numbers",
    "target": "text, or list of text",
    "columns": "text, or list of text",
    "device": "`auto`, `cpu`, `cuda`, `cuda:0`, ...",
    "tile": "`ROWSxCOLUMNS`",
    "weight_range": "number, or `NUMBER/sqrt(fan_in)`",
    "layers": "list of layers",
    "parameters": "section",
    "record": "list of sections",
    "export": "list of formats, or of sections",
    "units": "list of whole numbers, whole number, `all`",
    "only_chips": "list of whole numbers",
    "lossy": "list of losses",
    "attacks": "list of `fgsm`, `pgd`",
    "strengths": "list of ratios",
    "significance": "list of numbers",
    "steps_up": "list of numbers",
    "steps_down": "list of numbers",
    "bottom_up": "one for all, or one for each pair",
    "top_down": "one for all, or one for each pair",
}
"""Values that types do not tell."""
LISTS = {"size": "list of whole numbers", "classes": "list of text"}
"""The same where they are lists; other sections have single numbers of these names."""


def declared_settings():
    """Every class of settings in the package, with the classes that others build on."""
    for each in registry.all_registries():
        each.names()
    found, waiting = [], [Settings]
    while waiting:
        below = [cls for cls in waiting.pop().__subclasses__() if cls.__module__.startswith("analogdp.")]
        found += below
        waiting += below
    return found


def documented_rows(settings):
    """How the table rows of the fields begin that a class itself declares: key, values, default.

    A key that chooses a registered part is shown in the class that all parts of the kind share.
    """
    choice = chosen_parts().get(settings)
    rows = []
    for name in vars(settings).get("__annotations__", ()):
        field = settings.model_fields.get(name)
        if field is None or (get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1):
            continue
        if choice and choice.key == name:
            rows.append(f"| `{name}` | {quoted(own_names(choice.registry))} | `{choice.default}` |")
        else:
            rows.append(f"| `{name}` | {values(name, field)} | {default(field)} |")
    return rows


def chosen_parts():
    """Where a section's type is chosen by name: the class that all choices share, and how it is chosen."""
    fields = [field for cls in declared_settings() for field in cls.model_fields.values()]
    annotated = [(field.annotation, field.metadata) for field in fields]
    lists = [get_args(annotation)[0] for annotation, _ in annotated if get_origin(annotation) is tuple]
    annotated += [(get_args(each)[0], each.__metadata__) for each in lists if get_origin(each) is Annotated]
    return {
        annotation: part
        for annotation, metadata in annotated
        for part in metadata
        if isinstance(part, OneOf) and isinstance(annotation, type)
    }


def values(name, field):
    """What a field takes, in words."""
    types, metadata = flattened(field.annotation)
    metadata += field.metadata
    names = next((own_names(part.registry) for part in metadata if isinstance(part, NameIn)), None)
    choices = [choice for kind in types if get_origin(kind) is Literal for choice in get_args(kind)]
    null = ", `null`" if type(None) in types else ""
    if name in WRITTEN_OUT and types[0] is not DeviceCard:
        return WRITTEN_OUT[name] + null
    if name in LISTS and types[0] is tuple:
        return LISTS[name] + null
    if names:
        return ("list of " if types[0] is tuple else "") + quoted(names) + null
    if any(isinstance(kind, type) and issubclass(kind, Settings) for kind in types):
        return "card" + null if DeviceCard in types else "section" + null
    plain = [quantity(metadata) or WORDS[kind] for kind in types if kind in WORDS]
    bounds = range_in_words(metadata)
    return ", ".join(part for part in (*plain, bounds, quoted(choices)) if part) + null


def own_names(members):
    """Names of this package's own members; tests and other packages may have registered more."""
    return [name for name in members.names() if members.get(name).__module__.startswith("analogdp.")]


def flattened(annotation):
    """The types that a field takes and what they are annotated with."""
    if get_origin(annotation) is Annotated:
        types, metadata = flattened(get_args(annotation)[0])
        return types, [*metadata, *annotation.__metadata__]
    if get_origin(annotation) is tuple:
        return [tuple], flattened(get_args(annotation)[0])[1]
    if get_args(annotation) and get_origin(annotation) is not Literal:
        parts = [flattened(part) for part in get_args(annotation)]
        return [kind for types, _ in parts for kind in types], [part for _, own in parts for part in own]
    return [annotation], []


def quantity(metadata):
    described = [part.json_schema.get("description", "") for part in metadata if isinstance(part, WithJsonSchema)]
    return next((word for text in described for start, word in QUANTITIES.items() if text.startswith(start)), None)


def range_in_words(metadata):
    bounds = {}
    for part in metadata:
        for constraint in part if isinstance(part, annotated_types.GroupedMetadata) else (part,):
            for name in ("ge", "gt", "le", "lt"):
                if hasattr(constraint, name):
                    bounds[name] = number(getattr(constraint, name))
    lower = bounds.get("ge") or ("above " + bounds["gt"] if "gt" in bounds else "")
    upper = bounds.get("le") or ("below " + bounds["lt"] if "lt" in bounds else "")
    if "gt" in bounds and upper:
        return f"{lower}, {'' if 'lt' in bounds else 'at most '}{upper}"
    if upper:
        return f"{lower} to {upper}"
    return f"from {lower}" if "ge" in bounds else lower


def default(field):
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Settings):
        part = next((part for part in field.metadata if isinstance(part, OneOf)), None)
        return f"`{getattr(value, part.key)}`" if part else "all defaults"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool) or value is None:
        return {True: "`true`", False: "`false`", None: "`null`"}[value]
    if isinstance(value, int | float):
        return f"`{number(value)}`"
    return f"`{value}`" if str(value) else "empty"


def number(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def quoted(names):
    return ", ".join(f"`{name}`" for name in names)


def key_tables(page):
    """The tables of keys, told by their heads."""
    text = page.read_text()
    blocks = re.findall(r"^\| key \| values \| default \| meaning \|\n\|[-| ]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    return [block.splitlines() for block in blocks]


def reference_tables():
    return [table for page in REFERENCES for table in key_tables(page)]


def fenced(page, language):
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def examples(language):
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in PAGES
        for number, code in enumerate(fenced(page, language))
    ]


@pytest.mark.parametrize("settings", declared_settings(), ids=lambda settings: settings.__name__)
def test_every_key_of_a_section_is_documented_with_its_values_and_default(settings):
    missing = min(
        (
            [row for row in documented_rows(settings) if not any(line.startswith(row) for line in table)]
            for table in reference_tables()
        ),
        key=len,
    )
    assert not missing


def test_the_documentation_has_no_keys_that_scenarios_do_not_have():
    known = ("| `extends` |", *(row for settings in declared_settings() for row in documented_rows(settings)))
    assert not [line for table in reference_tables() for line in table if not line.startswith(known)]


def test_every_key_is_explained():
    assert not [line for table in reference_tables() for line in table if not line.split(" | ")[3].strip(" |")]


@pytest.mark.parametrize("code", examples("yaml"))
def test_an_example_in_yaml_is_valid(code, tmp_path):
    if "material" in parse_yaml(code, "example").data:
        assert DeviceCard.model_validate(parse_yaml(code, "example").data).device()
        return
    path = tmp_path / "example.yaml"
    path.write_text(code)
    assert isinstance(load_scenario(path), Scenario)


@pytest.mark.parametrize("code", examples("python"))
def test_an_example_in_python_uses_names_that_exist(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "adp":
            assert node.attr in analogdp.__all__
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "result":
            assert hasattr(Result, node.attr) or f"self.{node.attr}" in inspect.getsource(Result)


@pytest.mark.parametrize("page", [PAGES[0], SCENARIOS], ids=lambda page: page.name)
def test_a_command_that_a_page_names_exists(page):
    commands = get_command(application).commands
    named = re.findall(r"^(?:\$ )analogdp ([a-z-]+)|`analogdp ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert {first or second for first, second in named} <= commands.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_links_to_exists(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
