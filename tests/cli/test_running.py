from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import analogdp
from analogdp.runs import RunDirectory, change_manifest
from analogdp.runs.checkpoints import checkpoint_files
from tests.commands import Command

TINY = """
name: tiny
description: three updates
network: {layers: [64, 12, 10]}
learning: {epochs: 1, batch: 500}
noise: {membrane: 0.01}
chips: 2
"""


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a scenario in it."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Start:
    """Starts a process of the command line, whether the package is installed or not."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(analogdp.__file__).parents[1]),
        "TERM": "xterm",
    }

    def begin(*arguments: str, stdout: int = subprocess.PIPE, columns: int = 150) -> subprocess.Popen[str]:
        program, sized = [sys.executable, "-m", "analogdp", *arguments], {**environment, "COLUMNS": str(columns)}
        return subprocess.Popen(program, stdout=stdout, stderr=subprocess.PIPE, env=sized, text=True)

    return begin


@pytest.fixture
def finished(folder: Path, command: Command) -> Path:
    assert command("run", "tiny.yaml").code == 0
    return folder / "runs" / "tiny-1"


def test_a_run_in_a_pipe_prints_plain_lines_and_ends_with_what_it_left(folder: Path, command: Command) -> None:
    ended = command("run", "tiny.yaml", "--set", "synapse.model=crossbar", "--set", "synapse.device=reram_sb")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    lines = ended.out.splitlines()
    assert lines[0] == "run runs/tiny-1: 3 updates, 3 per epoch"
    assert lines[1].startswith("epoch 0, test accuracy")
    assert re.match(
        r"epoch 1, test accuracy [\d.]+%, without noise [\d.]+%, test loss [\d.e-]+, settling steps", lines[2]
    )
    assert re.match(r"test accuracy with noise: +[\d.]+% \+- [\d.]+% over 2 chips", lines[3])
    assert re.match(r"test accuracy without noise: +[\d.]+% \+- [\d.]+% over 2 chips", lines[4])
    assert lines[5:] == [
        "run directory: runs/tiny-1",
        "report:        runs/tiny-1/report.html",
        "exported:      runs/tiny-1/conductances.h5",
        "exported:      runs/tiny-1/conductances.h5.json",
    ]


def test_a_run_goes_on_when_whoever_watched_it_has_left(folder: Path, start: Start) -> None:
    process = start("run", "tiny.yaml")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert '"status": "finished"' in (folder / "runs/tiny-1/manifest.json").read_text()


def test_settings_and_the_directory_can_be_given(folder: Path, command: Command) -> None:
    ended = command("run", "tiny.yaml", "--set", "learning.epochs=0", "--set", "chips=1", "--out", "here/mine")
    assert ended.code == 0
    assert "chips" not in ended.out
    assert "epochs: 0" in (folder / "here/mine/scenario.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "missing.yaml"], "missing.yaml"),
        (["run", "tiny.yaml", "--set", "neuron.alpha=1.5"], "neuron.alpha"),
        (["run", "tiny.yaml", "--out", "."], "exists; a run needs a new directory"),
        (["resume", "runs/tiny-9"], "runs/tiny-9 does not exist"),
        (["resume", "."], "is not a run directory"),
        (["show", "tiny.yaml"], "is not a run directory"),
        (["list", "nowhere"], "nowhere is not a folder"),
        (["run"], "SCENARIO"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    folder: Path, command: Command, arguments: list[str], said: str
) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]


def test_a_diverged_run_is_exit_code_1_and_is_shown_as_such(folder: Path, command: Command) -> None:
    wild = ["network.gain=50", "neuron.model=dp", "neuron.alpha=0.9", "neuron.beta=5"]
    ended = command("run", "tiny.yaml", *(part for text in wild for part in ("--set", text)))
    assert ended.code == 1
    assert re.search(r"diverged: layer \d of chip \d", ended.err)
    assert "runs/tiny-1" in ended.err
    assert re.search(r"^tiny-1 +diverged +tiny", command("list").out, re.MULTILINE)
    assert command("show", "runs/tiny-1").out.startswith("runs/tiny-1: diverged (the dynamics diverged: layer")


def test_the_list_has_a_line_for_every_run_even_an_unreadable_one(finished: Path, command: Command) -> None:
    command("run", "tiny.yaml", "--set", "learning.epochs=0")
    command("run", "tiny.yaml", "--set", "learning.epochs=0")
    change_manifest(RunDirectory(finished.with_name("tiny-2")), status="running")
    (finished.with_name("tiny-3") / "manifest.json").write_text("{")
    lines = command("list").out.splitlines()
    assert lines[0].split() == ["run", "status", "scenario", "accuracy", "epochs", "started"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["tiny-1", "finished"],
        ["tiny-2", "interrupted"],
        ["tiny-3", "unreadable"],
    ]
    assert re.match(r"tiny-1 +finished +tiny +[\d.]+% +1 +20\d\d-", lines[1])


def test_a_folder_without_runs_says_so(folder: Path, command: Command) -> None:
    assert command("list", ".").out == "no runs in .\n"


def test_show_gives_scenario_metrics_and_files(finished: Path, command: Command) -> None:
    out = command("show", finished).out
    assert out.startswith(f"{finished}: finished\n")
    for text in ("tiny: three updates", "64-12-10", "cpu", "torch", "test_accuracy_noise_free", "report.html"):
        assert text in out
    assert re.search(r"^metrics\.parquet +[\d.]+ kB +ok$", out, re.MULTILINE)
    assert "CHANGED" not in out


def test_show_gives_the_energy_if_any_is_stated(folder: Path, finished: Path, command: Command) -> None:
    assert "bottom-up" not in command("show", finished).out
    command("run", "tiny.yaml", "--set", "learning.epochs=0", "--set", "synapse=crossbar", "--out", "physical")
    assert re.search(r"^reads, bottom-up +[\d.]+ .?J +[\d.]+ %", command("show", "physical").out, re.MULTILINE)


def test_show_reports_files_that_changed_or_went_missing(finished: Path, command: Command) -> None:
    with (finished / "metrics.parquet").open("r+b") as file:
        file.seek(50)
        file.write(b"\xff\x00")
    (finished / "report.html").unlink()
    out = command("show", finished).out
    assert re.search(r"^metrics\.parquet .*CHANGED since the run ended$", out, re.MULTILINE)
    assert re.search(r"^report\.html +- +missing$", out, re.MULTILINE)


def test_resuming_a_finished_run_says_so_and_succeeds(finished: Path, command: Command) -> None:
    ended = command("resume", finished)
    assert ended.code == 0
    assert "is finished; nothing to do" in ended.err
    assert f"run directory: {finished}" in ended.out


def test_resuming_names_a_damaged_checkpoint_and_the_one_used(finished: Path, command: Command) -> None:
    change_manifest(RunDirectory(finished), status="interrupted")
    newest = checkpoint_files(finished / "checkpoints")[-1]
    content = bytearray(newest.read_bytes())
    content[-20] ^= 16
    newest.write_bytes(content)
    ended = command("resume", finished)
    assert ended.code == 0
    assert "update-00000003.safetensors is damaged" in ended.err
    assert "going on from update-00000000.safetensors" in ended.err
    assert "going on from update-00000000.safetensors" in (finished / "log.txt").read_text()


def test_a_run_whose_checkpoints_are_all_damaged_fails_in_one_sentence(finished: Path, command: Command) -> None:
    change_manifest(RunDirectory(finished), status="interrupted")
    for file in checkpoint_files(finished / "checkpoints"):
        file.write_bytes(file.read_bytes()[:100])
    ended = command("resume", finished)
    assert ended.code == 1
    assert "every checkpoint in" in ended.err
    assert "Traceback" not in ended.err


def test_ctrl_c_stops_at_a_checkpoint_and_says_how_to_go_on(start: Start, command: Command) -> None:
    process = start("run", "tiny.yaml", "--set", "learning.epochs=100000")
    assert process.stdout is not None
    assert any(line.startswith("epoch 1") for line in process.stdout), process.communicate()[1]
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"was stopped by SIGINT after update \d+ of 300000; to go on: analogdp resume runs/tiny-1", error)
    assert "Traceback" not in error
    assert re.search("^tiny-1 +interrupted", command("list").out, re.MULTILINE)


@pytest.mark.parametrize("columns", [80, 150])
def test_a_terminal_shows_a_live_line_with_loss_accuracy_steps_and_time(start: Start, columns: int) -> None:
    ours, theirs = pty.openpty()
    process = start("run", "tiny.yaml", "--set", "learning.epochs=3", stdout=theirs, columns=columns)
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"9/9 epoch 3  loss [\d.e-]+  accuracy [\d.]+%  settling \d+ steps  ?\d:\d\d:\d\d left", text)
    assert ("━" in text) == (columns > 100)
    assert "report:        runs/tiny-1/report.html" in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux tells that the other end was closed
        return b""
