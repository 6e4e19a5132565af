"""The errors and warnings a user meets; the command line turns them into one message and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AnalogdpError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class InputError(AnalogdpError):
    """What the user gave cannot be used; nothing was started. Exit code 2."""

    exit_code = 2


class RunError(AnalogdpError):
    """A run started and could not be finished. Exit code 1."""


class AnalogdpWarning(UserWarning):
    """Something works, but probably not as the user expects."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where it is and what to do about it.

    Attributes:
        path: dotted path of the field, for example ``neuron.alpha``; empty for the file as a whole.
        message: what is wrong, the value, what is allowed and the way out.
        file: the file's name as the user wrote it, or None for input that came from Python.
        line: the line in the file, counted from 1, where it is known.
    """

    path: str
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ScenarioError(InputError):
    """All problems of a scenario (or device card) at once, in ``problems``."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
