"""The course of a run: train, evaluate, keep what is needed to go on, and end in a state that the manifest tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from analogdp.dynamics import Diverged
from analogdp.errors import InputError, RunError
from analogdp.runs.course import Books, Observer, Updating, begin, course, speaker
from analogdp.runs.directory import RunDirectory
from analogdp.runs.log import Log
from analogdp.runs.manifest import Status, change_manifest, file_checksums, now
from analogdp.runs.metrics import Journal, Row, write_table
from analogdp.runs.recorder import Recorder
from analogdp.runs.stopping import StopRequest, stop_on_signal

if TYPE_CHECKING:
    from analogdp.learning.base import Watch


class Learner(Updating, Protocol):
    """What a run needs of a trainer: steps, evaluations, and its whole state as named tensors."""

    watch: Watch

    def evaluate(self) -> list[Row]: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def restore(self, tensors: dict[str, Tensor]) -> None: ...


class Interrupted(RunError):
    """The user stopped the run; it can be resumed."""

    exit_code = 130


@dataclass(frozen=True)
class Products:
    """What is made of a trained network: ``exports`` first, then ``report``, which reads the run directory."""

    exports: Callable[[], list[Path]]
    report: Callable[[], None]


def execute(
    run: RunDirectory,
    learner: Learner,
    checkpoint_every: int | None,
    observer: Observer,
    products: Products,
    recorder: Recorder | None = None,
) -> None:
    """Carry a run to its end, from its newest checkpoint or from the start; the caller holds the run's lock.

    Args:
        run: where everything is kept.
        learner: as built from the run's scenario; its state is replaced when there is a checkpoint.
        checkpoint_every: weight updates between checkpoints; None for one at the end of every epoch.
        observer: is told of progress.
        products: what to make in the end, also of a diverged run.
        recorder: of the learner's presentations, if any are recorded.

    Raises:
        Interrupted: stopped by a signal, at a checkpoint.
        RunError: the dynamics diverged (metrics, the last checkpoint and the products are kept), or something else
            ended the run, such as a full disk.
    """
    books = Books(run, recorder)
    learner.watch = books.recorder.begin
    say = speaker(books.log, observer)
    with books.log.with_warnings(), outcome(run, books.log):
        begin(run)
        try:
            with stop_on_signal(observer.said) as stop:
                _train(books, learner, checkpoint_every, observer, say, stop)
        except Diverged as error:
            books.log.write(f"diverged: {error}")
            _conclude(run, "diverged", str(error), products, books.recorder)
            raise RunError(f"{error}. Everything up to there is kept in {run.path}; look at {run.report}") from error
        _conclude(run, "finished", "", products, books.recorder)
        books.log.write("finished")


def _train(
    books: Books,
    learner: Learner,
    checkpoint_every: int | None,
    observer: Observer,
    say: Callable[[str], None],
    stop: StopRequest,
) -> None:
    def evaluate() -> None:
        rows = learner.evaluate()
        books.evaluated(rows)
        observer.evaluated(rows)

    def keep() -> None:
        books.keep(learner.update, learner.tensors())

    checkpoint, path = books.newest(say), books.run.path
    if checkpoint is not None:
        learner.restore(checkpoint.tensors)
    books.log.write(f"training from update {learner.update} to {learner.total_updates}")
    observer.started(path, learner.update, learner.total_updates, learner.updates_per_epoch)
    if checkpoint is None:
        evaluate()
        keep()
    if not course(learner, evaluate, keep, checkpoint_every, observer, stop):
        raise Interrupted(
            f"{path} was stopped by {stop.by} after update {learner.update} of {learner.total_updates}; "
            f"to go on: analogdp resume {path}"
        )


def _conclude(run: RunDirectory, status: Status, reason: str, products: Products, recorder: Recorder) -> None:
    """Write what a run leaves; the report's checksum goes in last and marks the run as complete."""
    write_table(run.metrics, Journal(run.journal).rows())
    recorder.write(run.recordings)
    exports = [file.relative_to(run.path).as_posix() for file in products.exports()]
    change_manifest(run, status=status, reason=reason, ended=now(), exports=exports, checksums=file_checksums(run))
    products.report()
    change_manifest(run, checksums=file_checksums(run))
    recorder.discard()


@contextmanager
def outcome(run: RunDirectory, log: Log) -> Iterator[None]:
    """Record how a run failed, as far as the disk allows, and say so in words."""

    def record(status: Status, reason: str) -> None:
        with suppress(OSError, InputError):
            change_manifest(run, status=status, reason=reason, ended=now())
            log.write(f"{status}: {reason}")

    go_on = f"what was reached is kept in {run.path}; to go on: analogdp resume {run.path}"
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        record("interrupted", str(error) or "stopped at once")
        raise
    except OSError as error:
        record("failed", str(error))
        raise RunError(
            f"cannot write or read {error.filename or run.path}: {error.strerror or error}; {go_on}"
        ) from error
    except Exception as error:
        if isinstance(error.__cause__, Diverged):
            raise
        record("failed", f"{type(error).__name__}: {error}")
        if _is_out_of_memory(error):
            raise RunError(
                f"out of memory: choose fewer chips, a smaller batch or smaller layers ({error}); {go_on}"
            ) from error
        raise


def _is_out_of_memory(error: Exception) -> bool:
    # On the CPU torch raises a bare RuntimeError, told apart by its text alone.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
