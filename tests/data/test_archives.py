"""Members of archives."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from analogdp.data import archives
from analogdp.data.archives import read_bytes, read_npz, read_tar
from analogdp.errors import InputError

ARRAYS = {"a": np.arange(50, dtype=np.uint8), "b": np.arange(5)}


def npz(path, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path, **ARRAYS)
    return path


def tar(path, **members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_members_of_a_tar_archive_are_read_by_name(tmp_path):
    path = tar(tmp_path / "a.tar.gz", one=b"1", two=b"22", three=b"333")
    assert read_tar(path, ("three", "one")) == {"one": b"1", "three": b"333"}


def test_a_member_that_is_missing_is_named(tmp_path):
    path = tar(tmp_path / "a.tar.gz", one=b"1")
    with pytest.raises(InputError, match=f"{path} has no two"):
        read_tar(path, ("one", "two"))


def test_the_checksum_behind_the_last_member_counts(tmp_path):
    path = tar(tmp_path / "a.tar.gz", one=b"1")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    with pytest.raises(InputError, match=f"{path} is damaged .*CRC"):
        read_tar(path, ("one",))


@pytest.mark.parametrize("end", [b"", bytes(5000)])
def test_what_follows_the_members_is_bounded_too(tmp_path, monkeypatch, end):
    path = tar(tmp_path / "a.tar.gz", one=bytes(100))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + end))
    monkeypatch.setattr(archives, "LARGEST", 10_240)
    if not end:
        assert len(read_tar(path, ("one",))) == 1
        return
    with pytest.raises(InputError, match="unpacks to more than 10,240 bytes"):
        read_tar(path, ("one",))


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_read_by_name(tmp_path, compressed):
    found = read_npz(npz(tmp_path / "a.npz", compressed), ("b",))
    assert found.keys() == {"b"}
    assert np.array_equal(found["b"], ARRAYS["b"])


def test_an_array_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a.npz has no array c; it has a, b"):
        read_npz(npz(tmp_path / "a.npz"), ("a", "c"))


def test_arrays_beyond_all_bounds_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST", 100)
    with pytest.raises(InputError, match=r"a.npz unpacks to more than 100 bytes"):
        read_npz(npz(tmp_path / "a.npz", compressed=True), ("a",))


def test_a_header_that_promises_more_than_there_is_is_damaged(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**62,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(InputError, match=r"a.npz is damaged"):
        read_npz(tmp_path / "a.npz", ("a",))


@pytest.mark.parametrize("kind", ["npz", "packed npz", "tar"])
def test_an_archive_with_any_bytes_changed_is_read_or_refused(tmp_path, kind):
    random = np.random.default_rng(0)
    path = tmp_path / "archive"
    whole = tar(path, a=b"1", b=b"2") if kind == "tar" else npz(tmp_path / "a.npz", kind == "packed npz")
    content = gzip.decompress(whole.read_bytes()) if kind == "tar" else whole.read_bytes()
    for _ in range(200):
        changed = bytearray(content)
        changed[random.integers(len(changed))] = random.integers(256)
        path.write_bytes(gzip.compress(changed, 1) if kind == "tar" else changed)
        try:
            found = (read_tar if kind == "tar" else read_npz)(path, ("a", "b"))
        except InputError:
            continue
        assert found.keys() == {"a", "b"}


def test_a_file_is_read_within_bounds(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(bytes(11))
    assert read_bytes(path) == bytes(11)
    monkeypatch.setattr(archives, "LARGEST", 10)
    with pytest.raises(InputError, match=f"{path} has more than 10 bytes"):
        read_bytes(path)
