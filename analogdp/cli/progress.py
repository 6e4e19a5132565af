"""Showing a run's progress: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from analogdp.cli.output import tell
from analogdp.runs import Observer, Row, mean_and_spread

if TYPE_CHECKING:
    from analogdp.learning import Progress


def describe(rows: list[Row]) -> str:
    """One evaluation in words, averaged over chips."""
    parts = [f"epoch {rows[0]['epoch']}"]
    for label, name, form in (
        ("test accuracy", "test_accuracy", ".2%"),
        ("without noise", "test_accuracy_noise_free", ".2%"),
        ("test loss", "test_loss", ".4g"),
        ("settling steps", "settle_steps_mean", ".1f"),
    ):
        if found := mean_and_spread(rows, name):
            parts.append(f"{label} {found[0]:{form}}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class PlainProgress(Observer):
    """A line of text for every evaluation, written at once; the run goes on when nobody reads them any longer."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._first = self._done = self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def started(self, directory: Path, update: int, total_updates: int, updates_per_epoch: int) -> None:
        self._begun = time.monotonic()
        self._first = self._done = update
        self._total = total_updates
        again = f", going on after update {update}" if update else ""
        tell(f"run {directory}: {total_updates} updates, {updates_per_epoch} per epoch{again}", sys.stdout)

    def advanced(self, progress: Progress) -> None:
        self._done = progress.update

    def evaluated(self, rows: list[Row]) -> None:
        tell(f"{describe(rows)}{self._time_left()}", sys.stdout)

    def said(self, message: str) -> None:
        tell(message, sys.stderr)

    def _time_left(self) -> str:
        made = self._done - self._first
        if not made or self._done == self._total:
            return ""
        return f", {duration((time.monotonic() - self._begun) / made * (self._total - self._done))} left"


_ROOM_FOR_BAR = 110
"""Columns of a terminal."""


class LiveProgress(Observer):
    """A bar with epoch, loss, accuracy, settling steps and the time left; finished evaluations scroll by above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console()
        words = (MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn(), TextColumn("left"))
        # In a narrow terminal the words need all the room.
        columns = (BarColumn(bar_width=24), *words) if console.width >= _ROOM_FOR_BAR else words
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("evaluating", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def started(self, directory: Path, update: int, total_updates: int, updates_per_epoch: int) -> None:
        self._print(f"run {directory}: {total_updates} updates, {updates_per_epoch} per epoch")
        self._bar.update(self._task, total=total_updates, completed=update)

    def advanced(self, progress: Progress) -> None:
        accuracy = "" if progress.accuracy is None else f"  accuracy {progress.accuracy:.1%}"
        text = f"epoch {progress.epoch}  loss {progress.loss:.4g}{accuracy}  settling {progress.settle_steps:.0f} steps"
        self._bar.update(self._task, completed=progress.update, description=text)

    def evaluated(self, rows: list[Row]) -> None:
        self._print(describe(rows))

    def said(self, message: str) -> None:
        self._print(message)

    def _print(self, message: str) -> None:
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)


def observer() -> PlainProgress | LiveProgress:
    """The live display if standard output is a terminal, else plain lines."""
    return LiveProgress() if sys.stdout.isatty() else PlainProgress()
