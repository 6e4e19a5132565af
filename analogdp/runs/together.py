"""Runs that are trained together, each in a directory of its own, as if it had been trained alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from torch import Tensor

from analogdp.dynamics import Diverged
from analogdp.runs.course import Books, Observer, Updating, begin, course
from analogdp.runs.directory import RunDirectory
from analogdp.runs.execute import Interrupted, outcome
from analogdp.runs.metrics import Row
from analogdp.runs.stopping import StopRequest, stop_on_signal


class Group(Updating, Protocol):
    """What is trained together: lists have one entry for each of the runs that are still in it, its members."""

    members: list[int]

    def evaluate(self) -> list[list[Row]]: ...
    def tensors(self) -> list[dict[str, Tensor]]: ...
    def restore(self, parts: Sequence[Mapping[str, Tensor]]) -> None: ...


Gather = Callable[[Callable[[int, Diverged], None]], Group]
"""Makes the group, which tells what it is given here which run leaves it, by its number, and why."""


def train_together(
    runs: Sequence[RunDirectory], gather: Gather, checkpoint_every: int | None, observer: Observer, place: Path
) -> None:
    """Train runs to the end of training; what is made of the trained networks is left to be done for each alone.

    All go on from states after as many updates, or all from the beginning; the caller holds their locks. A run that leaves the
    group keeps its last state, to go on from alone.

    Args:
        runs: their directories.
        gather: makes what is trained.
        checkpoint_every: weight updates between states to go on from; None for epochs.
        observer: is told of progress.
        place: what the observer is told that they are.

    Raises:
        Interrupted: stopped by a signal, after states were kept.
        RunError: something else ended them, such as a full disk.
    """
    books = [Books(run) for run in runs]

    def leave(number: int, error: Diverged) -> None:
        books[number].log.write(f"leaves the runs that it is trained with, to go on alone: {error}")

    with ExitStack() as stack:
        for own in books:
            stack.enter_context(own.log.with_warnings())
            stack.enter_context(outcome(own.run, own.log))
            begin(own.run)
        try:
            stop = stack.enter_context(stop_on_signal(observer.said))
            if not _train(books, gather(leave), checkpoint_every, observer, stop, place):
                raise Interrupted(f"{place} was stopped by {stop.by}")
        except Diverged:
            return  # The last one has left.


def _train(
    books: Sequence[Books],
    group: Group,
    checkpoint_every: int | None,
    observer: Observer,
    stop: StopRequest,
    place: Path,
) -> bool:
    """Train from the newest states to the end, or until somebody asks to stop; whether the end was reached."""

    def evaluate() -> None:
        rows = group.evaluate()
        for member, own in zip(group.members, rows, strict=True):
            books[member].evaluated(own)
        observer.evaluated([row for own in rows for row in own])

    def keep() -> None:
        for member, tensors in zip(group.members, group.tensors(), strict=True):
            books[member].keep(group.update, tensors)

    states = [own.newest(own.log.write) for own in books]
    begun = [state.tensors for member in group.members if (state := states[member]) is not None]
    if begun:
        group.restore(begun)
    for member in group.members:
        books[member].log.write(f"training with {len(group.members) - 1} others from update {group.update}")
    observer.started(place, group.update, group.total_updates, group.updates_per_epoch)
    if not begun:
        evaluate()
        keep()
    return course(group, evaluate, keep, checkpoint_every, observer, stop)
