from __future__ import annotations

import os
import resource
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
import torch

from analogdp.dynamics import Diverged
from analogdp.errors import RunError
from analogdp.runs import (
    Interrupted,
    Journal,
    Observer,
    Products,
    Row,
    RunDirectory,
    execute,
    load_newest,
    read_manifest,
)
from analogdp.runs.checkpoints import checkpoint_files

NewRun = Callable[[], RunDirectory]
Make = Callable[[RunDirectory], Products]


class Notes(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.updates: list[int] = []
        self.evaluations: list[int] = []
        self.messages: list[str] = []

    def advanced(self, progress) -> None:
        self.updates.append(progress.update)

    def evaluated(self, rows: list[Row]) -> None:
        self.evaluations.append(int(rows[0]["update"]))

    def said(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def finished(new_run: NewRun, learner, products: Make) -> RunDirectory:
    """A run that nothing disturbed."""
    run = new_run()
    execute(run, learner(), None, Notes(), products(run))
    return run


def outcome(run: RunDirectory) -> dict[str, object]:
    """What must not depend on interruptions."""
    checkpoint = load_newest(run.checkpoints, print)
    assert checkpoint is not None
    values = {name: tensor.tolist() for name, tensor in checkpoint.tensors.items()}
    return {
        "update": checkpoint.update,
        **values,
        "journal": run.journal.read_bytes(),
        "table": run.metrics.read_bytes(),
    }


def test_a_run_evaluates_before_training_and_after_every_epoch(new_run: NewRun, learner, products: Make) -> None:
    run, notes = new_run(), Notes()
    execute(run, learner(12, 4), None, notes, products(run))
    assert notes.evaluations == [0, 4, 8, 12]
    assert notes.updates == list(range(1, 13))
    assert pyarrow.parquet.read_table(run.metrics)["update"].to_pylist() == [0, 0, 4, 4, 8, 8, 12, 12]


def test_the_log_tells_every_evaluation(new_run: NewRun, learner, products: Make) -> None:
    run = new_run()
    execute(run, learner(12, 4), None, Notes(), products(run))
    lines = [line for line in run.log.read_text().splitlines() if "epoch" in line]
    assert [line.split(" ", 1)[1].split(":")[0] for line in lines] == [
        f"epoch {epoch}, update {4 * epoch}" for epoch in range(4)
    ]


def test_a_finished_run_has_its_products_and_their_checksums(finished: RunDirectory) -> None:
    manifest = read_manifest(finished)
    assert (manifest.status, manifest.reason, manifest.exports) == ("finished", "", ["conductances.h5"])
    assert manifest.ended is not None
    assert {"report.html", "conductances.h5", "metrics.parquet", "metrics.jsonl", "scenario.yaml"} <= set(
        manifest.checksums
    )
    assert manifest.concluded


@pytest.mark.parametrize(("every", "kept"), [(None, [8, 12]), (5, [10, 12]), (4, [8, 12]), (100, [0, 12])])
def test_checkpoints_come_as_often_as_asked_and_at_both_ends(
    new_run: NewRun, learner, products: Make, every: int | None, kept: list[int]
) -> None:
    run = new_run()
    execute(run, learner(12, 4), every, Notes(), products(run))
    assert [int(file.stem[-8:]) for file in checkpoint_files(run.checkpoints)] == kept


@pytest.mark.parametrize("every", [None, 1, 3])
@pytest.mark.parametrize("fails_at", [0, 3, 4, 7, 11])
def test_a_run_resumed_after_a_failure_ends_with_the_same_bits(
    new_run: NewRun, learner, products: Make, finished: RunDirectory, every: int | None, fails_at: int
) -> None:
    run, failing = new_run(), learner()

    def fail(update: int) -> None:
        if update == fails_at:
            raise RuntimeError("the roof fell in")

    failing.on_advance = fail
    with pytest.raises(RuntimeError, match="roof"):
        execute(run, failing, every, Notes(), products(run))
    assert (read_manifest(run).status, read_manifest(run).reason) == ("failed", "RuntimeError: the roof fell in")
    execute(run, learner(), every, Notes(), products(run))
    assert outcome(run) == outcome(finished)
    assert read_manifest(run).status == "finished"


def test_a_signal_stops_after_the_update_at_a_checkpoint(new_run, learner, products: Make, finished) -> None:
    run, stopped, notes = new_run(), learner(), Notes()
    stopped.on_advance = lambda update: signal.raise_signal(signal.SIGINT) if update == 5 else None
    with pytest.raises(Interrupted, match=r"after update 6 of 12; to go on: analogdp resume") as caught:
        execute(run, stopped, None, notes, products(run))
    assert caught.value.exit_code == 130
    assert notes.messages == ["stopping after this weight update; once more stops at once"]
    assert read_manifest(run).status == "interrupted"
    notes = Notes()
    execute(run, learner(), None, notes, products(run))
    assert notes.updates == list(range(7, 13))
    assert outcome(run) == outcome(finished)


def test_divergence_keeps_the_data_and_says_where(new_run: NewRun, learner, products: Make) -> None:
    run, wild = new_run(), learner()

    def diverge(update: int) -> None:
        if update == 6:
            raise Diverged(step=3, time=1e-6, layer=2, chip=4)

    wild.on_advance = diverge
    with pytest.raises(RunError, match=r"layer 2 of chip 4.*kept in .*walk-1"):
        execute(run, wild, None, Notes(), products(run))
    manifest = read_manifest(run)
    assert manifest.status == "diverged"
    assert "layer 2 of chip 4" in manifest.reason
    assert manifest.concluded
    assert "diverged" in run.log.read_text()
    assert pyarrow.parquet.read_table(run.metrics)["update"].to_pylist() == [0, 0, 4, 4]
    assert run.conductances.exists()


def test_a_damaged_checkpoint_is_named_in_the_log_and_on_the_terminal(
    new_run, learner, products: Make, finished
) -> None:
    run, stopped, notes = new_run(), learner(), Notes()
    stopped.on_advance = lambda update: signal.raise_signal(signal.SIGINT) if update == 9 else None
    with pytest.raises(Interrupted):
        execute(run, stopped, None, Notes(), products(run))
    newest = checkpoint_files(run.checkpoints)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    execute(run, learner(), None, notes, products(run))
    assert newest.name in notes.messages[0]
    assert "update-00000008" in notes.messages[1]
    assert all(message in run.log.read_text() for message in notes.messages)
    assert outcome(run) == outcome(finished)


@pytest.mark.parametrize("product", ["exports", "report"])
def test_a_run_whose_end_was_cut_off_is_concluded_by_resuming(
    new_run: NewRun, learner, products: Make, finished: RunDirectory, product: str
) -> None:
    run = new_run()

    def die() -> list[Path]:
        raise KeyboardInterrupt

    broken = Products(**{**vars(products(run)), product: die})
    with pytest.raises(KeyboardInterrupt):
        execute(run, learner(), None, Notes(), broken)
    assert not read_manifest(run).concluded
    notes = Notes()
    execute(run, learner(), None, notes, products(run))
    assert notes.updates == []
    assert read_manifest(run).concluded
    assert outcome(run) == outcome(finished)


def test_running_out_of_memory_is_said_in_words(new_run: NewRun, learner, products: Make) -> None:
    run, greedy = new_run(), learner()
    greedy.on_advance = lambda update: torch.empty(2**60) and None
    with pytest.raises(RunError, match="out of memory: choose fewer chips"):
        execute(run, greedy, None, Notes(), products(run))
    assert read_manifest(run).status == "failed"


def test_warnings_raised_while_running_are_in_the_log(new_run: NewRun, learner, products: Make) -> None:
    run, warning = new_run(), learner()
    warning.on_advance = lambda update: warnings.warn("the sky is low", UserWarning, stacklevel=1)
    with pytest.warns(UserWarning, match="sky"):
        execute(run, warning, None, Notes(), products(run))
    assert "UserWarning: the sky is low" in run.log.read_text()


def test_a_full_disk_ends_the_run_with_one_sentence_and_whole_files(
    new_run: NewRun, learner, products: Make, finished: RunDirectory
) -> None:
    """A limit on the size of files stands for the full disk; the process of the limit is a child of this one."""
    run = new_run()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            big = learner()
            big.on_advance = lambda update: (
                resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)) if update == 4 else None
            )
            execute(run, big, None, Notes(), products(run))
        except RunError as error:
            code = 0 if "to go on: analogdp resume" in str(error) and "File too large" in str(error) else 4
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [file.name for file in run.checkpoints.iterdir() if file.name.startswith(".")] == []
    execute(run, learner(), None, Notes(), products(run))
    assert outcome(run) == outcome(finished)


