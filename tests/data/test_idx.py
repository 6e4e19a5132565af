"""MNIST and its kind, from IDX files."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data import idx
from analogdp.data.idx import FashionMnistSettings, MnistSettings, read_idx
from analogdp.errors import InputError

KINDS = {"mnist": MnistSettings, "fashion-mnist": FashionMnistSettings}


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def arrays():
    random = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": random.integers(0, 256, (12, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(12) % 10,
        "t10k-images-idx3-ubyte": random.integers(0, 256, (5, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(5),
    }


@pytest.fixture(params=["packed", "raw"])
def folder(request, tmp_path):
    """A folder with four small files, as ``tmp_path / mnist``."""
    place = tmp_path / "mnist"
    place.mkdir()
    for name, array in arrays().items():
        if request.param == "packed":
            (place / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (place / name).write_bytes(idx_bytes(array))
    return place


def test_the_four_files_become_a_data_set(folder):
    loaded = data.load(MnistSettings(directory=folder), seed=0)
    images = arrays()["train-images-idx3-ubyte"]
    assert torch.equal(
        loaded.train_inputs[:], torch.tensor(images.reshape(12, 784) / np.float32(255), dtype=torch.float32)
    )
    assert loaded.train_labels.tolist() == [*range(10), 0, 1]
    assert len(loaded.test_inputs) == 5
    assert loaded.classes == tuple("0123456789")


def test_limits_take_the_first_samples(folder):
    settings = MnistSettings(directory=folder, train_limit=3, test_limit=100)
    loaded = data.load(settings, seed=0)
    assert loaded.train_labels.tolist() == [0, 1, 2]
    assert len(loaded.test_labels) == 5
    assert settings.sizes() == (784, 10)


def test_the_common_data_folder_has_a_folder_for_each_data_set(folder, monkeypatch):
    monkeypatch.setenv("ANALOGDP_DATA", str(folder.parent))
    assert len(data.load(MnistSettings(), seed=0).train_inputs) == 12
    with pytest.raises(
        InputError, match=r"there is no folder .*fashion-mnist; put the four IDX files of fashion-mnist"
    ):
        data.load(FashionMnistSettings(), seed=0)


def test_without_a_known_folder_the_error_says_how_to_name_one(monkeypatch):
    monkeypatch.delenv("ANALOGDP_DATA", raising=False)
    with pytest.raises(
        InputError, match=r"the folder that holds mnist/ by --data-dir or \$ANALOGDP_DATA, or set data.directory"
    ):
        data.load(MnistSettings(), seed=0)


def test_a_missing_file_is_named(folder):
    (gone,) = folder.glob("t10k-labels*")
    gone.unlink()
    with pytest.raises(InputError, match=r"there is no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz in"):
        data.load(MnistSettings(directory=folder), seed=0)


GOOD = idx_bytes(np.zeros((3, 28, 28)))
PACKED = gzip.compress(bytes(np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a", b"", "is no IDX file"),
        ("a", b"\0\0\x08", "is no IDX file"),
        ("a", b"<html>not found</html>", "is no IDX file"),
        ("a", b"\0\0\x0d" + GOOD[3:], "is no IDX file with 3 dimensions of bytes"),
        ("a", idx_bytes(np.zeros(5)), "is no IDX file with 3 dimensions of bytes"),
        ("a", GOOD[:-1], "is damaged: it holds 2351 of 2352 bytes"),
        ("a", GOOD + b"\0", "is damaged: it holds 2353 of 2352 bytes"),
        ("a", struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "is damaged: it holds 0 of"),
        ("a.gz", GOOD, "is damaged"),
        ("a.gz", PACKED[:-3000], "is damaged"),
        ("a.gz", PACKED[:2000] + b"\xff" * 8 + PACKED[2008:], "is damaged"),
    ],
    ids=[
        "empty",
        "short",
        "html",
        "floats",
        "flat",
        "truncated",
        "too long",
        "huge header",
        "not packed",
        "cut",
        "flipped",
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_idx(tmp_path / name, 3)
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_that_unpacks_to_more_than_any_data_set_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "LARGEST_FILE", 1000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(10_000)))
    with pytest.raises(InputError, match="unpacks to more than 1,000 bytes"):
        read_idx(tmp_path / "a.gz", 3)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train-labels-idx1-ubyte", np.arange(11) % 10, "has 12 images, but .* has 11 labels"),
        ("train-labels-idx1-ubyte", np.arange(12), r"labels\[10\] is 10; expected 0 to 9"),
        ("train-images-idx3-ubyte", np.zeros((12, 32, 28)), r"has images of \(32, 28\) pixels; expected 28 x 28"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(tmp_path, name, array, words):
    for file, content in {**arrays(), name: array}.items():
        (tmp_path / file).write_bytes(idx_bytes(content))
    with pytest.raises(InputError, match=words):
        data.load(MnistSettings(directory=tmp_path), seed=0)


@pytest.mark.skipif("ANALOGDP_DATA" not in os.environ, reason="ANALOGDP_DATA names no folder with the real files")
@pytest.mark.parametrize("name", KINDS)
def test_the_real_files_have_ten_balanced_classes(name):
    folder = Path(os.environ["ANALOGDP_DATA"]) / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    loaded = data.load(KINDS[name](), seed=0)
    assert (len(loaded.train_inputs), len(loaded.test_inputs)) == (60_000, 10_000)
    assert torch.bincount(loaded.train_labels).min() > 5000
    assert 0.1 < loaded.train_inputs[:].mean() < 0.3
