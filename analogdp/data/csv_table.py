"""A data set in the user's own table: a text file of rows with a column to be learnt."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.splitting import divide
from analogdp.data.table import Table, read_table
from analogdp.data.user_files import Contents, UserFileSettings
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=str | tuple[str, ...])]


class CsvSettings(UserFileSettings):
    """The section of a table."""

    name: Literal["csv"] = "csv"
    target: Names = Field(min_length=1, description="column or columns to be learnt")
    columns: Names | None = Field(default=None, min_length=1, description="columns to learn from; default: all others")
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="between cells; default: , ; | or tab, as the first line has",
    )
    header: bool | None = Field(
        default=None, description="the first line has the columns' names; default: if no cell of it is a number"
    )

    def table(self) -> Table:
        return read_table(self.file, self.delimiter, self.header)

    def features(self, table: Table) -> tuple[str, ...]:
        """The columns to learn from.

        Raises:
            InputError: there are none, one is to be learnt, too, or there is none to be learnt.
        """
        for name in self.target:
            table.words(name)
        names = self.columns or tuple(name for name in table.columns if name not in self.target)
        both = [name for name in names if name in self.target]
        if both:
            raise InputError(f"{self.file}: column {both[0]!r} is among both columns and target; take it out of one")
        if not names:
            raise InputError(f"{self.file} has no columns to learn from beside {', '.join(self.target)}")
        return names

    def look(self) -> Contents:
        table = self.table()
        table.numbers(self.features(table))
        outputs = table.numbers(self.target).shape[1] if self.regression() else len(_classes(table, self.target)[0])
        return Contents(inputs=(len(self.features(table)),), outputs=outputs, train=len(table))


@registry.datasets.register("csv")
class Csv:
    """Your own table: a text file of rows, with columns of numbers and one to be learnt."""

    Settings = CsvSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """All rows, split at random by ``seed``.

        Raises:
            InputError: the file is not what the scenario says, or cannot be used.
        """
        assert isinstance(settings, CsvSettings)
        settings.refuse_change()
        table = settings.table()
        inputs = table.numbers(settings.features(table))
        if settings.regression():
            return divide(settings, None, inputs, table.numbers(settings.target), seed)
        classes, labels = _classes(table, settings.target)
        return divide(settings, classes, inputs, labels, seed)


def _classes(table: Table, target: tuple[str, ...]) -> tuple[tuple[str, ...], Tensor]:
    """The classes in a column, whole numbers in their order or words in that of the alphabet, and each row's.

    Raises:
        InputError: there are several columns, fractions, or one class only.
    """
    if len(target) > 1:
        raise InputError(f"{table.path}: a class stands in one column, not in {len(target)}; use task: regression")
    words = table.words(target[0])
    try:
        numbers: list[float] | None = [float(word) for word in words]
    except ValueError:
        numbers = None
    if numbers is not None:
        broken = [row for row, number in enumerate(numbers) if not number.is_integer()]
        if broken:
            place = f"{table.path}:{table.lines[broken[0]]}: column {target[0]!r}"
            refusal = f"{place} is {words[broken[0]]}, but classes are whole numbers or words; use task: regression"
            raise InputError(refusal)
        words = tuple(str(int(number)) for number in numbers)
    names = sorted(set(words), key=str if numbers is None else int)
    if len(names) < 2:
        raise InputError(
            f"{table.path}: column {target[0]!r} has one class only, {names[0]!r}; there is nothing to learn"
        )
    labels = {name: label for label, name in enumerate(names)}
    return tuple(names), torch.tensor([labels[word] for word in words])