def test_journal_lines_after_the_last_checkpoint_are_not_repeated(new_run, learner, products: Make, finished) -> None:
    run, failing = new_run(), learner()

    def fail(update: int) -> None:
        if update == 9:
            raise RuntimeError

    failing.on_advance = fail
    with pytest.raises(RuntimeError):
        execute(run, failing, 100, Notes(), products(run))
    with run.journal.open("ab") as file:
        file.write(b'{"torn')
    assert len(Journal(run.journal).rows()) == 6
    execute(run, learner(), 100, Notes(), products(run))
    assert outcome(run)["journal"] == outcome(finished)["journal"]


@pytest.mark.parametrize("gone", ["files", "folder"])
def test_a_run_whose_checkpoints_were_removed_begins_again_and_says_so(
    finished: RunDirectory, new_run: NewRun, learner, products: Make, gone: str
) -> None:
    run, stopped, notes = new_run(), learner(), Notes()
    stopped.on_advance = lambda update: os.kill(os.getpid(), signal.SIGTERM) if update == 6 else None
    with pytest.raises(Interrupted):
        execute(run, stopped, None, Notes(), products(run))
    for file in run.checkpoints.iterdir():
        file.unlink()
    if gone == "folder":
        run.checkpoints.rmdir()
    execute(run, learner(), None, notes, products(run))
    assert notes.messages == [f"{run.checkpoints} has no checkpoint any more: beginning again"]
    assert outcome(run) == outcome(finished)
