"""Arrays of the user's own."""

import zipfile

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data.npz import NpzSettings
from analogdp.errors import InputError
from analogdp.scenario import load_scenario
from analogdp.scenario.schema import Scenario

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.random((30, 6), dtype=np.float32)
LABELS = np.arange(30) % 3
IMAGES = RANDOM.integers(0, 256, (30, 2, 3, 4), dtype=np.uint8)


@pytest.fixture
def saved(tmp_path):
    """``saved(name=array, ...)``: an archive with these arrays."""

    def save(**arrays):
        np.savez_compressed(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return save


def apart(arrays):
    """Twenty training and ten test samples of each array."""
    return {
        f"{part}_{name}": own
        for name, array in arrays.items()
        for part, own in zip(("train", "test"), (array[:20], array[20:]), strict=True)
    }


def test_samples_are_divided_and_keep_their_labels(saved):
    settings = NpzSettings(file=saved(inputs=INPUTS, labels=LABELS))
    loaded = data.load(settings, 0)
    inputs = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:])).numpy()
    labels = torch.cat((loaded.train_labels, loaded.test_labels)).numpy()
    order, expected = inputs[:, 0].argsort(), INPUTS[:, 0].argsort()
    np.testing.assert_array_equal(inputs[order], INPUTS[expected])
    np.testing.assert_array_equal(labels[order], LABELS[expected])
    assert (settings.sizes(), settings.samples()) == ((6, 3), (24, 6))
    assert (len(loaded.train_inputs), len(loaded.test_inputs)) == (24, 6)


def test_parts_of_their_own_stay_as_they_are(saved):
    settings = NpzSettings(
        file=saved(**apart({"inputs": IMAGES, "labels": LABELS}), classes=np.array(["a", "b", "c", "d"]))
    )
    loaded = data.load(settings, 0)
    np.testing.assert_array_equal(loaded.test_inputs[:].numpy(), IMAGES[20:].reshape(10, 24) / np.float32(255))
    np.testing.assert_array_equal(loaded.train_labels.numpy(), LABELS[:20])
    assert loaded.train_inputs.raw.dtype == torch.uint8
    assert loaded.classes == ("a", "b", "c", "d")
    assert (settings.shape(), settings.sizes(), settings.samples()) == ((2, 3, 4), (24, 4), (20, 10))
    assert loaded.shape == (2, 3, 4)


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 4)], ids=str)
def test_numbers_are_learnt_from_targets(saved, shape):
    targets = RANDOM.normal(size=shape)
    settings = NpzSettings(file=saved(**apart({"inputs": INPUTS, "targets": targets})), task="regression")
    loaded = data.load(settings, 0).to("cpu", torch.float64)
    assert settings.sizes() == (6, shape[1] if len(shape) > 1 else 1)
    np.testing.assert_array_equal(loaded.test_targets[:].numpy(), targets[20:].reshape(10, -1))
    assert loaded.train_labels is None


@pytest.mark.parametrize(
    ("array", "given", "shape"),
    [
        (IMAGES, None, (2, 3, 4)),
        (IMAGES[:, 0], None, (1, 3, 4)),
        (INPUTS, None, (6,)),
        (INPUTS, (1, 2, 3), (1, 2, 3)),
        (INPUTS[:, 0], None, (1,)),
    ],
    ids=lambda value: str(getattr(value, "shape", value)),
)
def test_the_shape_is_found_or_given(saved, array, given, shape):
    settings = NpzSettings(file=saved(inputs=array, labels=LABELS), input_shape=given)
    assert settings.shape() == data.load(settings, 0).shape == shape


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8", "i4", ">u2", "?"])
def test_numbers_of_all_kinds_are_read(saved, kind):
    array = (INPUTS * 100).astype(kind)
    loaded = data.load(NpzSettings(file=saved(**apart({"inputs": array, "labels": LABELS}))), 0)
    np.testing.assert_array_equal(loaded.train_inputs[:].numpy(), array[:20].astype(np.float32))


