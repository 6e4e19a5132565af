"""The command that writes a trained network in the formats that others read."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import analogdp
from analogdp import registry
from analogdp.errors import InputError
from analogdp.exports import Exporter, OneChipSettings
from analogdp.runs import RunDirectory, change_manifest
from tests.commands import Command
from tests.full_disk import full_disk
from tests.small_runs import small_run


@registry.exporters.register("half_of_a_test")
class Half(Exporter):
    """One chip, and an error when half of it is written, unless it is asked to be whole."""

    class Settings(OneChipSettings):
        format: str = "half_of_a_test"
        whole: bool = False
        signal: int = 0

    file_name = "half"

    def write(self, network: Any, scenario: Any, path: Path) -> None:
        path.write_text("one half")
        if self.settings.signal:
            signal.raise_signal(self.settings.signal)
        if not self.settings.whole:
            raise InputError("the other half does not fit")

    def sidecar(self, network: Any, scenario: Any) -> dict[str, Any]:
        return {"chips": network.chips}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"), (6, 4, 3))


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("chips"), (6, 4, 3), chips=2)


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("ideal"), (6, 4, 3), synapse="ideal", learning={"epochs": 1})


def changed(run: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a run whose manifest says something else."""
    copy = Path(shutil.copytree(run, folder / "copy"))
    change_manifest(RunDirectory(copy), **changes)
    return copy


def refused(ended: tuple[int, str, str]) -> str:
    """What was said of bad input: one message, exit code 2, and no traceback."""
    code, out, err = ended
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err


def test_what_was_written_is_listed(run: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "trained.h5"
    code, said, err = command("export", run, "--format", "hdf5", "--out", out)
    assert (code, err) == (0, "")
    assert said.splitlines()[0] == f"exported: {out}"
    assert out.is_file()


def test_options_of_a_format_are_set_by_key_and_value(run: Path, tmp_path: Path, command: Command) -> None:
    options = ("--set", "whole=true", "--set", "chip=0")
    code, out, _ = command("export", run, "--format", "half_of_a_test", "--out", tmp_path / "h", *options)
    assert code == 0
    assert out.splitlines() == [f"exported: {tmp_path / 'h'}", f"exported: {tmp_path / 'h.json'}"]


def test_what_fails_midway_leaves_nothing_behind(run: Path, tmp_path: Path, command: Command) -> None:
    err = refused(command("export", run, "--format", "half_of_a_test", "--out", tmp_path / "h"))
    assert err == "analogdp: the other half does not fit\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link", "sidecar"])
def test_a_target_that_exists_is_refused_and_left_alone(kind: str, run: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "h"
    if kind == "folder":
        out.mkdir()
    elif kind == "dangling link":
        out.symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "h.json" if kind == "sidecar" else out).write_text("precious")
    before = sorted(tmp_path.iterdir())
    options = ("--set", "whole=true", "--force")
    err = refused(command("export", run, "--format", "half_of_a_test", "--out", out, *options))
    assert "exists; an export needs a new name: choose another or remove it" in err
    assert sorted(tmp_path.iterdir()) == before
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_parent_is_refused(run: Path, tmp_path: Path, command: Command) -> None:
    err = refused(command("export", run, "--format", "hdf5", "--out", tmp_path / "no" / "cells.h5"))
    assert f"{tmp_path / 'no'} is not a folder; an export needs one" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "hdf"], "unknown export format 'hdf': did you mean 'hdf5'?"),
        (["--format", "half_of_a_test", "--set", "hole=true"], "did you mean 'whole'?"),
        (["--format", "half_of_a_test", "--set", "whole=perhaps"], "whole: "),
        (["--format", "half_of_a_test", "--set", "chip=-1"], "chip: "),
        (["--format", "half_of_a_test", "--set", "chip=5"], "chip: there is no chip 5; chips: 0"),
        (["--format", "half_of_a_test", "--set", "whole"], "whole"),
    ],
)
def test_what_no_format_understands_is_refused(
    arguments: list[str], said: str, run: Path, tmp_path: Path, command: Command
) -> None:
    assert said in refused(command("export", run, "--out", tmp_path / "x", *arguments))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["half_of_a_test", "csv"])
