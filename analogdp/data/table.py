"""Tables in text files: rows of cells between commas or the like, read as numbers or words."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analogdp.errors import InputError
from analogdp.registry import suggestion

DELIMITERS = ",;\t|"
"""Of these, the one that is most frequent in the first line divides it, unless another is wanted."""


@dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes:
        path: the file.
        columns: their names; 1, 2, ... where the file names none.
        lines: number of each row's line in the file, from 1.
        cells: by column, all rows.
    """

    path: Path
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    cells: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.lines)

    def words(self, column: str) -> tuple[str, ...]:
        """The cells of a column, without blanks around them.

        Raises:
            InputError: there is no such column, or an empty cell.
        """
        if column not in self.columns:
            raise InputError(f"{self.path} has no column {column!r}; {suggestion(column, self.columns)}")
        cells = self.cells[self.columns.index(column)]
        if "" in cells:
            raise InputError(f"{self.path}:{self.lines[cells.index('')]}: column {column!r} is empty; fill the cell in")
        return cells

    def numbers(self, columns: Sequence[str]) -> Tensor:
        """Columns as numbers in double precision, ``(rows, columns)``.

        Raises:
            InputError: there is no such column, or a cell is no finite number; the message has its line.
        """
        return torch.stack([torch.from_numpy(self._numbers(column)) for column in columns], dim=1)

    def _numbers(self, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        cells = self.words(column)
        numbers = np.array([_number(cell) for cell in cells])
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            row = int(wrong[0])
            raise InputError(
                f"{self.path}:{self.lines[row]}: column {column!r} is {cells[row]!r}, which is no finite number; "
                f"correct it, or leave the row or the column away"
            )
        return numbers


def read_table(path: Path, delimiter: str | None = None, header: bool | None = None) -> Table:
    """Read a table; a file that has not changed is read once.

    Args:
        path: of a text file in UTF-8.
        delimiter: between cells; None: the most frequent of ``, ; | tab`` in the first line.
        header: whether the first line has the names of the columns; None: it has, unless it has a number.

    Raises:
        InputError: it cannot be read, has no rows, or a row has more or fewer cells than the others.
    """
    try:
        stamp = path.stat().st_mtime_ns
        return _read(path, delimiter, header, stamp)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no table in UTF-8 text ({error}); save it as CSV again") from error


@lru_cache(maxsize=2)
def _read(path: Path, delimiter: str | None, header: bool | None, stamp: int) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter or max(DELIMITERS, key=first.count), skipinitialspace=True)
        rows = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader if any(row)]
    if not rows:
        raise InputError(f"{path} is empty; a table needs rows of numbers")
    names = rows[0][1]
    for line, row in rows:
        if len(row) != len(names):
            raise InputError(f"{path}:{line}: {len(row)} cells, but the first line has {len(names)}; correct the row")
    if header or (header is None and all(np.isnan(_number(cell)) for cell in names)):
        rows = rows[1:]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"{path} has two columns {twice[0]!r}; give each a name of its own")
    else:
        names = tuple(str(number + 1) for number in range(len(names)))
    if not rows:
        raise InputError(f"{path} has names of columns, but no rows; a table needs rows of numbers")
    lines, cells = zip(*rows, strict=True)
    return Table(path, names, lines, tuple(zip(*cells, strict=True)))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
