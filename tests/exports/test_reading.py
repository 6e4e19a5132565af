"""Reading ``conductances.h5`` back: the same bits, and clear refusals of anything else."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analogdp.errors import InputError
from analogdp.exports import Programming, read_conductances, write_conductances
from analogdp.scenario.schema import Scenario
from tests.exports.networks import CARD, VERIFIED, fake_network, network_of, of_units, programmed, table

SCENARIO = Scenario(name="small")
FIELDS = ("plus", "minus", "target_weights", "weights")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_conductances(tmp_path / "c.h5", fake_network(sizes=(5, 3, 2), chips=(4, 7)), SCENARIO)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple),
    tile=st.none() | st.tuples(st.integers(1, 10), st.integers(1, 10)),
    chips=st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True).map(tuple),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_what_was_written_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: tuple[int, ...],
    tile: tuple[int, int] | None,
    chips: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    network = fake_network(sizes, chips, tile, dtype=dtype)
    found = read_conductances(write_conductances(tmp_path_factory.mktemp("x") / "c.h5", network, SCENARIO))
    assert (found.layers, found.chips, found.name) == (sizes, chips, "small")
    for crossbar, synapse, layer in zip(found.crossbars, network.synapses, network.layers, strict=True):
        expected = synapse.table
        for name in FIELDS:
            values = getattr(crossbar, name)
            assert values.dtype == getattr(expected, name).numpy().dtype
            np.testing.assert_array_equal(values, getattr(expected, name).numpy().transpose(0, 2, 1))
        np.testing.assert_array_equal(crossbar.plus_writes, expected.write_counts[:, 0].numpy().transpose(0, 2, 1))
        np.testing.assert_array_equal(crossbar.minus_writes, expected.write_counts[:, 1].numpy().transpose(0, 2, 1))
        np.testing.assert_array_equal(crossbar.biases, layer.bias.squeeze(1).numpy())
        assert (crossbar.scale, crossbar.low, crossbar.high, crossbar.card) == (expected.scale, 1e-7, 1e-5, CARD)


def test_crossbars_for_feedback_are_read_back_by_the_layer_they_lead_to(tmp_path: Path) -> None:
    network = fake_network(sizes=(5, 4, 3, 2), chips=(4, 7), feedback=True)
    path = write_conductances(tmp_path / "c.h5", network, SCENARIO)
    found = read_conductances(path)
    assert [crossbar.layer for crossbar in found.crossbars] == [0, 1, 2]
    assert sorted(found.feedback) == [1, 2]
    for k, crossbar in found.feedback.items():
        np.testing.assert_array_equal(crossbar.weights, network.feedback_paths[k].table.weights.mT.numpy())
        assert crossbar.downward
        assert crossbar.biases is None
    assert "feedback to layer 2: 2 word lines x 3 bit lines" in repr(found)
    alone = read_conductances(path, layer=1, chip=7)
    assert list(alone.feedback) == [1]
    np.testing.assert_array_equal(alone.feedback[1].plus, found.feedback[1].plus[1:])
    assert read_conductances(path, layer=0).feedback == {}


def test_a_file_without_crossbars_for_feedback_has_none(written: Path) -> None:
    assert read_conductances(written).feedback == {}


@pytest.mark.parametrize("polarities", [1, 2])
@pytest.mark.parametrize("tile", [None, (2, 3)])
def test_devices_of_units_are_read_back_bit_for_bit(
    tmp_path: Path, polarities: int, tile: tuple[int, int] | None
) -> None:
    cells = of_units(table(5, 4, chips=2, tile=tile), (0.5, 0.3, 0.2), polarities)
    found = read_conductances(write_conductances(tmp_path / "c.h5", network_of(cells, chips=(4, 7)), SCENARIO))[0]
    assert found.shares == (0.5, 0.3, 0.2)
    assert cells.units is not None
    written = cells.units.mT.numpy()
    read = [devices for devices in (found.plus_devices, found.minus_devices) if devices is not None]
    assert len(read) == polarities
    for polarity, devices in enumerate(read):
        np.testing.assert_array_equal(devices, written[:, polarity])
    if tile is not None:
        np.testing.assert_array_equal(found.at(1, 1, chip=7).plus_devices, written[1, 0, :, 2:4, 3:4])


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("polarities", [1, 2])
def test_programming_is_read_back_bit_for_bit(tmp_path: Path, verified: bool, polarities: int) -> None:
    cells = programmed(table(5, 4, chips=2, tile=(2, 3)), polarities, verified)
    path = write_conductances(tmp_path / "c.h5", network_of(cells, chips=(4, 7)), VERIFIED)
    found, report = read_conductances(path)[0].programming, cells.programming
    assert found is not None
    assert report is not None
    for name in ("pulses", "reads", "error", "unfinished"):
        expected = getattr(report, name)
        if expected is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_array_equal(getattr(found, name), expected.mT.numpy())
    assert found.error.dtype == np.float32
    assert (found.energy is None) == (not verified)
    assert (found.method, found.tolerance, found.budget, found.most_pulses) == ("write_verify", 0.02, 30, None)
    alone = read_conductances(path, chip=7)[0].programming
    assert alone is not None
    np.testing.assert_array_equal(alone.pulses, found.pulses[1:])
    if alone.energy is not None:
        np.testing.assert_allclose(alone.energy, 2e-9, rtol=1e-6)


def test_resistances_of_lines_are_read_back(tmp_path: Path) -> None:
    path = write_conductances(tmp_path / "c.h5", fake_network(), VERIFIED)
    assert read_conductances(path)[0].resistances == (2.5, 1.5, 100.0, 50.0)


def test_a_file_of_single_cells_put_in_place_exactly_says_nothing_of_units_programming_and_wires(written: Path) -> None:
    crossbar = read_conductances(written)[0]
    assert crossbar.shares == (1.0,)
    absent = ("plus_devices", "minus_devices", "resistances", "programming")
    assert [getattr(crossbar, name) for name in absent] == [None] * 4
    assert crossbar.at(0, 0).plus_devices is None


def test_programming_of_another_number_of_cells_than_the_array_has_is_refused(tmp_path: Path) -> None:
    cells = programmed(table(5, 4, chips=1, tile=None), 1)
    path = write_conductances(tmp_path / "c.h5", network_of(cells), VERIFIED)
    with h5py.File(path, "a") as file:
        del file["synapses/0/programming/chip_0/error"]
        file["synapses/0/programming/chip_0/error"] = np.zeros((1, 1, 1))
    with pytest.raises(InputError, match=r"damaged.*error of shape \(1, 1, 1\) for 5 x 4 pairs"):
        read_conductances(path)


def test_one_layer_and_one_chip_can_be_read_alone(written: Path) -> None:
    everything = read_conductances(written)
    alone = read_conductances(written, layer=1, chip=7)
    assert alone.chips == (7,)
    assert [crossbar.layer for crossbar in alone.crossbars] == [1]
    np.testing.assert_array_equal(alone[1].plus, everything[1].plus[1:])
    np.testing.assert_array_equal(alone[1].biases, everything[1].biases[1:])


def test_what_was_read_can_be_gone_through_from_the_lowest_synapse_up(written: Path) -> None:
    assert [crossbar.layer for crossbar in read_conductances(written)] == [0, 1]


def test_a_tile_is_the_part_of_the_array_that_it_holds(written: Path) -> None:
    crossbar = read_conductances(written)[0]
    assert (crossbar.shape, crossbar.grid, crossbar.tile) == ((5, 3), (3, 2), (2, 2))
    tile = crossbar.at(2, 1, chip=7)
    assert (tile.word_lines, tile.bit_lines) == (slice(4, 5), slice(2, 3))
    np.testing.assert_array_equal(tile.plus, crossbar.plus[1, 4:5, 2:3])
    np.testing.assert_array_equal(tile.minus_writes, crossbar.minus_writes[1, 4:5, 2:3])


def test_a_network_without_biases_reads_back_without_them(tmp_path: Path) -> None:
    path = write_conductances(tmp_path / "c.h5", fake_network(bias=False), SCENARIO)
    assert read_conductances(path)[0].biases is None


def test_the_repr_of_programming_has_no_arrays() -> None:
    pulses, out = np.full((1, 2, 3, 4), 5), np.arange(24).reshape(1, 2, 3, 4) < 2
    found = Programming(pulses, pulses + 1, pulses * 0.0, out, None, "write_verify")
    assert (
        repr(found)
        == "Programming(1 x 2 x 3 x 4 devices, write_verify: 120 pulses, 144 reads, 2 devices out of tolerance)"
    )


def test_the_repr_says_what_was_read(written: Path) -> None:
    text = repr(read_conductances(written))
    assert text.splitlines()[0] == "Conductances(small: 5-3-2, 2 chips)"
    assert "layer 0: 5 word lines x 3 bit lines in 3 x 2 tiles" in text
    assert "test_cell 1e-07 S to 1e-05 S" in text
    assert repr(read_conductances(written)[0].at(0, 0)) == "Tile(word lines 0 to 1, bit lines 0 to 1)"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda path: read_conductances(path, layer=5), "no conductances of layer 5.*: 0, 1"),
        (lambda path: read_conductances(path, chip=0), "no chip 0; chips: 4, 7"),
        (lambda path: read_conductances(path)[3], "no conductances of layer 3"),
        (lambda path: read_conductances(path)[0].at(3, 0), "3 x 2 tiles"),
        (lambda path: read_conductances(path)[0].at(0, 0, chip=1), "no chip 1"),
    ],
)
def test_asking_for_what_is_not_there_names_what_is(written: Path, ask: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ask(written)  # type: ignore[operator]


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(InputError, match=f"{path}: no such file"):
            read_conductances(path)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(written: Path, keep: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="damaged or not an HDF5 file"):
        read_conductances(written)


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not of the format 'analogdp conductances'"):
        read_conductances(path)


def test_a_newer_format_is_refused_with_both_versions(written: Path) -> None:
    with h5py.File(written, "a") as file:
        file.attrs["format_version"] = 3
    with pytest.raises(InputError, match=r"format version 3, but .* up to 2"):
        read_conductances(written)


def _drop_tile(file: h5py.File) -> None:
    del file["synapses/0/chip_4/tile_1_0"]


def _drop_data(file: h5py.File) -> None:
    del file["synapses/0/chip_4/tile_1_0/minus"]


def _drop_all_synapses(file: h5py.File) -> None:
    del file["synapses"]


def _claim_a_huge_array(file: h5py.File) -> None:
    file["synapses/0"].attrs["word_lines"] = 10**12


def _claim_no_tiles(file: h5py.File) -> None:
    file["synapses/0"].attrs["tile_bit_lines"] = 0


@pytest.mark.parametrize("damage", [_drop_tile, _drop_data, _drop_all_synapses, _claim_a_huge_array, _claim_no_tiles])
def test_a_file_with_missing_or_impossible_parts_is_refused(written: Path, damage: object) -> None:
    with h5py.File(written, "a") as file:
        damage(file)  # type: ignore[operator]
    with pytest.raises(InputError, match="damaged"):
        read_conductances(written)
