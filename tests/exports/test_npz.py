"""The format ``npz``: numpy reads it without pickles, and finds what ``conductances.h5`` has."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.exports import export_network, exporter, read_conductances


@pytest.fixture
def sections() -> dict[str, Any]:
    synapse = {"model": "crossbar", "tile": "5x4", "pair": "balanced", "unit": {"devices": 2}}
    return {"synapse": synapse, "chips": 2}


def test_its_arrays_are_those_of_the_hdf5_file(
    tmp_path: Path, make_network: Any, make_scenario: Any, sections: Any
) -> None:
    network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
    for kind, name in (("npz", "c.npz"), ("hdf5", "c.h5")):
        export_network(network, scenario, exporter(kind), tmp_path / name)
    expected = read_conductances(tmp_path / "c.h5")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as found:
        units, about = json.loads(str(found["units"])), json.loads(str(found["about"]))
        assert set(units) | {"units", "about"} == set(found.files)
        for name in set(units):
            layer, _, kind = name.partition(".")
            np.testing.assert_array_equal(found[name], getattr(expected[int(layer.removeprefix("layer"))], kind))
    assert {"layer0.plus", "layer1.minus_target", "layer0.plus_devices", "layer0.biases"} <= set(units)
    assert units["layer0.plus"] == "siemens"
    assert (about["format_version"], about["layers"], about["chips"]) == (1, [8, 6, 4], [0, 1])
    assert about["crossbars"]["layer0"]["scale"] == expected[0].scale


def test_equal_networks_give_equal_bytes(tmp_path: Path, make_network: Any, make_scenario: Any, sections: Any) -> None:
    network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
    for name in ("a.npz", "b.npz"):
        export_network(network, scenario, exporter("npz"), tmp_path / name)
        time.sleep(2.1)  # archives store times in steps of two seconds, where they do
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_ideal_weights_are_refused(tmp_path: Path, make_network: Any, make_scenario: Any) -> None:
    with pytest.raises(InputError, match=r"npz holds conductances, and synapse\.model: ideal has none"):
        export_network(make_network(), make_scenario(), exporter("npz"), tmp_path / "c.npz")
    assert list(tmp_path.iterdir()) == []
