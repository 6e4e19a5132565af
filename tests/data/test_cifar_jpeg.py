"""CIFAR-10 as JPEG files."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from analogdp import data
from analogdp.data.cifar_jpeg import Cifar10JpegSettings
from analogdp.errors import InputError

TRAIN, TEST = 12, 5


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A data set of a few samples, and a cache of its own."""
    monkeypatch.setattr(Cifar10JpegSettings, "train_samples", TRAIN)
    monkeypatch.setattr(Cifar10JpegSettings, "test_samples", TEST)
    monkeypatch.setenv("ANALOGDP_CACHE", str(tmp_path / "cache"))


def pictures(count):
    """Smooth pictures ``(count, 32, 32, 3)``, which JPEG keeps nearly as they are."""
    row, column = np.mgrid[0:32, 0:32]
    steps = np.arange(count)[:, None, None]
    channels = [row * 4 + steps, column * 5 + steps, 255 - row * 3 - column * 2 - steps]
    return np.stack([np.broadcast_to(channel, (count, 32, 32)) for channel in channels], axis=3).astype(np.uint8)


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def arrays(count, files=None):
    files = files or [jpeg(pixels) for pixels in pictures(count)]
    offsets = np.cumsum([0, *map(len, files)])
    return {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": offsets,
        "labels": np.arange(count, dtype=np.uint8) % 10,
    }


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "cifar10-jpeg"
    place.mkdir()
    np.savez(place / "train.npz", **arrays(TRAIN))
    np.savez(place / "test.npz", **arrays(TEST))
    return place


def test_pictures_are_decoded_by_colour_row_and_column(folder):
    loaded = data.load(Cifar10JpegSettings(directory=folder), seed=0)
    found = loaded.train_inputs[:].reshape(TRAIN, 3, 32, 32) * 255
    wanted = torch.from_numpy(pictures(TRAIN).transpose(0, 3, 1, 2).astype(np.float32))
    assert (found - wanted).abs().max() < 12
    assert (found - wanted).abs().mean() < 2
    assert loaded.train_labels.tolist() == [*range(10), 0, 1]
    assert loaded.shape == (3, 32, 32)
    assert loaded.classes[0] == "airplane"


def test_pictures_are_decoded_once(folder, monkeypatch):
    first = data.load(Cifar10JpegSettings(directory=folder), seed=0)
    monkeypatch.setattr(Image, "open", None)
    again = data.load(Cifar10JpegSettings(directory=folder), seed=0)
    assert torch.equal(first.test_inputs[:], again.test_inputs[:])


def test_pictures_are_kept_as_bytes_in_memory(folder):
    raw = data.load(Cifar10JpegSettings(directory=folder), seed=0).train_inputs.raw
    assert isinstance(raw, torch.Tensor)
    assert raw.dtype == torch.uint8


def png():
    file = io.BytesIO()
    Image.fromarray(pictures(1)[0]).save(file, "PNG")
    return file.getvalue()


GOOD = jpeg(pictures(1)[0])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (GOOD[: len(GOOD) // 2], "is damaged"),
        (b"no picture", "is damaged"),
        (b"", "is damaged"),
        (png(), "is damaged"),
        (jpeg(np.zeros((16, 32, 3), np.uint8)), "has 32 x 16 pixels; expected 32 x 32"),
    ],
    ids=["cut", "text", "empty", "png", "small"],
)
def test_a_bad_picture_is_named_by_its_number(folder, bad, words):
    np.savez(folder / "test.npz", **arrays(TEST, [GOOD, GOOD, bad, GOOD, GOOD]))
    with pytest.raises(InputError, match=f"test.npz, picture 2 {words}"):
        data.load(Cifar10JpegSettings(directory=folder), seed=0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": np.array([0, 1, 2, 3, 10])}, "has the label 10; expected 0 to 9"),
        ({"labels": np.array([0.0, 1, 2, 3, 4])}, "no whole number as a label"),
        ({"labels": np.arange(4)}, "the offsets do not divide its pictures"),
        ({"offsets": np.array([0, 1, 2, 3, 4, 5])}, "the offsets do not divide its pictures"),
        ({"offsets": arrays(TEST)["offsets"][[0, 2, 1, 3, 4, 5]]}, "the offsets do not divide its pictures"),
        ({"offsets": arrays(TEST)["offsets"].astype(float)}, "are no rows of bytes and whole numbers"),
        ({"jpeg": np.zeros(5)}, "are no rows of bytes and whole numbers"),
        ({"labels": np.array([object()] * 5)}, "Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(folder, changed, words):
    np.savez(folder / "test.npz", **arrays(TEST) | changed)
    with pytest.raises(InputError, match=f"test.npz.*{words}"):
        data.load(Cifar10JpegSettings(directory=folder), seed=0)


def test_a_missing_array_is_named(folder):
    np.savez(folder / "test.npz", jpeg=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(InputError, match=r"test.npz has no array offsets; it has jpeg, labels"):
        data.load(Cifar10JpegSettings(directory=folder), seed=0)


@pytest.mark.parametrize("spoil", [lambda content: content[:-1000], lambda content: b"", lambda content: b"\x80\x04."])
def test_a_damaged_file_is_named(folder, spoil):
    path = folder / "train.npz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=f"{path} is damaged"):
        data.load(Cifar10JpegSettings(directory=folder), seed=0)


def test_a_missing_file_is_named(folder):
    (folder / "test.npz").unlink()
    with pytest.raises(InputError, match=r"there is no test.npz in .*; put train.npz and test.npz, .* there") as caught:
        data.load(Cifar10JpegSettings(directory=folder), seed=0)
    assert "download" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif("ANALOGDP_DATA" not in os.environ, reason="ANALOGDP_DATA names no folder with the real files")
def test_the_real_pictures_have_the_published_statistics(monkeypatch):
    if not (Path(os.environ["ANALOGDP_DATA"]) / "cifar10-jpeg").is_dir():
        pytest.skip("no cifar10-jpeg")
    monkeypatch.setattr(Cifar10JpegSettings, "train_samples", 50_000)
    monkeypatch.setattr(Cifar10JpegSettings, "test_samples", 10_000)
    loaded = data.load(Cifar10JpegSettings(), seed=0)
    assert torch.bincount(loaded.train_labels).tolist() == [5000] * 10
    assert torch.bincount(loaded.test_labels).tolist() == [1000] * 10
    # Means and standard deviations of the colours of CIFAR-10's training pictures, as they are commonly given.
    raw = loaded.train_inputs.raw.reshape(-1, 3, 1024)
    colours = [raw[:, colour].to(torch.float32).div_(255) for colour in range(3)]
    assert [colour.mean().item() for colour in colours] == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.002)
    assert [colour.std().item() for colour in colours] == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.003)
