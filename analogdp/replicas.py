"""Many runs of one scenario that differ in some settings, trained together where that gives the same results."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from analogdp import api
from analogdp.data import load as load_data
from analogdp.errors import InputError, RunError
from analogdp.files import atomic_path
from analogdp.learning.together import TrainersTogether, program
from analogdp.runs import Interrupted, Observer, RunDirectory, load_newest, mean_and_spread, read_manifest
from analogdp.runs.directory import MANIFEST, SCENARIO
from analogdp.runs.origin import origin_files
from analogdp.runs.together import train_together
from analogdp.scenario import Scenario
from analogdp.scenario.estimate import available_memory, memory_parts, refuse_if_too_large
from analogdp.scenario.threads import computing_with, threads_for
from analogdp.scenario.variations import Variation, vary

TABLE, SUMMARY = "replicas.parquet", "summary.parquet"
METRICS = ("test_accuracy", "test_accuracy_noise_free", "test_loss", "train_loss")
MOST_TOGETHER = 256
"""Runs in one group, whose directories are all held open."""


@dataclass(frozen=True)
class Replica:
    """One of the runs: what it has of the varied settings, by dotted path, and what it left."""

    values: dict[str, Any]
    result: api.Result

    @property
    def row(self) -> dict[str, Any]:
        """Its line of the table: values, directory, status, and means over chips at the last evaluation."""
        found = {name: mean_and_spread(self.result.final, name) for name in METRICS} if self.result.metrics else {}
        means = {name: mean[0] for name, mean in found.items() if mean is not None}
        return {**self.values, "directory": self.result.directory.name, "status": self.result.status, **means}


class Replication(Sequence[Replica]):
    """Runs that differ in some settings.

    Attributes:
        directory: the folder of their directories and of the tables.
    """

    def __init__(self, directory: Path, replicas: Sequence[Replica]) -> None:
        self.directory, self._replicas = directory, tuple(replicas)

    def __getitem__(self, index: Any) -> Any:
        return self._replicas[index]

    def __len__(self) -> int:
        return len(self._replicas)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each run."""
        return [replica.row for replica in self]

    @property
    def summary(self) -> list[dict[str, Any]]:
        """A row for each combination of values other than seeds: how many runs finished, means and spreads over them.

        A spread is a sample standard deviation, ``None`` for a single run.
        """
        groups: dict[str, list[Replica]] = {}
        for replica in self:
            others = {path: value for path, value in replica.values.items() if path != "seed"}
            groups.setdefault(repr(others), []).append(replica)
        return [_summed_up(members) for members in groups.values()]

    def __repr__(self) -> str:
        lines = (", ".join(f"{name}: {_shown(value)}" for name, value in row.items()) for row in self.summary)
        return "\n  ".join((f"Replication({self.directory})", *lines))

    def _repr_html_(self) -> str:
        rows = self.summary
        cells = [[*rows[0]], *([_shown(value) for value in row.values()] for row in rows)]
        lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in cells)
        return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


class GroupObserver(Observer):
    """Somebody who watches replicas, and their training as that of one run."""

    def group_begins(self, done: int, together: int, total: int) -> None:
        """So many runs are trained together now; ``done`` of all are behind."""


@dataclass(frozen=True)
class _Job:
    variation: Variation
    directory: Path

    @property
    def scenario(self) -> Scenario:
        return self.variation.scenario


