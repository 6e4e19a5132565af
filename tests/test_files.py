"""Files are complete or absent."""

import hashlib
import os
import stat

import pytest

from analogdp.errors import InputError
from analogdp.files import (
    atomic_folder,
    atomic_path,
    check_version,
    checksum,
    refuse_existing,
    write_bytes,
    write_text,
)


def test_a_written_file_holds_the_content_and_nothing_else_is_left(tmp_path):
    write_text(tmp_path / "a.txt", "größe\n")
    write_bytes(tmp_path / "b", b"\x00\x01")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größe\n"
    assert (tmp_path / "b").read_bytes() == b"\x00\x01"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b"]


def fail_while_writing(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("power cut")


@pytest.mark.parametrize("before", [None, "whole"])
def test_a_failure_leaves_what_was_there_before_and_nothing_half_written(tmp_path, before):
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)
    with pytest.raises(RuntimeError, match="power cut"):
        fail_while_writing(path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ([before] if before else [])


def test_the_temporary_file_is_in_the_same_folder_with_the_same_suffix(tmp_path):
    with atomic_path(tmp_path / "plot.png") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")


def test_a_written_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_missing_folder_is_the_systems_error_with_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_text(tmp_path / "nowhere" / "a", "x")


def test_a_checksum_is_the_sha256_of_the_content(tmp_path):
    write_bytes(tmp_path / "a", b"abc")
    assert checksum(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def fill(path, fails=False):
    with atomic_folder(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "a.txt").write_text("new")
        if fails:
            raise RuntimeError("power cut")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("before", [None, "old"])
def test_a_folder_takes_the_place_of_another_when_it_is_full(tmp_path, before):
    if before:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "b.txt").write_text(before)
    fill(tmp_path / "out")
    assert contents(tmp_path) == {"out/sub/a.txt": "new"}


@pytest.mark.parametrize("before", [None, "old"])
def test_a_folder_that_could_not_be_filled_leaves_what_was_there(tmp_path, before):
    if before:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "b.txt").write_text(before)
    with pytest.raises(RuntimeError, match="power cut"):
        fill(tmp_path / "out", fails=True)
    assert contents(tmp_path) == ({"out/b.txt": "old"} if before else {})
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if before else [])


def test_a_folder_may_be_entered_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        fill(tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_a_target_that_exists_is_refused(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("precious")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="target exists; an export needs a new name"):
        refuse_existing(target, "an export")


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_a_target_without_a_folder_around_it_is_refused(tmp_path, kind):
    if kind == "file":
        (tmp_path / "around").write_text("no folder")
    with pytest.raises(InputError, match="around is not a folder; an export needs one"):
        refuse_existing(tmp_path / "around" / "target", "an export")


def test_a_new_target_is_welcome(tmp_path):
    refuse_existing(tmp_path / "target", "an export")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (0, "there is no format version 0"),
        (-1, "there is no format version -1"),
        (4, "versions up to 3: install a newer"),
    ],
)
def test_a_version_that_cannot_be_read_is_newer_or_none(tmp_path, version, said):
    with pytest.raises(InputError, match=f"a.h5: .*{said}"):
        check_version(tmp_path / "a.h5", version, 3)


@pytest.mark.parametrize("version", [1, 3])
def test_old_versions_are_welcome(tmp_path, version):
    check_version(tmp_path / "a.h5", version, 3)
