"""Files are complete or absent."""

import hashlib
import os
import stat

import pytest

from analogdp.files import atomic_path, checksum, write_bytes, write_text


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