def replicate(
    scenario: Scenario,
    choices: Mapping[str, Iterable[Any]],
    *,
    out: Path | str | None = None,
    together: int | None = None,
    progress: GroupObserver | None = None,
) -> Replication:
    """Run a scenario with every combination of some settings, and tabulate what comes out.

    Runs that differ in nothing but seeds, asymmetries, nudging strengths and learning rates are trained together, as many as
    the memory takes, but for seeds that leave another number of samples to test (``data.test: rest``); all others one after
    the other. Each has a directory of its own, as if it had been run alone. What is done already in ``out`` is not done
    again, so what was interrupted goes on.

    Args:
        scenario: what all else is taken from.
        choices: values by dotted path, such as ``{"seed": range(5), "neuron.alpha": [0, 0.5, 1]}``.
        out: the folder, new or one of the same call; by default a new ``<name>-replicas-<number>`` under
            ``scenario.run.directory``.
        together: most runs that are trained together; by default as many as the memory takes.
        progress: is told how it goes.

    Raises:
        InputError: this cannot be done, as the message says.
        RunError: a run could not be finished for another reason than diverging; what is done is kept.
    """
    if together is not None and not 1 <= together <= MOST_TOGETHER:
        raise InputError(f"together: {together} is out of range; allowed: 1 to {MOST_TOGETHER}")
    variations = vary(scenario, choices)
    for variation in variations:
        refuse_if_too_large(variation.scenario)
    if together is not None and (most := most_together(scenario)) < min(together, len(variations)):
        raise InputError(
            f"together: {together} runs do not fit into the memory; {most} do: leave it out, or take fewer"
        )
    observer, folder = progress or GroupObserver(), _folder(scenario, out)
    _refuse_other_choices(folder, {variation.name for variation in variations})
    jobs = [_Job(variation, folder / variation.name) for variation in variations]
    done = 0
    try:
        for group in _groups(jobs, together):
            observer.group_begins(done, len(group), len(jobs))
            if len(group) > 1:
                _train(group, folder, observer)
            for job in group:
                _finish(job, Observer() if len(group) > 1 else observer)
            done += len(group)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"the runs were stopped; to go on, repeat this with --out {folder}") from error
    found = Replication(folder, [Replica(job.variation.values, api.open_run(job.directory)) for job in jobs])
    for name, rows in ((TABLE, found.rows), (SUMMARY, found.summary)):
        with atomic_path(folder / name) as temporary:
            pyarrow.parquet.write_table(_table(rows), temporary)
    return found


