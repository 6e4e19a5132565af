"""What is wrong with a value, in words: pydantic's findings as sentences that name the value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from analogdp.registry import suggestion

LONGEST = 60
"""Characters of a value that a message repeats."""

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping of names to values",
    "model": "a section of names and values",
    "path": "a path",
    "is_instance_of": "a path",
    "finite_number": "a finite number",
}


def shown(value: Any) -> str:
    """A value much as the user wrote it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    try:
        text = str(list(value)) if isinstance(value, tuple) else repr(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def unknown_key(key: str, known: Iterable[str]) -> str:
    """That a section has no such key."""
    return f"unknown key {shown(key)}; {suggestion(key, known)}"


def in_words(error: ErrorDetails, value: Any, field: FieldInfo | None) -> str:
    """One finding of pydantic as a sentence.

    Args:
        error: the finding.
        value: what the user wrote.
        field: the field that was found wrong, if the finding is about the whole of it: its full range is told.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        description = field.description if field and field.description else ""
        return "is required" + (f": {description}" if description else "")
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"unknown value {shown(value)}: {suggestion(str(value), _quoted(context['expected']))}"
    if kind.startswith(("greater_than", "less_than")):
        return f"{shown(value)} is out of range; allowed: {_range(_bounds(field) | _own_bounds(error))}"
    if kind in ("too_short", "too_long"):
        bounds = _bounds(field)
        least, most = bounds.get("min_length", 0), bounds.get("max_length", "any number")
        length = context["actual_length"]
        return f"{length} {'value' if length == 1 else 'values'}; allowed: {least} to {most}"
    if kind.startswith("string_too_"):
        bounds = _bounds(field)
        least, most = bounds.get("min_length", 0), bounds.get("max_length", "any number")
        return f"{len(value)} characters; allowed: {least} to {most}"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} is not allowed; {field.description if field else context['pattern']}"
    for start, expected in _EXPECTED.items():
        if kind.startswith(start):
            return f"expected {expected}, not {shown(value)}{_quoting_hint(start, value)}"
    return f"{error['msg']}, not {shown(value)}"


def _quoting_hint(expected: str, value: Any) -> str:
    if (
        expected in ("int", "float", "bool")
        and isinstance(value, str)
        and re.fullmatch(r"[-+.\deE]+|true|false", value)
    ):
        return "; leave the quotes away"
    if expected == "string" and isinstance(value, int | float):
        return "; put it in quotes"
    return ""


def _quoted(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _own_bounds(error: ErrorDetails) -> dict[str, Any]:
    return {name: bound for name, bound in error.get("ctx", {}).items() if name in ("gt", "ge", "lt", "le")}


def _bounds(field: FieldInfo | None) -> dict[str, Any]:
    names = ("gt", "ge", "lt", "le", "min_length", "max_length")
    items = field.metadata if field else []
    return {name: getattr(item, name) for item in items for name in names if getattr(item, name, None) is not None}


def _range(bounds: Mapping[str, Any]) -> str:
    """The allowed range, such as ``0 to 1`` or ``above 0, at most 100``."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    if bounds.keys() & {"ge", "le"} == {"ge", "le"}:
        return f"{_number(bounds['ge'])} to {_number(bounds['le'])}"
    return ", ".join(f"{word} {_number(bounds[name])}" for name, word in words.items() if name in bounds)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
