"""Files are complete or absent."""

import errno
import hashlib
import os
import stat

import h5py
import numpy as np
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
    written_by_library,
)
from tests.full_disk import full_disk


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


@pytest.mark.parametrize("name", ["a" * 256, "a\0b"])
def test_a_target_whose_name_cannot_be_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be the name of an export: "):
        refuse_existing(tmp_path / name, "an export")


def test_a_name_that_is_just_short_enough_can_be_written(tmp_path):
    write_text(tmp_path / ("ü" * 125 + ".text"), "x")
    fill(tmp_path / ("ü" * 127))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("write", [lambda path: write_bytes(path, b"abc"), fill])
def test_what_cannot_be_written_is_named_as_it_would_have_been(tmp_path, write):
    with pytest.raises(OSError, match="too large") as told, full_disk(1):
        write(tmp_path / "target")
    assert told.value.filename == str(tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_of_another_file_names_that(tmp_path):
    with pytest.raises(FileNotFoundError) as told, atomic_path(tmp_path / "target"):
        (tmp_path / "source").read_text()
    assert told.value.filename == str(tmp_path / "source")


def add_tables(path):
    with written_by_library(path) as target, h5py.File(target, "w") as file:
        for number in range(300):
            file.create_dataset(f"group{number}/values", data=np.full((10, 10), number), track_times=False)


def test_a_library_that_would_crash_writes_what_it_is_given(tmp_path):
    add_tables(tmp_path / "a")
    with h5py.File(tmp_path / "a") as file:
        assert all((file[f"group{number}/values"][:] == number).all() for number in range(300))


@pytest.mark.parametrize("bytes_left", [1, 100, 4096, 50_000, 500_000])
def test_a_library_that_would_crash_on_a_full_disk_ends_before_that_is_told(tmp_path, bytes_left):
    with pytest.raises(OSError, match="too large") as told, full_disk(bytes_left):
        add_tables(tmp_path / "a")
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(tmp_path / "a"))


def test_what_fails_on_a_disk_with_room_is_told_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), written_by_library(tmp_path / "a"):
        raise ZeroDivisionError
