from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from analogdp.errors import InputError
from analogdp.runs import RunDirectory, runs_in

NewRun = Callable[[], RunDirectory]
FILES = {"scenario.yaml": "name: a\n", "manifest.json": "{}\n"}


def test_runs_of_a_name_are_numbered_from_one(tmp_path: Path) -> None:
    names = [RunDirectory.create(tmp_path / "deep" / "runs", "digits-8", FILES).path.name for _ in range(3)]
    assert names == ["digits-8-1", "digits-8-2", "digits-8-3"]


def test_a_number_that_was_used_is_not_used_again_while_a_later_one_stands(tmp_path: Path) -> None:
    (tmp_path / "a-7").mkdir()
    assert RunDirectory.create(tmp_path, "a", FILES).path.name == "a-8"


def test_runs_that_start_together_get_different_directories(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunDirectory.create(tmp_path, "a", FILES).path.name, range(16)))
    assert sorted(made) == sorted(f"a-{number}" for number in range(1, 17))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(made)


@pytest.mark.parametrize("kind", ["empty folder", "full folder", "file", "dangling link"])
def test_an_existing_target_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "mine"
    if kind == "file":
        target.write_text("precious")
    elif kind == "dangling link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
        if kind == "full folder":
            (target / "precious").write_text("x")
    with pytest.raises(InputError, match=r"mine exists; a run needs a new directory"):
        RunDirectory.create(tmp_path, "a", FILES, out=target)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("below", ["mine", "deep/er/mine"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match=r"file is a file; a run needs a directory"):
        RunDirectory.create(tmp_path, "a", FILES, out=tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_directory_that_cannot_be_filled_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no/such"):
        RunDirectory.create(tmp_path, "a", {**FILES, "no/such/folder": ""})
    assert list(tmp_path.iterdir()) == []


def test_new_files_are_readable_by_others_as_the_umask_says(new_run: NewRun, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert new_run().path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("present", "said"), [((), "no scenario.yaml and no manifest.json"), (("scenario.yaml",), "no manifest")]
)
def test_a_folder_that_is_no_run_is_named_so(tmp_path: Path, present: tuple[str, ...], said: str) -> None:
    for name in present:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=said):
        RunDirectory.open(tmp_path)


def test_a_run_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        RunDirectory.open(tmp_path / "runs" / "a-1")


def test_a_second_holder_is_refused_with_the_number_of_the_first(new_run: NewRun) -> None:
    run = new_run()
    with run.locked():
        assert run.is_locked()
        with pytest.raises(InputError, match=r"another process \(number \d+\)"), run.locked():
            pass
    assert not run.is_locked()
    with run.locked():
        pass


def test_the_lock_of_a_killed_process_is_gone(new_run: NewRun) -> None:
    run = new_run()
    program = f"""
import pathlib, time
from analogdp.runs.directory import RunDirectory
with RunDirectory(pathlib.Path({str(run.path)!r})).locked():
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert run.is_locked()
    process.kill()
    process.wait()
    assert not run.is_locked()
    process.stdout.close()


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(new_run: NewRun) -> None:
    run = new_run()
    leftovers = [run.path / ".manifest.json.x1.json", run.checkpoints / ".update-1.safetensors.q.safetensors"]
    kept = [run.path / ".lock", run.scenario, run.manifest, run.checkpoints / "update-1.safetensors"]
    for file in (*leftovers, *kept):
        file.touch()
    run.remove_leftovers()
    assert not any(file.exists() for file in leftovers)
    assert all(file.exists() for file in kept)


def test_runs_are_listed_by_name_and_number_without_hidden_and_foreign_folders(tmp_path: Path) -> None:
    for name in ("b-2", "b-10", "a-1", ".a.staging", "notes"):
        (tmp_path / name).mkdir()
        if name != "notes":
            (tmp_path / name / "manifest.json").touch()
    assert [run.path.name for run in runs_in(tmp_path)] == ["a-1", "b-2", "b-10"]
