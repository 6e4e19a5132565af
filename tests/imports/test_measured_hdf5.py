"""HDF5 files of measured conductances that lack something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.exports import hdf5
from analogdp.imports import read_measured
from tests.imports.test_measured import PLUS, cells, changed, write_hdf5


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_hdf5(tmp_path / "bench.h5")


@pytest.mark.parametrize("name", ["plus", "minus"])
def test_a_data_set_that_is_not_there_is_told(name: str, file: Path) -> None:
    def remove(opened: h5py.File) -> None:
        del opened[PLUS.replace("plus", name)]

    with pytest.raises(InputError, match=f"chip_4/tile_0_1: no data set {name}; needed: plus, minus$"):
        read_measured(changed(file, remove))


def test_a_crossbar_without_the_chip_is_told(file: Path) -> None:
    with pytest.raises(InputError, match=r"/synapses/1 has no chip_4$"):
        read_measured(changed(file, _another_crossbar))


def _another_crossbar(opened: h5py.File) -> None:
    opened.create_group("synapses/1").attrs.update({"word_lines": 1, "bit_lines": 1})


def test_numbers_without_a_unit_are_refused(file: Path) -> None:
    with pytest.raises(
        InputError, match="tile_0_1/plus: no attribute 'unit' says what its numbers are in; give siemens"
    ):
        read_measured(changed(file, lambda opened: opened[PLUS].attrs.__delitem__("unit")))


@pytest.mark.parametrize("unit", ["siemens", "S", np.bytes_("siemens"), np.bytes_("S")])
def test_siemens_may_be_written_in_several_ways(unit: Any, file: Path) -> None:
    found = read_measured(changed(file, lambda opened: opened[PLUS].attrs.update(unit=unit)))
    np.testing.assert_array_equal(found[0].plus, cells()[0])


@pytest.mark.parametrize("unit", ["uS", np.bytes_("uS"), 1.0, ["siemens"]])
def test_anything_but_siemens_is_refused(unit: Any, file: Path) -> None:
    with pytest.raises(InputError, match=r"tile_0_1/plus: its unit is .*; give siemens$"):
        read_measured(changed(file, lambda opened: opened[PLUS].attrs.update(unit=unit)))


def test_states_need_no_unit(file: Path) -> None:
    found = read_measured(changed(file, lambda opened: opened.update({f"{PLUS}_state": np.ones((3, 1), np.uint8)})))
    assert found[0].count(1) == 3


@pytest.mark.parametrize("version", [0, hdf5.FORMAT_VERSION + 1])
def test_a_version_is_newer_or_none(version: int, file: Path) -> None:
    said = "install a newer one" if version else "there is no format version 0; versions count from 1"
    with pytest.raises(InputError, match=f"bench.h5: .*{said}$"):
        read_measured(changed(file, lambda opened: opened.attrs.update(format_version=version)))


def test_a_damaged_hdf5_file_is_not_answered_with_another_format(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(InputError, match="damaged or not an HDF5 file") as caught:
        read_measured(file)
    assert "CSV" not in str(caught.value)


@pytest.mark.parametrize("chip", ["4", 4.0, True])
def test_what_is_no_index_of_a_chip_is_refused(chip: Any, file: Path) -> None:
    with pytest.raises(InputError, match="is no index of a chip; chips: 4"):
        read_measured(file, chip)


@pytest.mark.parametrize("path", [5, None, b"bench.h5", ["bench.h5"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(InputError, match="is no path; give a folder of CSV files or an HDF5 file"):
        read_measured(path)
