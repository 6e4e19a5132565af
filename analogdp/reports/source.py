"""What a report is made from: the files of a run directory, read into plain arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from analogdp.analysis import Aging, EnergyReport
from analogdp.errors import InputError
from analogdp.runs.directory import AGING, CONDUCTANCES, ENERGY, JOURNAL, MANIFEST, METRICS, RECORDINGS, SCENARIO
from analogdp.runs.metrics import Journal, as_table
from analogdp.scenario.yaml import read_yaml

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """The evaluations of a run, in order.

    Attributes:
        epochs, updates: how far training was at each evaluation, ``(evaluations,)``.
        chips: index of each chip.
        columns: one array ``(evaluations, chips)`` per quantity; NaN where a row is missing or a value was not finite.
    """

    epochs: Values
    updates: Values
    chips: tuple[int, ...]
    columns: Mapping[str, Values]

    @classmethod
    def from_columns(cls, table: Mapping[str, Sequence[Any]]) -> Metrics:
        """From columns of equal length, a row for each evaluation and chip; with ``epoch``, ``update`` and ``chip``."""
        if not table:
            return cls(np.empty(0), np.empty(0), (), {})
        plain = {name: np.array(values, dtype=np.float64) for name, values in table.items()}
        updates, chips, columns = by_chip(plain)
        return cls(np.nanmax(columns.pop("epoch"), axis=1), updates, chips, columns)

    def get(self, name: str) -> Values | None:
        """A quantity, ``(evaluations, chips)``, or None if the run has no finite value of it."""
        values = self.columns.get(name)
        return values if values is not None and np.isfinite(values).any() else None

    def final(self, name: str) -> tuple[float, float] | None:
        """Mean and sample standard deviation over chips (0 for one chip) at the last evaluation, or None."""
        values = self.get(name)
        if values is None:
            return None
        last = values[-1][np.isfinite(values[-1])]
        if not last.size:
            return None
        return float(last.mean()), float(last.std(ddof=1)) if last.size > 1 else 0.0

    def total(self, name: str) -> int:
        """Sum of a count over all evaluations and chips; 0 if the run has none."""
        values = self.get(name)
        return 0 if values is None else int(np.nansum(values))


def by_chip(table: Mapping[str, Values]) -> tuple[Values, tuple[int, ...], dict[str, Values]]:
    """Columns ``(updates, chips)`` from rows for each update and chip, with NaN where there is no row; and which these are."""
    updates, row = np.unique(table["update"], return_inverse=True)
    chips, column = np.unique(table["chip"].astype(int), return_inverse=True)

    def grid(values: Values) -> Values:
        filled = np.full((len(updates), len(chips)), np.nan)
        filled[row, column] = values
        return filled

    columns = {name: grid(values) for name, values in table.items() if name not in ("update", "chip")}
    return updates, tuple(int(chip) for chip in chips), columns


def read_series(table: Path, journal: Path, names: Iterable[str]) -> dict[str, Values] | None:
    """Some columns of what was measured batch by batch; None if nothing was.

    Args:
        table: of a run that has ended.
        journal: of one that is under way or was killed.
        names: of the columns.

    Raises:
        InputError: the file is damaged.
    """
    path = table if table.is_file() else journal
    if not path.is_file():
        return None
    try:
        stored = pyarrow.parquet.read_table(path) if path == table else as_table(Journal(path).rows())
        if not stored.num_rows:
            return None
        return {name: stored.column(name).to_numpy().astype(np.float64) for name in names}
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged: {error}") from error


@dataclass(frozen=True)
class RunFiles:
    """The contents of a run directory that a report shows.

    Attributes:
        directory: where the files are.
        scenario: the resolved scenario, as plain data.
        scenario_text: the same as its file has it.
        manifest: what ``manifest.json`` says; keys may be missing.
        metrics: the evaluations.
        conductances: the file of the trained crossbars, or None if the run has none.
        recordings: the file of the traces, or None if the run has none.
        energy: the account of energy and time, or None if the run has none.
        aging: how the network does over time, or None if the run has not been aged.
    """

    directory: Path
    scenario: Mapping[str, Any]
    scenario_text: str
    manifest: Mapping[str, Any]
    metrics: Metrics
    conductances: Path | None
    recordings: Path | None
    energy: EnergyReport | None
    aging: Aging | None


def read_run(directory: Path) -> RunFiles:
    """Read a run directory.

    Raises:
        InputError: it is none, or one of its files is damaged.
    """
    for name in (SCENARIO, MANIFEST):
        if not (directory / name).is_file():
            raise InputError(f"{directory} has no {name}; give the directory of a run, such as runs/quickstart-1")
    scenario = read_yaml(directory / SCENARIO).data
    return RunFiles(
        directory=directory,
        scenario=scenario,
        scenario_text=(directory / SCENARIO).read_text(),
        manifest=_read_manifest(directory / MANIFEST),
        metrics=_read_metrics(directory, omit=() if _settles(scenario) else ("settled_fraction",)),
        conductances=_if_there(directory / CONDUCTANCES),
        recordings=_if_there(directory / RECORDINGS),
        energy=EnergyReport.read(directory / ENERGY),
        aging=Aging.read(directory / AGING),
    )


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _read_manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: damaged: a mapping is expected, not {type(manifest).__name__}")
    return manifest


def _settles(scenario: Mapping[str, Any]) -> bool:
    """Whether samples are tested for having settled; without a tolerance each takes all its steps."""
    dynamics = scenario.get("dynamics", {})
    rest = dynamics.get("settle", dynamics)
    return not ("tolerance" in rest and rest["tolerance"] is None)


def _read_metrics(directory: Path, omit: tuple[str, ...]) -> Metrics:
    """The table if the run has ended, else the journal of a run that is under way or was killed; some columns left out."""
    path = directory / METRICS if (directory / METRICS).is_file() else directory / JOURNAL
    try:
        table = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else as_table(Journal(path).rows())
        return Metrics.from_columns({name: values for name, values in table.to_pydict().items() if name not in omit})
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged: {error}") from error