def test_several_chips_do_not_go_into_a_format_of_one(kind: str, chips: Path, tmp_path: Path, command: Command) -> None:
    err = refused(command("export", chips, "--format", kind, "--out", tmp_path / "x"))
    assert f"chip: {kind} holds one chip, and there are 2; name one of 0, 1" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["hdf5", "csv"])
def test_ideal_weights_do_not_go_into_a_format_of_cells(
    kind: str, ideal: Path, tmp_path: Path, command: Command
) -> None:
    assert "use synapse: crossbar" in refused(
        command("export", ideal, "--format", kind, "--out", tmp_path / "x")
    ).replace("'", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"status": "diverged", "reason": "layer 1 of chip 0"},
            "diverged, and is no trained network: layer 1 of chip 0",
        ),
        ({"status": "running", "checksums": {}}, "has not come to its end (interrupted); go on with: analogdp resume"),
    ],
)
def test_a_run_that_did_not_finish_is_refused_unless_by_force(
    changes: dict[str, Any], said: str, run: Path, tmp_path: Path, command: Command
) -> None:
    copy, out = changed(run, tmp_path, **changes), tmp_path / "cells.h5"
    err = refused(command("export", copy, "--format", "hdf5", "--out", out))
    assert said in err
    assert "--force" in err
    assert not out.exists()
    code, told, _ = command("export", copy, "--format", "hdf5", "--out", out, "--force")
    assert code == 0
    assert out.is_file()
    status = "diverged" if changes["status"] == "diverged" else "interrupted"
    assert re.match(
        rf"exported: {re.escape(str(out))} \(checkpoint of update \d+, epoch 1 of 1; the run: {status}\)\n", told
    )


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, command: Command) -> None:
    err = refused(command("export", tmp_path, "--format", "hdf5", "--out", tmp_path / "x"))
    assert "is not a run directory" in err


@pytest.mark.parametrize("kind", ["csv", "npz", "safetensors", "spice"])
def test_a_full_disk_is_one_message_and_leaves_nothing(kind: str, run: Path, tmp_path: Path, command: Command) -> None:
    with full_disk(1000):
        ended = command("export", run, "--format", kind, "--out", tmp_path / "out")
    assert ended == (1, "", f"analogdp: {tmp_path}/out cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_does_not_crash_hdf5(run: Path, tmp_path: Path) -> None:
    """At the end of the process, neither."""
    program = "import tests.conftest, analogdp.cli; analogdp.cli.main()"
    line = f'ulimit -f 10; "$0" -c "{program}" export "{run}" --format hdf5 --out "{tmp_path}/out"'
    environment = {**os.environ, "PYTHONPATH": str(Path(analogdp.__file__).parents[1])}
    command = ["bash", "-c", line, sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.stderr == f"analogdp: {tmp_path}/out cannot be written: File too large\n"
    assert (ended.returncode, ended.stdout) == (1, "")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_named(run: Path, command: Command) -> None:
    ended = command("export", run, "--format", "hdf5", "--out", "/proc/cells.h5")
    assert ended == (1, "", "analogdp: /proc/cells.h5 cannot be written: No such file or directory\n")


@pytest.mark.parametrize("name", ["a" * 256, "a" * 252])
def test_a_name_that_cannot_be_is_refused(name: str, run: Path, tmp_path: Path, command: Command) -> None:
    err = refused(command("export", run, "--format", "hdf5", "--out", tmp_path / name))
    assert "cannot be the name of an export: File name too long" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_an_export_is_told_so_and_finds_nothing(
    number: int, run: Path, tmp_path: Path, command: Command
) -> None:
    before = signal.getsignal(number)
    options = ("--set", f"signal={number:d}")
    ended = command("export", run, "--format", "half_of_a_test", "--out", tmp_path / "h", *options)
    assert ended == (130, "", "analogdp: interrupted\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before
