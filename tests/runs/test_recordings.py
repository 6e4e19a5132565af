"""``recordings.h5`` written and read: the same numbers, only what is asked for, and clear refusals of anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.runs import recordings
from analogdp.runs.recordings import COLUMNS, Selection, Spool, StoredArray, read_recordings, write_recordings
from tests.full_disk import full_disk

STATES = Selection(1, "states", ("plus", "minus"), chips=(0, 4), units=(3, 1, 7), samples=2, every=5, updates=100)
DOWN = Selection(3, "down", ("down",), chips=(0, 4), units=(0,), samples=1, every=1, updates=1)


def spooled(
    folder: Path, selection: Selection, rows: int, dtype: str = "float32"
) -> tuple[Spool, np.ndarray[Any, Any]]:
    """A spool of presentations of ten rows each, with random values, and its rows."""
    spool = Spool.of(selection, np.dtype(dtype), folder / f"{selection.what}.rows")
    numbers = np.empty(rows, spool.row)
    counted = np.arange(rows)
    numbers["presentation"], numbers["step"] = counted // 10, counted % 10 * selection.every
    numbers["update"], numbers["time"] = numbers["presentation"] * selection.updates, numbers["step"] * 1e-7
    numbers["values"] = np.random.default_rng(3).standard_normal((rows, *selection.shape))
    if rows:
        spool.path.write_bytes(numbers.tobytes())
    return spool, numbers


@pytest.fixture
def written(tmp_path: Path) -> Path:
    spools = [spooled(tmp_path, STATES, 37)[0], spooled(tmp_path, DOWN, 12)[0]]
    return write_recordings(tmp_path / "recordings.h5", "small", spools)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [1, 1000, 2**22])
@pytest.mark.parametrize("rows", [0, 1, 37])
def test_what_was_spooled_is_read_back_bit_for_bit(tmp_path: Path, monkeypatch, dtype, chunk, rows) -> None:
    monkeypatch.setattr(recordings, "CHUNK_BYTES", chunk)
    spool, expected = spooled(tmp_path, STATES, rows, dtype)
    (found,) = read_recordings(write_recordings(tmp_path / "recordings.h5", "small", [spool]))
    assert {name: getattr(found, name) for name in vars(STATES)} == vars(STATES)
    assert found.values.dtype == np.dtype(dtype)
    for name in (*COLUMNS, "values"):
        np.testing.assert_array_equal(getattr(found, name), expected[name])


def test_equal_recordings_give_equal_bytes(tmp_path: Path, written: Path) -> None:
    spools = [spooled(tmp_path, STATES, 37)[0], spooled(tmp_path, DOWN, 12)[0]]
    assert write_recordings(tmp_path / "again.h5", "small", spools).read_bytes() == written.read_bytes()


def test_any_number_of_units_has_room(tmp_path: Path) -> None:
    """More than the 64 KiB that HDF5 grants an attribute."""
    many = Selection(1, "up", ("up",), chips=(0,), units=tuple(range(20_000)), samples=1, every=1, updates=1)
    (found,) = read_recordings(write_recordings(tmp_path / "recordings.h5", "x", [spooled(tmp_path, many, 2)[0]]))
    assert found.units == many.units


def test_only_what_is_asked_for_is_read(written: Path, monkeypatch) -> None:
    (found, _), asked = read_recordings(written), []
    read = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, index: asked.append(index) or read(self, index))
    assert found.values[5:9, 0, 1].shape == (4, 2, 3)
    assert asked == [(slice(5, 9), 0, 1)]


def test_a_stored_array_behaves_as_an_array(written: Path) -> None:
    step = read_recordings(written)[0].step
    assert (len(step), step.shape, step.dtype) == (37, (37,), np.dtype("<i8"))
    assert np.asarray(step, dtype=np.float32).dtype == np.float32
    assert list(step) == np.asarray(step).tolist()
    with pytest.raises(IndexError):
        step[37]
    assert repr(step) == "StoredArray(recordings.h5:/record0/step, shape (37,), int64)"


def test_the_rows_of_a_presentation_are_found(written: Path) -> None:
    found = read_recordings(written)[0]
    assert [found.rows(number) for number in (0, 1, 3)] == [slice(0, 10), slice(10, 20), slice(30, 37)]
    assert found.rows(4) == slice(37, 37)
    assert set(found.presentation[found.rows(2)].tolist()) == {2}


def test_the_repr_says_what_was_recorded(written: Path) -> None:
    assert repr(read_recordings(written)[0]) == (
        "Recording(layer 1, states: 37 rows of 2 compartments x 2 chips x 2 samples x 3 units)"
    )


def test_every_array_of_numbers_has_its_unit(written: Path) -> None:
    units: dict[str, str] = {}
    with h5py.File(written) as file:
        file.visititems(
            lambda name, item: units.__setitem__(name, item.attrs["unit"]) if isinstance(item, h5py.Dataset) else None
        )
    assert units["record0/time"] == "seconds"
    assert len(units) == 2 * 7


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(InputError, match=f"{path}: no such file; a run whose scenario has a 'record'"):
            read_recordings(path)


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(written: Path, keep: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="damaged or not an HDF5 file"):
        read_recordings(written)


def test_a_file_that_went_away_is_named_when_its_numbers_are_asked_for(written: Path) -> None:
    values: StoredArray = read_recordings(written)[0].values
    written.unlink()
    with pytest.raises(InputError, match="no such file"):
        values[0]


def test_another_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not of the format 'analogdp recordings'"):
        read_recordings(path)


def test_a_newer_format_is_refused_with_both_versions(written: Path) -> None:
    with h5py.File(written, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(InputError, match=r"format version 2, but .* up to 1"):
        read_recordings(written)


def _drop_a_record(file: h5py.File) -> None:
    del file["record1"]


def _drop_the_steps(file: h5py.File) -> None:
    del file["record0/step"]


def _claim_another_layout(file: h5py.File) -> None:
    file["record0"].attrs["samples"] = 3


def _lose_rows(file: h5py.File) -> None:
    del file["record0/time"]
    file["record0/time"] = np.zeros(5)


def _write_words_for_numbers(file: h5py.File) -> None:
    file["record0"].attrs["layer"] = "first"


@pytest.mark.parametrize(
    "damage", [_drop_a_record, _drop_the_steps, _claim_another_layout, _lose_rows, _write_words_for_numbers]
)
def test_a_file_with_missing_or_impossible_parts_is_refused(written: Path, damage: Any) -> None:
    with h5py.File(written, "a") as file:
        damage(file)
    with pytest.raises(InputError, match="damaged"):
        read_recordings(written)


def test_a_full_disk_is_told_of_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    spool, _ = spooled(tmp_path, STATES, 37)
    with pytest.raises(OSError, match=r"recordings\.h5'$"), full_disk(5000):
        write_recordings(tmp_path / "recordings.h5", "small", [spool])
    assert list(tmp_path.iterdir()) == [spool.path]
