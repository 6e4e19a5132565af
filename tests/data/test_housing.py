"""Houses in California."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data.housing import COLUMNS, TARGET, HousingSettings
from analogdp.errors import InputError

BLOCKS = np.random.default_rng(0).integers(1, 1000, (20, 9)).astype(float)


@pytest.fixture
def folder(tmp_path):
    """Twenty blocks, with the columns in another order than usual."""
    lines = [",".join((TARGET, *COLUMNS)), *(",".join(map(str, (row[8], *row[:8]))) for row in BLOCKS)]
    (tmp_path / "cal_housing.csv").write_text("\n".join(lines))
    return tmp_path


def in_order(loaded):
    """All inputs and targets, by target."""
    inputs = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:])).numpy()
    targets = torch.cat((loaded.train_targets[:], loaded.test_targets[:])).numpy()[:, 0]
    return inputs[targets.argsort()], np.sort(targets)


def test_columns_are_found_by_name_and_values_are_in_units_of_100_000_dollars(folder):
    inputs, targets = in_order(data.load(HousingSettings(directory=folder, features="raw"), 0).to("cpu", torch.float64))
    order = BLOCKS[:, 8].argsort()
    np.testing.assert_array_equal(inputs, BLOCKS[order, :8])
    np.testing.assert_array_equal(targets, BLOCKS[order, 8] / 100_000)


def test_ratios_are_those_of_scikit_learn(folder):
    """Its columns are MedInc, HouseAge, AveRooms, AveBedrms, Population, AveOccup, Latitude, Longitude."""
    inputs, _ = in_order(data.load(HousingSettings(directory=folder), 0).to("cpu", torch.float64))
    longitude, latitude, age, rooms, bedrooms, people, households, income, _ = BLOCKS[BLOCKS[:, 8].argsort()].T
    expected = (
        income,
        age,
        rooms / households,
        bedrooms / households,
        people,
        people / households,
        latitude,
        longitude,
    )
    np.testing.assert_allclose(inputs, np.stack(expected, 1), rtol=1e-15)


def test_a_block_without_households_has_no_ratios(folder):
    path = folder / "cal_housing.csv"
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    cells[7] = "0"
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]))
    with pytest.raises(InputError, match="a block has no households, by which rooms are divided; use features: raw"):
        data.load(HousingSettings(directory=folder), 0)
    assert data.load(HousingSettings(directory=folder, features="raw"), 0)


def test_a_blank_cell_is_named(folder):
    path = folder / "cal_housing.csv"
    lines = path.read_text().splitlines()
    cells = lines[5].split(",")
    cells[5] = ""
    path.write_text("\n".join([*lines[:5], ",".join(cells), *lines[6:]]))
    with pytest.raises(InputError, match=r"cal_housing.csv:6: column 'total_bedrooms' is empty"):
        data.load(HousingSettings(directory=folder), 0)


@pytest.mark.skipif("ANALOGDP_DATA" not in os.environ, reason="ANALOGDP_DATA names no folder with the real files")
def test_the_real_houses_are_those_of_scikit_learns_documentation():
    """Its first block, and means of its description, which is of 20,640 blocks: within a percent for any 99 % of them."""
    if not (Path(os.environ["ANALOGDP_DATA"]) / "california-housing").is_dir():
        pytest.skip("no california-housing")
    settings = HousingSettings()
    loaded = data.load(settings, 0)
    inputs = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:])).numpy()
    first = np.array([8.3252, 41, 6.98412698, 1.02380952, 322, 2.55555556, 37.88, -122.23], np.float32)
    assert np.isclose(inputs, first, rtol=1e-6).all(1).sum() == 1
    means = [3.87067, 28.63949, 5.42900, 1.09668, 1425.47674, 3.07066, 35.63186, -119.56970]
    np.testing.assert_allclose(inputs.mean(0), means, rtol=0.01)
    assert sum(settings.samples()) >= len(inputs) > 20_000
