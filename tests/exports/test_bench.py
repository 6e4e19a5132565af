"""What a bench gets beside the cells: order of writing, converters, drift, and files that other tools read."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.exports import read_conductances, read_pulse_programs
from tests.exports.networks import Export


def test_cells_are_written_tile_by_tile_one_word_line_at_a_time(export: Export) -> None:
    path, _ = export(tile="5x4")
    order = read_conductances(path)[0].write_order
    assert order is not None
    tiles = [(0, 0, 5), (0, 1, 5), (1, 0, 3), (1, 1, 3)]
    assert order.tolist() == [[row, column, line] for row, column, lines in tiles for line in range(lines)]


def test_expected_drift_is_read_back_where_cells_age_and_absent_elsewhere(export: Export) -> None:
    drift = read_conductances(export(device="pcm_joshi")[0])[0].drift
    assert drift is not None
    assert drift.mean.shape == (4, 33)
    assert read_conductances(export(name="other.h5")[0])[0].drift is None


def test_every_data_set_has_a_unit_and_equal_networks_give_equal_bytes(export: Export) -> None:
    section = {"device": "pcm_gst", "tile": "5x4", "adc": {"bits": 6}}
    first, second = (export(name=name, **section)[0] for name in ("a.h5", "b.h5"))
    without: list[str] = []

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype != object and "unit" not in item.attrs:
            without.append(name)

    with h5py.File(first) as file:
        file.visititems(look)
    assert without == []
    assert first.read_bytes() == second.read_bytes()
    assert (first.parent / "a.h5.json").read_bytes() == (first.parent / "b.h5.json").read_bytes()


def test_the_sidecar_says_what_is_in_the_file(export: Export) -> None:
    path, _ = export(chips=2, tile="5x4", unit={"devices": 2})
    about = json.loads(path.with_name("c.h5.json").read_text())
    assert (about["format"], about["format_version"], about["chips"]) == ("analogdp conductances", 2, [0, 1])
    crossbar = about["crossbars"]["synapses/0"]
    with h5py.File(path) as file:
        group = file["synapses/0"]
        tile = group["chip_0/tile_0_0"]
        assert set(crossbar["data_sets_of_first_tile"]) == set(tile)
        for name, facts in crossbar["data_sets_of_first_tile"].items():
            assert (facts["type"], facts["unit"]) == (str(tile[name].dtype), tile[name].attrs["unit"])
            assert facts["shape"] in (list(tile[name].shape), ["runs"])
        assert all(crossbar[name] == value for name, value in group.attrs.items() if name in crossbar)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_prints_targets_and_pulses(export: Export) -> None:
    path, _ = export(tile="5x4")
    for name in ("plus_target", "program_pulses"):
        command = ["h5dump", "-d", f"/synapses/0/chip_0/tile_1_1/{name}", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "DATASPACE  SIMPLE" in text
        assert 'ATTRIBUTE "unit"' in text


def test_pulse_programs_of_another_crossbar_chip_or_device_are_refused(export: Export) -> None:
    path, _ = export(tile="5x4")
    for ask in ({"layer": 7}, {"layer": 0, "chip": 3}, {"layer": 0, "feedback": True}):
        with pytest.raises(InputError, match=r"no crossbar|no chip 3; chips: 0"):
            read_pulse_programs(path, **ask)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no device 1 at word line 0 and bit line 9"):
        read_pulse_programs(path, layer=0).of(0, 9, device=1)


def test_a_file_of_version_1_is_read_with_nothing_in_place_of_what_came_later(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        header = {"format": "analogdp conductances", "format_version": 1, "name": "old", "layers": [2, 1], "chips": [0]}
        file.attrs.update(header | {"versions": "{}", "conventions": ""})
        file["scenario"] = "name: old\n"
        group = file.create_group("synapses/0")
        lines = {
            "word_lines": 2,
            "bit_lines": 1,
            "tile_word_lines": 2,
            "tile_bit_lines": 1,
            "tile_rows": 1,
            "tile_columns": 1,
        }
        group.attrs.update(lines | {"scale": 1e5, "conductance_low": 1e-6, "conductance_high": 2e-5})
        group["device_card"] = '{"name": "old_cell"}'
        tile = group.create_group("chip_0/tile_0_0")
        tile.attrs.update({"first_word_line": 0, "first_bit_line": 0})
        for name in ("plus", "minus", "target_weights", "weights", "plus_writes", "minus_writes"):
            tile[name] = np.array([[3e-6], [4e-6]])
    found = read_conductances(path)[0]
    assert found.plus[0, :, 0].tolist() == [3e-6, 4e-6]
    for name in ("plus_target", "minus_target", "target_tolerance", "write_order", "drift"):
        assert getattr(found, name) is None
    assert found.converters == {}
    assert found.at(0, 0).plus_target is None
    with pytest.raises(
        InputError, match="no pulse programs of synapses/0: the file has none, as those of format version 1"
    ):
        read_pulse_programs(path, layer=0)