def most_together(scenario: Scenario) -> int:
    """How many runs of a scenario can be trained together in the memory that is free, each with data of its own."""
    parts = memory_parts(scenario)
    shared = parts.pop("the program")
    each = max(1, sum(parts.values()))
    return max(1, min(MOST_TOGETHER, (available_memory(scenario.run.device) - shared) // each))


def _groups(jobs: Sequence[_Job], together: int | None) -> Iterator[list[_Job]]:
    """What is to be trained together: runs of one program that have come equally far."""
    groups: dict[object, list[_Job]] = {}
    for job in jobs:
        key = _key(job)
        groups.setdefault(job.directory if key is None else key, []).append(job)
    for group in groups.values():
        # Torch's optimizers take chips with the same rates at once if these are neighbours.
        ordered = sorted(group, key=lambda job: _rates(job.scenario))
        most = min(together or MOST_TOGETHER, most_together(group[0].scenario))
        yield from (ordered[start : start + most] for start in range(0, len(ordered), most))


def _rates(scenario: Scenario) -> tuple[float, float]:
    learning = scenario.learning
    return getattr(learning, "rate", None) or 0.0, getattr(learning, "bias_rate", None) or 0.0


def _key(job: _Job) -> object | None:
    """What runs must have in common to be trained together; None for one that is alone, or has nothing left to train."""
    common = program(job.scenario)
    if common is None or not job.directory.exists():
        return common
    _check_same(job.scenario, job.directory)
    made = RunDirectory.open(job.directory)
    manifest = read_manifest(made)
    checkpoint = None if manifest.concluded else load_newest(made.checkpoints, lambda message: None)
    if manifest.concluded or checkpoint is None:
        return None
    return common, checkpoint.update, manifest.device, manifest.threads


def _train(group: Sequence[_Job], folder: Path, observer: Observer) -> None:
    """Train runs together; what is made of the trained networks is left to each alone."""
    scenarios = [job.scenario for job in group]
    first, begun = scenarios[0], group[0].directory.exists()
    chips = sum(len(scenario.simulated_chips) for scenario in scenarios)
    whole = first.model_copy(update={"chips": chips, "run": first.run.model_copy(update={"only_chips": None})})
    placed = api.placed_scenario(first, threads=threads_for(whole))
    device, threads = placed.run.device, threads_for(placed)
    if begun:
        manifest = read_manifest(RunDirectory.open(group[0].directory))
        device, threads = manifest.device, manifest.threads
    with computing_with(threads), ExitStack() as locks:
        datasets = {scenario.seed: load_data(scenario.data, scenario.seed) for scenario in scenarios}
        on_device = [api.placed_scenario(scenario, device=device, threads=threads) for scenario in scenarios]
        runs = [_directory(job, device) for job in group]
        for run in runs:
            locks.enter_context(run.locked())
        gather = partial(TrainersTogether, on_device, datasets)
        train_together(runs, gather, first.run.checkpoint_every, observer, folder)


def _directory(job: _Job, device: str) -> RunDirectory:
    if job.directory.exists():
        return RunDirectory.open(job.directory)
    return api.new_directory(job.scenario, device, job.directory, Path.cwd())


def _finish(job: _Job, observer: Observer) -> None:
    """Carry a run to its end from wherever it is; one that diverges is at its end."""
    try:
        if job.directory.exists():
            _check_same(job.scenario, job.directory)
            if not read_manifest(RunDirectory.open(job.directory)).concluded:
                api.resume(job.directory, progress=observer)
        else:
            api.run(job.scenario, out=job.directory, progress=observer)
    except RunError:
        with suppress(InputError):
            if api.open_run(job.directory).status == "diverged":
                return
        raise


def _summed_up(members: Sequence[Replica]) -> dict[str, Any]:
    rows = [own.row for own in members if own.result.status == "finished"]
    line = {path: value for path, value in members[0].values.items() if path != "seed"}
    line |= {"runs": len(members), "finished": len(rows)}
    for name in METRICS:
        if found := mean_and_spread(rows, name):
            line |= {name: found[0], f"{name}_spread": found[1] if len(rows) > 1 else None}
    return line


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> pyarrow.Table:
    """Rows as columns; values of a setting that are not all numbers, or all text, become text."""
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        plain = all(value is None or isinstance(value, int | float) for value in values)
        columns[name] = values if plain else [None if value is None else str(value) for value in values]
    return pyarrow.table(columns)


def _folder(scenario: Scenario, out: Path | str | None) -> Path:
    """The folder of all runs, made at once so that nobody else takes it."""
    place = Path(out) if out is not None else scenario.run.directory
    try:
        if out is not None:
            place.mkdir(parents=True, exist_ok=True)
            return place
        place.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = place / f"{scenario.name}-replicas-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except FileExistsError as error:
        raise InputError(f"{error.filename} is a file; runs need a directory: choose another") from error
    except OSError as error:
        raise RunError(f"cannot make the directory {place}: {error.strerror or error}") from error


def _refuse_other_choices(folder: Path, names: set[str]) -> None:
    """Refuse a folder with a table, or runs without one, of a call with other choices: its tables would be lost."""
    table = folder / TABLE
    if table.exists():
        try:
            same = set(pyarrow.parquet.read_table(table).column("directory").to_pylist()) == names
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{table} is no table of replicas: choose another directory, or remove it") from error
    else:
        same = {manifest.parent.name for manifest in folder.glob(f"*/{MANIFEST}")} <= names
    if not same:
        raise InputError(
            f"{folder} has the replicas of other choices, whose tables would be lost: choose another directory (--out), "
            f"or repeat the same choices to go on"
        )


def _check_same(scenario: Scenario, directory: Path) -> None:
    """Refuse a directory that is not the run's."""
    if not all((directory / name).is_file() for name in (SCENARIO, MANIFEST)):
        raise InputError(f"{directory} exists, but is no run: choose another directory, or remove it")
    files = origin_files(scenario).items()
    contents = ((directory / name, text if isinstance(text, bytes) else text.encode()) for name, text in files)
    if not all(path.is_file() and path.read_bytes() == content for path, content in contents):
        raise InputError(f"{directory} is the run of another scenario: choose another directory, or remove it")