GOOD = {"inputs": INPUTS, "labels": LABELS}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": LABELS - 1}, r"labels\[0\] is -1; labels are whole numbers, 0 for the first class"),
        ({"labels": LABELS + 0.5}, r"labels\[0\] is 0.5; labels are whole numbers"),
        ({"labels": np.where(LABELS == 2, np.nan, LABELS)}, r"labels\[2\] is nan"),
        ({"labels": LABELS + 10**9}, r"labels\[0\] is 1e\+09"),
        ({"labels": LABELS * 0 + 4}, "one class only, 4; there is nothing to learn"),
        ({"labels": LABELS, "classes": np.array(["a", "b"])}, "a label is 2, but classes has 2 names"),
        ({"labels": LABELS.astype(str)}, "labels has elements of type <U21, not real numbers"),
        ({"inputs": INPUTS * 1j}, "inputs has elements of type complex64, not real numbers"),
        ({"labels": np.eye(3)[LABELS]}, r"labels has the shape \(30, 3\); it must have one label"),
        ({"labels": LABELS[:29]}, r"inputs has the shape \(30, 6\), labels \(29,\); their first numbers"),
        ({"labels": np.array([None] * 30)}, "labels has Python objects, which are not loaded"),
        ({"inputs": INPUTS[:0], "labels": LABELS[:0]}, "nothing may be empty"),
        ({"inputs": np.zeros((30, 1, 2, 3, 4))}, "not channels, height and width"),
        ({"inputs": np.array(1.0)}, r"inputs has the shape \(\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_cannot_be_learnt_from_are_refused_when_the_scenario_is_read(saved, changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        Scenario(data={"name": "npz", "file": str(saved(**{**GOOD, **changes}))}, network={"layers": (6, 3)})
    assert "own.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "words"), [(np.nan, r"inputs\[7\] has a number that is not finite"), (np.inf, "not finite")]
)
def test_a_sample_that_is_not_finite_is_named(saved, bad, words):
    inputs = INPUTS.copy()
    inputs[7, 2] = bad
    with pytest.raises(InputError, match=words):
        data.load(NpzSettings(file=saved(inputs=inputs, labels=LABELS)), 0)


def test_an_array_that_is_missing_is_named_with_the_nearest(saved):
    with pytest.raises(ValueError, match=r"has no array 'labels'; did you mean 'label'\? Known: inputs, label"):
        NpzSettings(file=saved(inputs=INPUTS, label=LABELS))
    with pytest.raises(ValueError, match=r"has no array 'test_inputs'"):
        NpzSettings(file=saved(train_inputs=INPUTS, train_labels=LABELS))


def test_a_shape_that_does_not_hold_the_inputs_is_refused(saved):
    with pytest.raises(ValueError, match=r"input_shape \[1, 28, 28\] does not hold the file's inputs of shape \[6\]"):
        NpzSettings(file=saved(**GOOD), input_shape=(1, 28, 28))


def test_parts_with_samples_of_other_shapes_are_refused(saved):
    arrays = {**apart(GOOD), "test_inputs": INPUTS[20:, :5]}
    with pytest.raises(InputError, match="training and test arrays have samples of other shapes"):
        data.load(NpzSettings(file=saved(**arrays)), 0)


def damaged(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("inputs.npy").header_offset
    content[start + 100 : start + 200] = bytes(100)
    return bytes(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: b"", "is no archive of arrays"),
        (lambda path: b"inputs,labels\n1,2\n", "is no archive of arrays"),
        (lambda path: path.read_bytes()[:-50], "is no archive of arrays"),
        (damaged, "own.npz"),
    ],
    ids=["empty", "text", "cut", "flipped"],
)
def test_a_damaged_file_is_named(saved, change, words):
    path = saved(**GOOD)
    path.write_bytes(change(path))
    with pytest.raises((InputError, ValueError), match=words):
        data.load(NpzSettings(file=path), 0)


def test_a_missing_file_is_a_problem_of_the_scenario_at_its_line(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("seed: 1\ndata:\n  name: npz\n  file: gone.npz\nnetwork: {layers: [6, 3]}\n")
    with pytest.raises(InputError, match=r"s.yaml:2: data: gone.npz cannot be read: No such file"):
        load_scenario(path)


def test_a_run_can_be_looked_at_without_its_file_but_not_gone_on_with(saved, monkeypatch):
    path = saved(**apart(GOOD))
    monkeypatch.chdir(path.parent)
    scenario = Scenario(data={"name": "npz", "file": "own.npz"}, network={"layers": (6, 4, 3)}, learning={"batch": 10})
    assert scenario.data.file == path
    assert scenario.data.test_fraction is None
    path.unlink()
    again = Scenario.model_validate(scenario.model_dump(mode="json"))
    assert again == scenario
    with pytest.raises(InputError, match="cannot be read"):
        data.load(again.data, 0)


def test_a_file_that_has_changed_since_is_refused(saved):
    settings = Scenario(
        data={"name": "npz", "file": str(saved(**GOOD))}, network={"layers": (6, 3)}, learning={"batch": 5}
    ).data
    saved(inputs=INPUTS[:20], labels=LABELS[:20])
    with pytest.raises(
        InputError,
        match="holds 20 samples of 6 inputs and 3 outputs, but the scenario says 30 samples of 6 inputs and 3",
    ):
        data.load(settings, 0)


def test_samples_that_are_divided_already_are_not_divided_again(saved):
    section = {"name": "npz", "file": str(saved(**apart(GOOD))), "test_fraction": 0.3}
    with pytest.raises(ValueError, match=r"own.npz has test samples of its own; leave it away"):
        Scenario(data=section, network={"layers": (6, 3)}, learning={"batch": 5})
