"""Testing the trained network of a run after its cells have aged, and keeping what was found with the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from analogdp.analysis import Aging
from analogdp.analysis.aging import COMPENSATIONS, USUAL_TIMES, Compensation, in_seconds
from analogdp.analysis.aging import age as age_network
from analogdp.api import Result, open_run
from analogdp.data import load as load_data
from analogdp.files import checksum, write_text
from analogdp.reports import write_report
from analogdp.runs import RunDirectory, change_manifest, read_manifest
from analogdp.runs.directory import PLOTS
from analogdp.scenario.threads import computing_with


def age(
    run: Result | Path | str,
    after: str | float | Iterable[str | float] = USUAL_TIMES,
    *,
    compensation: Sequence[Compensation] = COMPENSATIONS,
    reads: int = 1,
) -> Aging:
    """Test the trained network of a run after its cells were left alone, with and without compensation of their drift.

    The trained run stays as it is. ``aging.json``, which takes the place of an earlier one, the page and its pictures are
    written, and their checksums recorded.

    Args:
        run: a finished run, or its directory.
        after: times since the end of training, in seconds or with a unit: ``"1 day"``, ``["1 hour", 86400]``.
        compensation: which to try: ``none``, ``global`` (a factor for each crossbar), ``column`` (one for each line).
        reads: noisy reads that are averaged for each measurement of line currents.

    Raises:
        InputError: no finished run, no time, or weights that do not change in time; nothing was written.
        RunError: an aged network diverged.
    """
    times = in_seconds(after)
    made = RunDirectory.open(run.directory if isinstance(run, Result) else run)
    with made.locked():
        result = open_run(made.path)
        result.refuse_unfinished()
        with computing_with(result.manifest.threads):
            data = load_data(result.scenario.data, result.scenario.seed)
            aging = age_network(result.scenario, result.network, data, times, compensation, reads)
        write_text(made.aging, aging.to_json())
        _record(made, [made.aging])
        page = write_report(made.path)
        _record(made, [page, *(made.path / PLOTS).glob("*.png")])
    return aging


def _record(made: RunDirectory, files: Iterable[Path]) -> None:
    """Note the checksums of files that were written after the end of a run; those of all others stay."""
    written = {file.relative_to(made.path).as_posix(): checksum(file) for file in files}
    change_manifest(made, checksums=read_manifest(made).checksums | written)
