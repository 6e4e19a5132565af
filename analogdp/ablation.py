"""Finding out what each non-ideality of a scenario costs, by running it without them."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from analogdp import api
from analogdp.analysis.ablation import Ablation, Metric, Mode, Outcome, Status, Variant, plan
from analogdp.errors import InputError, RunError
from analogdp.files import write_text
from analogdp.reports.ablation import draw_ablation
from analogdp.reports.pictures import save_picture
from analogdp.runs import Interrupted, Observer
from analogdp.runs.directory import SCENARIO
from analogdp.scenario import Scenario, dump_scenario
from analogdp.scenario.schema import MAX_SEED

RESULTS, PICTURE = "ablation.json", "ablation.png"
MOST_SEEDS, MOST_JOBS = 1000, 64


class Campaign(Observer):
    """Somebody who watches an ablation, and each of its runs where they come one after the other."""

    def begins(self, directory: Path, runs: int) -> None:
        """So many runs are to be done, or found done."""

    def run_begins(self, variant: str, seed: int) -> None:
        """One run is taken up; not told where several go on at once."""

    def run_ended(self, variant: str, outcome: Outcome) -> None:
        """One run has ended."""


class _Job(NamedTuple):
    """One run: of which variant, with which seed, and where."""

    variant: str
    scenario: Scenario
    directory: Path


def ablate(
    scenario: Scenario,
    *,
    mode: Mode = "without",
    seeds: int = 3,
    only: Iterable[str] | None = None,
    out: Path | str | None = None,
    jobs: int = 1,
    progress: Campaign | None = None,
) -> Ablation:
    """Run a scenario as it is, with everything ideal, and with one non-ideality after the other switched off.

    Every run has a directory of its own. What is done already in ``out`` is not done again, so an interrupted ablation goes on.

    Args:
        scenario: what to simulate.
        mode: ``without``: each non-ideality is missing from the rest; ``alone``: each is the only one; or ``both``.
        seeds: how many, from the scenario's own on; the same for all variants, whose results are compared in pairs.
        only: names of non-idealities; by default all that the scenario has.
        out: directory of the ablation, new or one of the same scenario; by default a new ``<name>-ablation-<number>`` under
            ``scenario.run.directory``.
        jobs: processes that work at once; a script that asks for several needs ``if __name__ == "__main__":``.
        progress: is told how it goes.

    Raises:
        InputError: this cannot be done; or the scenario as it is cannot be simulated here.
        RunError: a run could not be finished; what is done is kept.
    """
    for name, value, most in (("seeds", seeds, MOST_SEEDS), ("jobs", jobs, MOST_JOBS)):
        if not 1 <= value <= most:
            raise InputError(f"{name}: {value} is out of range; allowed: 1 to {most}")
    numbers = tuple(range(scenario.seed, scenario.seed + seeds))
    if numbers[-1] > MAX_SEED:
        raise InputError(f"seeds: {seeds} from {scenario.seed} on go beyond {MAX_SEED}; take fewer, or a smaller seed")
    planned = plan(scenario, mode, only)
    watcher = progress or Campaign()
    folder = _folder(scenario, out)
    work = [
        _Job(variant.name, own.model_copy(update={"seed": seed}), folder / f"{variant.name}-seed{seed}")
        for variant, own in planned
        for seed in numbers
        if own is not None
    ]
    watcher.begins(folder, len(work))
    try:
        outcomes, metrics = _carried_out(work, jobs, watcher)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(f"the ablation was stopped; to go on, repeat it with --out {folder}") from error
    variants = tuple(_concluded(variant, outcomes.get(variant.name, {}), numbers) for variant, _ in planned)
    found = Ablation(
        scenario=scenario.name,
        metric="test_loss" if "test_loss" in metrics else "test_accuracy",
        seeds=numbers,
        variants=variants,
        directory=folder,
    )
    write_text(folder / RESULTS, found.to_json())
    save_picture(folder / PICTURE, draw_ablation(found))
    return found


def _carried_out(
    work: Sequence[_Job], jobs: int, watcher: Campaign
) -> tuple[dict[str, dict[int, Outcome]], set[Metric]]:
    """What came of all runs, by variant and seed, and what they were measured by.

    Raises:
        InputError: the scenario as it is cannot be simulated here.
    """
    outcomes: dict[str, dict[int, Outcome]] = {}
    metrics: set[Metric] = set()
    for job, outcome, metric in _all(work, jobs, watcher):
        if job.variant == "full" and outcome.status == "refused":
            raise InputError(outcome.reason)
        outcomes.setdefault(job.variant, {})[job.scenario.seed] = outcome
        if metric is not None:
            metrics.add(metric)
        watcher.run_ended(job.variant, outcome)
    return outcomes, metrics


def _concluded(variant: Variant, outcomes: dict[int, Outcome], seeds: Sequence[int]) -> Variant:
    return variant.model_copy(update={"outcomes": tuple(outcomes[seed] for seed in seeds if seed in outcomes)})


_Done = tuple[_Job, Outcome, Metric | None]


def _all(work: Sequence[_Job], jobs: int, watcher: Campaign) -> Iterator[_Done]:
    """Do all runs, in turn or several at once, and hand on each as it ends."""
    if jobs == 1:
        for job in work:
            watcher.run_begins(job.variant, job.scenario.seed)
            yield _carry_out(job, watcher)
        return
    # A process that has used torch's threads cannot be forked.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_carry_out, job) for job in work]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _carry_out(job: _Job, observer: Observer | None = None) -> _Done:
    """Do one run, or what is left of it to do."""
    begun = job.directory.exists()
    if begun:
        _check_same(job.scenario, job.directory, "run")
    try:
        done = (
            api.resume(job.directory, progress=observer)
            if begun
            else api.run(job.scenario, out=job.directory, progress=observer)
        )
    except InputError as error:
        if begun:
            raise
        return job, _outcome(job, "refused", str(error)), None
    except RunError:
        if not (job.directory / SCENARIO).exists() or (left := api.open_run(job.directory)).status != "diverged":
            raise
        return job, _outcome(job, "diverged", left.manifest.reason), None
    metric: Metric = "test_loss" if done.accuracy is None else "test_accuracy"
    values = {int(row["chip"]): float(row[metric]) for row in done.final if math.isfinite(row[metric])}
    return job, _outcome(job, "finished", values=values), metric


def _outcome(
    job: _Job,
    status: Status,
    reason: str = "",
    values: dict[int, float] | None = None,
) -> Outcome:
    return Outcome(
        seed=job.scenario.seed, directory=job.directory.name, status=status, reason=reason, values=values or {}
    )


def _folder(scenario: Scenario, out: Path | str | None) -> Path:
    """The directory of the ablation, which says of which scenario it is."""
    try:
        folder = Path(out) if out is not None else _next(scenario)
        if folder.is_dir() and any(folder.iterdir()):
            _check_same(scenario, folder, "ablation")
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / SCENARIO, dump_scenario(scenario))
    except FileExistsError as error:
        raise InputError(f"{error.filename} is a file; an ablation needs a directory: choose another") from error
    except OSError as error:
        place = out or f"in {scenario.run.directory}"
        raise RunError(f"cannot make the directory of an ablation {place}: {error.strerror or error}") from error
    return folder


def _next(scenario: Scenario) -> Path:
    """A new directory, made at once so that nobody else takes it."""
    scenario.run.directory.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = scenario.run.directory / f"{scenario.name}-ablation-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _check_same(scenario: Scenario, folder: Path, what: str) -> None:
    """Refuse a directory that is of another scenario, or of nothing."""
    try:
        same = (folder / SCENARIO).read_text(encoding="utf-8") == dump_scenario(scenario)
    except FileNotFoundError:
        raise InputError(f"{folder} exists, but is no {what}: choose another directory, or remove it") from None
    if not same:
        raise InputError(f"{folder} is the {what} of another scenario: choose another directory, or remove it")
