"""Evaluations of a run: an append-only journal while it runs, one parquet table when it has ended."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

from analogdp.errors import RunError
from analogdp.files import atomic_path

Row = dict[str, float | int]

COLUMNS = (
    "epoch",
    "update",
    "chip",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "test_loss_noise_free",
    "test_accuracy_noise_free",
    "settle_steps_mean",
    "settle_steps_max",
    "settled_fraction",
    "pulses_up",
    "pulses_down",
    "write_energy",
)
"""Order of the columns; one that a run does not have (accuracy, for regression) is left out, others follow."""


class Journal:
    """``metrics.jsonl``: one line of JSON per evaluation and chip, on disk before the run goes on.

    Numbers that are not finite are written as ``null``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def length(self) -> int:
        """Bytes written."""
        return self.path.stat().st_size if self.path.exists() else 0

    def append(self, rows: Sequence[Row]) -> None:
        """Add the rows of one evaluation and wait until the disk has them."""
        lines = "".join(f"{json.dumps({key: _finite(value) for key, value in row.items()})}\n" for row in rows)
        with self.path.open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def cut(self, length: int) -> None:
        """Drop everything after ``length`` bytes: what a killed process wrote after its last checkpoint.

        Raises:
            RunError: the journal is shorter than that.
        """
        if self.length < length:
            raise RunError(
                f"{self.path} has {self.length} bytes, but {length} were written before the checkpoint: "
                "it was cut or removed; put it back, or start the run anew"
            )
        if self.length > length:
            with self.path.open("r+b") as file:
                file.truncate(length)
                os.fsync(file.fileno())

    def rows(self) -> list[Row]:
        """The rows so far; a last line that was torn by a crash is left out."""
        if not self.path.exists():
            return []
        *lines, _torn = self.path.read_bytes().split(b"\n")
        try:
            return [_numbers(json.loads(line)) for line in lines]
        except (ValueError, AttributeError) as error:
            raise RunError(f"{self.path} is damaged: {error}") from error


class Series:
    """Rows of something that is measured while a run goes on: a journal, which a resumed run cuts, and in the end a table."""

    def __init__(self, journal: Path, table: Path) -> None:
        self.journal, self.table = Journal(journal), table

    def gathered(self) -> list[Row]:
        """Rows that are not in the journal yet, which only the caller has from now on."""
        return []

    def flush(self) -> int:
        """Have all rows on disk; returns the journal's length in bytes."""
        if rows := self.gathered():
            self.journal.append(rows)
        return self.journal.length

    def cut(self, length: int) -> None:
        """Drop all but the first bytes of the journal.

        Raises:
            RunError: it is shorter than that.
        """
        self.gathered()
        self.journal.cut(length)

    def write(self) -> None:
        """Write all rows as a table."""
        self.flush()
        write_table(self.table, self.journal.rows())


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as parquet, columns in fixed order; equal rows give equal bytes."""
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(as_table(rows), temporary)
    return path


def as_table(rows: Sequence[Row]) -> pyarrow.Table:
    """Rows as a pyarrow table, columns in fixed order: whole numbers int64, others float64, not finite ones null."""
    present = dict.fromkeys(key for row in rows for key in row)
    names = [*(name for name in COLUMNS if name in present), *(name for name in present if name not in COLUMNS)]
    columns = {}
    for name in names:
        values = [_finite(row[name]) if name in row else None for row in rows]
        whole = all(isinstance(value, int) for value in values)
        columns[name] = pyarrow.array(values, pyarrow.int64() if whole else pyarrow.float64())
    return pyarrow.table(columns)


def last_evaluation(rows: Sequence[Row]) -> list[Row]:
    """The rows, one per chip, of the latest evaluation."""
    return [row for row in rows if row["update"] == rows[-1]["update"]]


def mean_and_spread(rows: Sequence[Row], name: str) -> tuple[float, float] | None:
    """Mean and sample standard deviation (0 for a single chip) of a column over rows; None if they do not have it."""
    values = [row[name] for row in rows if name in row]
    if not values:
        return None
    mean = statistics.fmean(values)
    # The exact arithmetic of statistics.stdev does not take infinities, which the loss of a diverging network may be.
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) if len(values) > 1 else 0.0


def _finite(value: float | int) -> float | int | None:
    return value if math.isfinite(value) else None


def _numbers(row: dict[str, float | int | None]) -> Row:
    return {key: math.nan if value is None else value for key, value in row.items()}
