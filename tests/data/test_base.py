"""What a data set is."""

import pytest
import torch

from analogdp import data
from analogdp.data import Dataset
from analogdp.errors import InputError
from analogdp.scenario import Scenario


@pytest.fixture
def small():
    train = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], dtype=torch.float64), torch.tensor([1, 0, 2])
    return Dataset.of_classes("small", ("a", "b", "c"), train, (train[0][:1], train[1][:1].to(torch.int32)))


def test_classes_become_one_hot_targets(small):
    assert small.train_targets[:].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert small.test_targets[:].tolist() == [[0, 1, 0]]
    assert (small.train_inputs.dtype, small.train_labels.dtype, small.test_labels.dtype) == (
        torch.float32,
        torch.int64,
        torch.int64,
    )


def test_moving_a_data_set_keeps_its_labels_whole(small):
    moved = small.to("cpu", torch.float64)
    assert moved.train_inputs.dtype == moved.test_targets.dtype == torch.float64
    assert moved.train_labels.dtype == torch.int64
    assert moved.classes == small.classes


def test_a_regression_has_no_labels_to_move(small):
    values = torch.zeros(2, 1)
    regression = Dataset("r", values, values, None, values, values, None)
    assert regression.to("cpu", torch.float64).train_labels is None


def test_a_data_set_says_what_it_is(small):
    assert repr(small) == "Dataset(small: 3 training and 1 test samples, 2 inputs, 3 outputs)"


def test_the_section_of_a_scenario_says_which_data_are_loaded():
    loaded = data.load(Scenario().data, seed=0)
    assert loaded.name == "digits"


def test_missing_files_are_the_users_to_provide(monkeypatch):
    monkeypatch.delenv("ANALOGDP_DATA", raising=False)
    section = Scenario(data="mnist", network={"layers": (784, 10)}).data
    with pytest.raises(InputError, match="ANALOGDP_DATA"):
        data.load(section, seed=0)
