"""From pydantic's errors to the problems that a user reads: flat, with dotted paths and places in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from analogdp.errors import Problem
from analogdp.scenario.settings import ProblemList
from analogdp.scenario.yaml import Document


def problems_from(error: ValidationError, document: Document | None = None, prefix: str = "") -> list[Problem]:
    """All that is wrong, one problem for each path, in the file's order.

    Args:
        error: from validating ``document.data``, or something that came from Python.
        document: what the user wrote, for file names and lines.
        prefix: dotted path of what was validated within a larger whole.
    """
    found: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        path = _join(prefix, *_written(detail["loc"], document.data if document else None))
        for inner, message in _flat(detail):
            messages = found.setdefault(_join(path, inner), [])
            if message not in messages:
                messages.append(message)
    document = document or Document(None)
    problems = [document.problem(path, "; or ".join(messages)) for path, messages in found.items()]
    return sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))


def _flat(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The path below the finding's place, and the message, of each problem that a finding stands for."""
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ProblemList):
        return [(problem.path, problem.message) for problem in cause.problems]
    if isinstance(cause, ValidationError):
        return [(problem.path, problem.message) for problem in problems_from(cause)]
    return [("", str(cause) if cause else detail["msg"])]


def _written(place: Sequence[int | str], data: Any) -> list[str]:
    """A finding's place as the user wrote it: pydantic adds the names of a union's members, which no file has."""
    parts = []
    for part in place:
        if _has(data, part):
            data = data[part]
        elif data is None or _may_be_field(part):
            data = None  # what is missing, or has a default, has nothing written below it
        else:
            continue
        parts.append(str(part))
    return parts


def _has(data: Any, part: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


def _may_be_field(part: int | str) -> bool:
    return str(part).isidentifier() and str(part).islower() and part not in ("int", "str", "float", "bool")


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
