"""ImageNet32x32, from small batches."""

import pickle

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data.imagenet32 import Imagenet32Settings
from analogdp.errors import InputError
from analogdp.scenario import Scenario

EACH, TEST = 3, 4
LABELS = np.array([1, 1000, 17])


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A data set of a few samples, and a cache of its own."""
    monkeypatch.setattr(Imagenet32Settings, "train_samples", 10 * EACH)
    monkeypatch.setattr(Imagenet32Settings, "test_samples", TEST)
    monkeypatch.setenv("ANALOGDP_CACHE", str(tmp_path / "cache"))


def images(number, count):
    return np.random.default_rng(number).integers(0, 256, (count, 3072), dtype=np.uint8)


def write(place, kind, name, pixels, labels):
    if kind == "npz":
        np.savez(place / f"{name}.npz", data=pixels, labels=np.asarray(labels))
    else:
        batch = {"data": pixels, "labels": list(map(int, labels)), "mean": pixels.mean(0)}
        (place / name).write_bytes(pickle.dumps(batch, 3))


@pytest.fixture(params=["pickled", "npz"])
def folder(request, tmp_path):
    place = tmp_path / "imagenet32"
    place.mkdir()
    for number in range(1, 11):
        write(place, request.param, f"train_data_batch_{number}", images(number, EACH), LABELS)
    write(place, request.param, "val_data", images(0, TEST), [5, 6, 7, 8])
    return place


def test_batches_become_one_data_set_in_the_order_of_their_numbers(folder):
    loaded = data.load(Imagenet32Settings(directory=folder), seed=0)
    wanted = np.concatenate([images(number, EACH) for number in range(1, 11)])
    assert torch.equal(loaded.train_inputs[:], torch.from_numpy(wanted) / 255)
    assert torch.equal(loaded.test_inputs[:], torch.from_numpy(images(0, TEST)) / 255)


def test_labels_begin_with_one_in_the_files(folder):
    loaded = data.load(Imagenet32Settings(directory=folder), seed=0)
    assert loaded.train_labels.tolist() == [0, 999, 16] * 10
    assert [loaded.classes[label] for label in loaded.test_labels] == ["5", "6", "7", "8"]


def test_pictures_stay_in_their_file(folder):
    assert isinstance(data.load(Imagenet32Settings(directory=folder), seed=0).train_inputs.raw, np.memmap)


def test_rows_of_the_file_are_shown_as_brightness(folder):
    loaded = data.load(Imagenet32Settings(directory=folder), seed=0)
    shown = loaded.train_inputs[torch.tensor([7, 2])]
    assert torch.equal(shown[0], torch.from_numpy(images(3, EACH)[1]) / 255)
    assert torch.equal(shown[1], torch.from_numpy(images(1, EACH)[2]) / 255)


def test_the_whole_of_it_takes_little_memory(monkeypatch):
    monkeypatch.undo()
    assert Imagenet32Settings().samples() == (1_281_167, 50_000)
    assert Imagenet32Settings().memory(4) < 100e6


def test_a_scenario_knows_its_sizes(folder):
    section = {"name": "imagenet32", "directory": str(folder)}
    scenario = Scenario(data=section, network={"layers": (3072, 20, 1000)}, learning={"batch": 5})
    assert scenario.data.shape() == (3, 32, 32)


def test_a_batch_that_is_missing_is_named(folder):
    for path in folder.glob("train_data_batch_7*"):
        path.unlink()
    with pytest.raises(
        InputError, match=r"there is no train_data_batch_7 or train_data_batch_7.npz in .*; put train_data_batch_1"
    ):
        data.load(Imagenet32Settings(directory=folder), seed=0)


@pytest.mark.parametrize("label", [0, 1001])
@pytest.mark.parametrize("kind", ["pickled", "npz"])
def test_labels_beyond_the_classes_are_refused(tmp_path, kind, label):
    for number in range(1, 11):
        write(tmp_path, kind, f"train_data_batch_{number}", images(number, EACH), [1, 2, label])
    write(tmp_path, kind, "val_data", images(0, TEST), [5, 6, 7, 8])
    with pytest.raises(InputError, match=rf"train_data_batch_1(.npz)? has the label {label}; expected 1 to 1000"):
        data.load(Imagenet32Settings(directory=tmp_path), seed=0)


def test_a_batch_that_is_cut_off_is_named(folder):
    (path,) = folder.glob("train_data_batch_10*")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=f"{path} is damaged"):
        data.load(Imagenet32Settings(directory=folder), seed=0)


def test_too_few_samples_are_refused(folder, monkeypatch):
    monkeypatch.setattr(Imagenet32Settings, "train_samples", 31)
    with pytest.raises(InputError, match=r"train_data_batch_1.* to .*train_data_batch_10.*: 30 samples; expected 31"):
        data.load(Imagenet32Settings(directory=folder), seed=0)
