"""Writing ``conductances.h5``: what stands in the file, and when there is none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from analogdp.errors import InputError
from analogdp.exports import export_all, write_conductances
from analogdp.scenario.schema import Scenario
from tests.exports.networks import VERIFIED, fake_network, ideal_network, network_of, of_units, programmed, table

SCENARIO = Scenario(name="small", description="two crossbars")


def test_a_tile_is_laid_out_as_the_hardware_is_word_lines_by_bit_lines(tmp_path: Path) -> None:
    network = fake_network(sizes=(5, 3, 2), tile=(2, 2))
    plus = network.synapses[0].conductances().plus
    with h5py.File(write_conductances(tmp_path / "c.h5", network, SCENARIO)) as file:
        tile = file["synapses/0/chip_0/tile_2_1"]
        assert tile["plus"].shape == (1, 1)
        np.testing.assert_array_equal(tile["plus"][()], plus[0, 2:3, 4:5].T.numpy())
        assert (tile.attrs["first_word_line"], tile.attrs["first_bit_line"]) == (4, 2)


def test_every_numeric_data_set_states_its_unit(tmp_path: Path) -> None:
    missing: list[str] = []

    def check(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype != object and "unit" not in item.attrs:
            missing.append(name)

    with h5py.File(write_conductances(tmp_path / "c.h5", fake_network(), SCENARIO)) as file:
        file.visititems(check)
        assert file["synapses/0/chip_0/tile_0_0/plus"].attrs["unit"] == "siemens"
    assert missing == []


def test_the_file_names_its_format_geometry_card_and_versions(tmp_path: Path) -> None:
    network = fake_network(sizes=(5, 3, 2), chips=(4, 7), tile=(2, 2))
    with h5py.File(write_conductances(tmp_path / "c.h5", network, SCENARIO)) as file:
        assert (file.attrs["format"], file.attrs["format_version"]) == ("analogdp conductances", 2)
        assert file.attrs["layers"].tolist() == [5, 3, 2]
        assert file.attrs["chips"].tolist() == [4, 7]
        assert set(file["synapses/0"]) == {"chip_4", "chip_7", "device_card"}
        assert json.loads(file["synapses/0/device_card"].asstr()[()])["name"] == "test_cell"
        assert json.loads(file.attrs["versions"])["torch"] == torch.__version__
        assert "name: small" in file["scenario"].asstr()[()]
        attributes = dict(file["synapses/0"].attrs)
    assert (attributes["tile_rows"], attributes["tile_columns"]) == (3, 2)
    assert attributes["scale"] == network.synapses[0].conductances().scale


def test_a_crossbar_for_feedback_stands_beside_its_synapse_with_word_lines_from_the_layer_above(tmp_path: Path) -> None:
    network = fake_network(sizes=(5, 3, 2), tile=None, feedback=True)
    with h5py.File(write_conductances(tmp_path / "c.h5", network, SCENARIO)) as file:
        assert set(file["synapses"]) == {"0", "1"}
        assert set(file["feedback"]) == {"1"}
        plus = file["feedback/1/chip_0/tile_0_0/plus"][()]
    np.testing.assert_array_equal(plus, network.feedback_paths[1].table.plus[0].T.numpy())
    assert plus.shape == (2, 3)


@pytest.fixture
def elaborate(tmp_path: Path) -> Path:
    """A crossbar of one polarity of units, written and verified, on lines with resistance."""
    cells = programmed(of_units(table(5, 3, chips=2, tile=(2, 2)), (0.75, 0.25), polarities=1), polarities=1)
    return write_conductances(tmp_path / "elaborate.h5", network_of(cells, chips=(4, 7)), VERIFIED)


def test_devices_of_a_unit_stand_in_the_tile_of_their_cell_with_their_shares(elaborate: Path) -> None:
    with h5py.File(elaborate) as file:
        tile = file["synapses/0/chip_4/tile_2_1"]
        assert file["synapses/0"].attrs["shares"].tolist() == [0.75, 0.25]
        assert tile["plus_devices"].shape == (2, 1, 1)
        assert tile["plus_devices"].attrs["unit"] == "siemens"
        assert "minus_devices" not in tile


def test_programming_stands_beside_the_cells_with_units_settings_and_energy(elaborate: Path) -> None:
    with h5py.File(elaborate) as file:
        group = file["synapses/0/programming"]
        assert dict(group.attrs) == {"method": "write_verify", "tolerance": 0.02, "budget": 30}
        assert set(group) == {"chip_4", "chip_7"}
        part = group["chip_7"]
        assert {name: data.attrs["unit"] for name, data in part.items()} == {
            "pulses": "pulses",
            "reads": "reads",
            "error": "siemens",
            "unfinished": "true or false",
        }
        assert all(data.shape == (2, 5, 3) for data in part.values())
        assert (part.attrs["energy"], part.attrs["energy_unit"]) == (pytest.approx(2e-9), "joules")


def test_resistances_of_the_lines_stand_with_the_synapse(elaborate: Path) -> None:
    with h5py.File(elaborate) as file:
        found = {name: value for name, value in file["synapses/0"].attrs.items() if "resistance" in name}
    assert found == {
        "word_line_resistance": 2.5,
        "bit_line_resistance": 1.5,
        "source_resistance": 100.0,
        "sense_resistance": 50.0,
        "resistance_unit": "ohms",
    }


def test_equal_networks_give_equal_bytes(tmp_path: Path) -> None:
    first = write_conductances(tmp_path / "first.h5", fake_network(seed=3), SCENARIO)
    time.sleep(1.1)  # HDF5 stores times in whole seconds, where it does
    second = write_conductances(tmp_path / "second.h5", fake_network(seed=3), SCENARIO)
    assert first.read_bytes() == second.read_bytes()


def test_a_card_longer_than_an_hdf5_attribute_can_be_is_kept(tmp_path: Path) -> None:
    network = fake_network()
    network.synapses[0].table.card["note"] = "x" * 200_000
    with h5py.File(write_conductances(tmp_path / "c.h5", network, SCENARIO)) as file:
        assert len(json.loads(file["synapses/0/device_card"].asstr()[()])["note"]) == 200_000


def test_the_exporter_leaves_no_file_for_ideal_weights(tmp_path: Path) -> None:
    assert export_all(ideal_network(), SCENARIO, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_exporter_writes_one_file_for_crossbars_and_what_is_in_it_beside_it(tmp_path: Path) -> None:
    paths = [tmp_path / "conductances.h5", tmp_path / "conductances.h5.json"]
    assert export_all(fake_network(), SCENARIO, tmp_path) == paths
    assert sorted(tmp_path.iterdir()) == paths


def test_writing_conductances_of_ideal_weights_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="synapse: crossbar"):
        write_conductances(tmp_path / "c.h5", ideal_network(), SCENARIO)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    path.write_bytes(b"old")
    network = fake_network()
    network.synapses[1].table.card["bad"] = float("inf")  # not representable as JSON
    with pytest.raises(ValueError, match="JSON"):
        write_conductances(path, network, SCENARIO)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.h5"]
