"""Converted data, kept."""

import os

import numpy as np
import pytest

from analogdp.data.cache import cache_directory, converted
from analogdp.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANALOGDP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"content")
    return path


def batches(calls=None, first=0):
    """Three batches of two samples of four numbers; ``calls`` counts how often they are read."""
    if calls is not None:
        calls.append(None)
    for number in range(3):
        labels = np.array([2 * number, 2 * number + 1])
        yield (labels[:, None] + np.arange(4) + first).astype(np.uint8), labels


def test_batches_become_one_array_mapped_into_memory(source):
    inputs, labels = converted("small", [source], (6, 4), batches())
    assert isinstance(inputs, np.memmap)
    assert inputs.tolist() == [[row, row + 1, row + 2, row + 3] for row in range(6)]
    assert labels.tolist() == list(range(6))


def test_what_is_kept_is_not_made_again(source):
    calls = []
    for _ in range(2):
        inputs, _ = converted("small", [source], (6, 4), batches(calls))
    assert len(calls) == 1
    assert inputs[5].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("change", ["size", "time", "path"])
def test_what_is_kept_is_made_again_when_its_source_has_changed(source, change):
    converted("small", [source], (6, 4), batches())
    if change == "size":
        source.write_bytes(b"more content")
    elif change == "time":
        os.utime(source, ns=(0, 0))
    else:
        source = source.rename(source.parent / "moved")
    inputs, _ = converted("small", [source], (6, 4), batches(first=100))
    assert inputs[0, 0] == 100


@pytest.mark.parametrize("samples", [5, 7])
def test_another_number_of_samples_is_refused_and_nothing_is_kept(cache, source, samples):
    with pytest.raises(InputError, match=f"{source}: 6 samples; expected {samples}"):
        converted("small", [source], (samples, 4), batches())
    assert list((cache / "small").iterdir()) == []


def test_nothing_is_kept_of_a_source_that_is_damaged_in_the_middle(cache, source):
    def damaged():
        yield from batches()
        raise InputError("the source is damaged")

    with pytest.raises(InputError, match="the source is damaged"):
        converted("small", [source], (8, 4), damaged())
    assert list((cache / "small").iterdir()) == []


def test_a_cache_that_cannot_be_written_to_is_named(cache, source):
    cache.write_bytes(b"a file")
    with pytest.raises(
        InputError, match=rf"small cannot be kept in {cache}/small .* name another folder by \$ANALOGDP_CACHE"
    ):
        converted("small", [source], (6, 4), batches())


def test_a_kept_array_that_was_damaged_is_named(cache, source):
    converted("small", [source], (6, 4), batches())
    (path,) = (cache / "small").glob("*-inputs.npy")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match=f"{path} or its labels are damaged"):
        converted("small", [source], (6, 4), batches())


def test_the_systems_place_for_caches_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("ANALOGDP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory().name == "analogdp"
