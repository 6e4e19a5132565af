"""How a run goes on until it ends or is stopped: updates, evaluations after every epoch, and states to go on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from analogdp.runs.checkpoints import Checkpoint, load_newest, save_checkpoint, set_aside_newer
from analogdp.runs.directory import RunDirectory
from analogdp.runs.log import Log
from analogdp.runs.manifest import change_manifest
from analogdp.runs.metrics import Journal, Row, mean_and_spread
from analogdp.runs.recorder import Recorder
from analogdp.runs.stopping import StopRequest

if TYPE_CHECKING:
    from analogdp.learning import Progress


class Observer:
    """Somebody who watches a run; does nothing by itself, to be overridden."""

    def started(self, directory: Path, update: int, total_updates: int, updates_per_epoch: int) -> None:
        """Training begins, or goes on, after ``update`` weight updates."""

    def advanced(self, progress: Progress) -> None:
        """One weight update was made."""

    def evaluated(self, rows: list[Row]) -> None:
        """The network was evaluated: one row per chip."""

    def said(self, message: str) -> None:
        """Something the user should know."""


def speaker(log: Log, observer: Observer) -> Callable[[str], None]:
    """Who tells the user something, and keeps it in the log."""

    def say(message: str) -> None:
        log.write(message)
        observer.said(message)

    return say


class Books:
    """What is written of a run while it goes on: its evaluations, states and log.

    Args:
        run: where, held by this process.
        recorder: of traces, or None if the scenario wants none.
    """

    def __init__(self, run: RunDirectory, recorder: Recorder | None = None) -> None:
        self.run, self.recorder = run, recorder or Recorder()
        self.journal, self.log = Journal(run.journal), Log(run.log)

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest state to go on from, after everything that was written later is taken back; None at the beginning.

        Raises:
            RunError: there are states, and all are damaged.
        """
        checkpoint = load_newest(self.run.checkpoints, say)
        if checkpoint is None and self.journal.length:
            say(f"{self.run.checkpoints} has no checkpoint any more: beginning again")
        if checkpoint is not None:
            set_aside_newer(self.run.checkpoints, checkpoint.update)
        self.journal.cut(checkpoint.journal_length if checkpoint else 0)
        self.recorder.restore(checkpoint.tensors if checkpoint else {})
        return checkpoint

    def evaluated(self, rows: list[Row]) -> None:
        """Keep an evaluation."""
        self.journal.append(rows)
        self.log.write(_in_words(rows))

    def keep(self, update: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep a state to go on from."""
        save_checkpoint(self.run.checkpoints, update, self.journal.length, {**tensors, **self.recorder.tensors()})


class Updating(Protocol):
    """Something that is trained update by update."""

    @property
    def update(self) -> int: ...
    @property
    def total_updates(self) -> int: ...
    @property
    def updates_per_epoch(self) -> int: ...

    def advance(self) -> Progress: ...


def begin(run: RunDirectory) -> None:
    """Make a run's directory ready to be worked in."""
    run.remove_leftovers()
    run.checkpoints.mkdir(exist_ok=True)
    change_manifest(run, status="running", reason="", ended=None, checksums={})


def course(
    learner: Updating,
    evaluate: Callable[[], None],
    keep: Callable[[], None],
    checkpoint_every: int | None,
    observer: Observer,
    stop: StopRequest,
) -> bool:
    """Train to the end, or until somebody asks to stop.

    Args:
        learner: where it goes on.
        evaluate: is done after every epoch.
        keep: is done so often that work can go on from there.
        checkpoint_every: updates between that; None for epochs.
        observer: is told of every update.
        stop: the request.

    Returns:
        whether the end was reached.
    """
    while learner.update < learner.total_updates:
        observer.advanced(learner.advance())
        ends_epoch = learner.update % learner.updates_per_epoch == 0
        if ends_epoch:
            evaluate()
        due = ends_epoch if checkpoint_every is None else learner.update % checkpoint_every == 0
        if due or stop.by or learner.update == learner.total_updates:
            keep()
        if stop.by and learner.update < learner.total_updates:
            return False
    return True


def _in_words(rows: list[Row]) -> str:
    """An evaluation as a line of the log: means over chips."""
    columns = ("test_accuracy", "test_accuracy_noise_free", "test_loss", "train_loss", "settle_steps_mean")
    found = ((name, mean_and_spread(rows, name)) for name in columns)
    means = ", ".join(f"{name} {mean[0]:.4g}" for name, mean in found if mean is not None)
    return f"epoch {rows[0]['epoch']}, update {rows[0]['update']}: {means}"
