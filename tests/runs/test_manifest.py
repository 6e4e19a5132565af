from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from analogdp.errors import InputError
from analogdp.runs import Manifest, RunDirectory, change_manifest, read_manifest, status_now
from analogdp.runs.manifest import file_checksums, git_revision

NewRun = Callable[[], RunDirectory]


def test_a_manifest_reads_back_as_written(new_run: NewRun, manifest: Manifest) -> None:
    assert read_manifest(new_run()) == manifest


def test_a_manifest_names_what_computed_the_run(manifest: Manifest) -> None:
    assert set(manifest.versions) == {"analogdp", "python", "torch", "numpy", "platform"}
    assert (manifest.seed, manifest.device, manifest.threads, manifest.status) == (3, "cpu", 1, "running")


def test_changed_fields_replace_the_old_and_the_rest_stays(new_run: NewRun, manifest: Manifest) -> None:
    run = new_run()
    change_manifest(run, status="failed", reason="no space")
    assert read_manifest(run) == manifest.model_copy(update={"status": "failed", "reason": "no space"})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "happy"}'])
def test_a_damaged_manifest_is_named_with_the_place(new_run: NewRun, text: str) -> None:
    run = new_run()
    run.manifest.write_text(text)
    with pytest.raises(InputError, match=r"manifest.json: damaged"):
        read_manifest(run)


def test_a_running_run_that_nobody_holds_was_interrupted(new_run: NewRun, manifest: Manifest) -> None:
    run = new_run()
    assert status_now(run, manifest) == "interrupted"
    with run.locked():
        assert status_now(run, manifest) == "running"


def test_checksums_cover_what_does_not_change_any_more(new_run: NewRun) -> None:
    run = new_run()
    for name in ("log.txt", "metrics.parquet", "plots/a.png", "checkpoints/update-1.safetensors", ".lock"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text(name)
    names = ["checkpoints/update-1.safetensors", "metrics.parquet", "plots/a.png", "scenario.yaml"]
    assert sorted(file_checksums(run)) == names


def test_a_run_is_concluded_only_when_its_report_is_written(manifest: Manifest) -> None:
    finished = manifest.model_copy(update={"status": "finished"})
    assert not finished.concluded
    assert finished.model_copy(update={"checksums": {"report.html": "0"}}).concluded


def test_the_revision_is_that_of_the_checkout_and_says_if_it_was_modified(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None
    assert git_revision(tmp_path / "missing") is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD")
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{commit}-dirty"
