"""What data sets in a file of the user's own have in common: what it holds is found out when the scenario is read."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from analogdp.data.splitting import SplitSettings
from analogdp.errors import InputError, Problem
from analogdp.scenario.schema import Scenario
from analogdp.scenario.settings import Settings

LARGEST = 100_000_000
"""Of any size of a file's contents: beyond what memories hold, far below what overflows."""

Size = Annotated[int, Field(ge=1, le=LARGEST)]


class Contents(Settings):
    """What a file holds."""

    inputs: tuple[Size, ...] = Field(min_length=1, max_length=3, description="shape of one input")
    outputs: int = Field(ge=1, le=LARGEST, description="classes, or numbers in a target")
    train: int = Field(ge=1, le=LARGEST, description="training samples, or all samples")
    test: int | None = Field(
        default=None, ge=1, le=LARGEST, description="test samples; null: the samples are not divided"
    )


class UserFileSettings(SplitSettings):
    """The section of a data set in a file of the user's own."""

    file: Path = Field(strict=False, description="where the samples are")
    task: Literal["classes", "regression"] = Field(default="classes", description="what the network learns")
    contents: Contents | None = Field(
        default=None, description="what the file holds; filled in, so that a run can be looked at without the file"
    )

    @abstractmethod
    def look(self) -> Contents:
        """What the file holds now.

        Raises:
            InputError: it cannot be used.
        """

    @cached_property
    def found(self) -> Contents:
        """What the file holds, or held when the scenario was read first."""
        return self.contents or self.look()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            _ = self.found
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    def resolved(self, scenario: Scenario) -> Self:
        """With the file named outright and what it holds, so that a run can be resumed from anywhere."""
        section = self if self.found.test is not None else super().resolved(scenario)
        return section.model_copy(update={"file": self.file.resolve(), "contents": self.found})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        if self.found.test is not None and self.test_fraction is not None:
            problems.append(Problem("test_fraction", f"{self.file} has test samples of its own; leave it away"))
        return problems

    def regression(self) -> bool:
        return self.task == "regression"

    def sizes(self) -> tuple[int, int]:
        return prod(self.found.inputs), self.found.outputs

    def shape(self) -> tuple[int, ...]:
        return self.found.inputs

    def samples(self) -> tuple[int, int]:
        found = self.found
        return self.divided(found.train) if found.test is None else (found.train, found.test)

    def refuse_change(self) -> None:
        """Refuse a file that no longer holds what the scenario says.

        Raises:
            InputError: it does not.
        """
        now = self.look()
        if now != self.found:
            raise InputError(
                f"{self.file} holds {_in_words(now)}, but the scenario says {_in_words(self.found)}: the file has changed; "
                f"leave data.contents away to use it as it is"
            )


def _in_words(contents: Contents) -> str:
    shape = " x ".join(map(str, contents.inputs))
    test = "" if contents.test is None else f" and {contents.test} test samples"
    return f"{contents.train} samples{test} of {shape} inputs and {contents.outputs} outputs"
