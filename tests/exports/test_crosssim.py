"""Folders for CrossSim, which is not on the package index: checked with a double of what its documentation promises.

The double knows the names of its parameters (simulator/parameters of version 3.2) and maps a matrix to conductances as a balanced
one-sided core without errors does, in single precision; it has no parasitic resistances.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.analysis.gradients import forward
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from tests.network.images import image_network, image_scenario, random

KNOWN: dict[str, Any] = {
    "core": {
        "style": str,
        "rows_max": int,
        "cols_max": int,
        "balanced": {"style": str},
        "mapping": {
            "weights": {
                "clipping": bool,
                "min": float,
                "max": float,
                "percentile": type(None),
                "row_partition_strategy": str,
                "col_partition_strategy": str,
            }
        },
    },
    "xbar": {
        "device": {"Rmin": float, "infinite_on_off_ratio": bool, "cell_bits": int},
        "array": {
            "parasitics": {
                "enable": bool,
                "Rp_row": float,
                "Rp_col": float,
                "Rp_row_terminal": float,
                "Rp_col_terminal": float,
                "current_from_input": bool,
            }
        },
    },
}
"""Parameters that the export may write, and of which type."""

SECTIONS: dict[str, Any] = {
    "neuron": {"model": "dp_transposed", "activation": "tanh"},
    "synapse": {"model": "crossbar", "pair": "balanced", "tile": "4x3"},
    "mismatch": {"gain": 0.1, "offset": 0.05},
}


def assert_known(parameters: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        assert name in known
        if isinstance(value, dict):
            assert_known(value, known[name])
        else:
            assert isinstance(value, known[name])


class CrossSimParameters:
    def __init__(self, core: dict[str, Any], xbar: dict[str, Any]) -> None:
        assert_known({"core": core, "xbar": xbar}, KNOWN)
        self.core, self.xbar = core, xbar

    @classmethod
    def from_json(cls, path: Path) -> CrossSimParameters:
        return cls(**json.loads(path.read_text()))


class AnalogCore:
    def __init__(self, matrix: Any, parameters: CrossSimParameters) -> None:
        assert matrix.ndim == 2
        assert 1 not in matrix.shape
        weights, device = parameters.core["mapping"]["weights"], parameters.xbar["device"]
        assert parameters.core["style"] == "BALANCED"
        assert parameters.core["balanced"]["style"] == "ONE_SIDED"
        assert device["infinite_on_off_ratio"]
        self.highest = weights["max"]
        self.plus = (np.clip(matrix, weights["min"], weights["max"]) / self.highest).astype(np.float32)
        assert ((self.plus >= 0) & (self.plus <= 1)).all()
        assert device["Rmin"] == pytest.approx(1 / self.highest)

    def __matmul__(self, columns: Any) -> Any:
        return self.highest * (self.plus @ columns)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Mapping[str, Any]]:
    """What the script of a folder defines, with the double in place of CrossSim."""
    double = ModuleType("simulator")
    double.__dict__.update(AnalogCore=AnalogCore, CrossSimParameters=CrossSimParameters)
    monkeypatch.setitem(sys.modules, "simulator", double)
    monkeypatch.delitem(sys.modules, "stages", raising=False)

    def script(folder: Path) -> Mapping[str, Any]:
        monkeypatch.syspath_prepend(folder)
        return runpy.run_path(str(folder / "run.py"))

    return script


def written(network: Network, scenario: Scenario, folder: Path, **options: Any) -> Path:
    return export_network(network, scenario, exporter("crosssim", **options), folder / "crosssim")[0]


def assert_answers(defined: Mapping[str, Any], network: Network, inputs: torch.Tensor) -> None:
    expected = forward(network, inputs.unsqueeze(0))[0].numpy()
    found = defined["answer"](*defined["load"](), inputs.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("pair", ["reference", "balanced", "offset_column"])
def test_the_script_answers_as_the_package_does(
    make_scenario: Any, make_network: Any, tmp_path: Path, run: Any, pair: str
) -> None:
    sections = {**SECTIONS, "synapse": {**SECTIONS["synapse"], "pair": pair}}
    network = make_network((7, 5, 3), **sections)
    assert_answers(run(written(network, make_scenario((7, 5, 3), **sections), tmp_path)), network, random(6, 7))


@pytest.mark.parametrize(
    "activation", ["relu", {"name": "leaky_relu", "slope": 0.3}, "hard_sigmoid", "logistic", "identity", "step"]
)
def test_every_activation_answers_as_the_package_does(
    make_scenario: Any, make_network: Any, tmp_path: Path, run: Any, activation: Any
) -> None:
    sections = {**SECTIONS, "neuron": {"model": "dp_transposed", "activation": activation}}
    network = make_network((7, 5, 3), **sections)
    assert_answers(run(written(network, make_scenario((7, 5, 3), **sections), tmp_path)), network, random(6, 7))


@pytest.mark.parametrize("sign", [0, 1], ids=["plus", "minus"])
def test_a_cell_beyond_the_range_of_its_card_is_held_as_it_is(
    make_scenario: Any, make_network: Any, tmp_path: Path, run: Any, sign: int
) -> None:
    network = make_network((7, 5, 3), **SECTIONS)
    table = network.synapses[0].conductances()
    cells = torch.stack((table.plus, table.minus), 1)
    cells[0, sign, 2, 3] = 2 * table.high
    network.synapses[0].hold(cells, None)
    assert_answers(run(written(network, make_scenario((7, 5, 3), **SECTIONS), tmp_path)), network, random(6, 7))


@pytest.mark.parametrize("kind", ["max", "average", "quadratic_mean"])
def test_images_are_read_window_by_window(tmp_path: Path, run: Any, kind: str) -> None:
    layers = [
        "2x8x8",
        {"conv": 3, "kernel": 3, "padding": 1, "pool": {"of": "drive", "kind": kind}},
        {"conv": 4, "kernel": 2, "stride": 1, "pool": {"of": "activity", "kind": kind, "size": 3}},
        5,
    ]
    network = image_network(layers, **SECTIONS)
    folder = written(network, image_scenario(layers, **SECTIONS), tmp_path)
    assert_answers(run(folder), network, random(6, 128))


def test_conductances_are_those_of_the_cells_in_siemens_by_bit_line_and_word_line(
    make_scenario: Any, make_network: Any, tmp_path: Path
) -> None:
    network = make_network((7, 5, 3), **SECTIONS)
    folder = written(network, make_scenario((7, 5, 3), **SECTIONS), tmp_path)
    table = network.synapses[0].conductances()
    np.testing.assert_array_equal(np.load(folder / "layer1_plus.npy"), table.plus[0].numpy())
    np.testing.assert_array_equal(np.load(folder / "layer1_minus.npy"), table.minus[0].numpy())
    parameters = json.loads((folder / "layer1.json").read_text())
    assert (parameters["core"]["rows_max"], parameters["core"]["cols_max"]) == (4, 3)
    assert "scenario" in json.loads((folder / "network.json").read_text())


def test_a_terminal_of_crosssim_is_what_a_source_has_beyond_one_stretch_of_line(
    make_scenario: Any, make_network: Any, tmp_path: Path
) -> None:
    wires = {"word_line": 2.0, "bit_line": 1.5, "source": 100.0, "sense": 50.0}
    sections = {**SECTIONS, "synapse": {**SECTIONS["synapse"], "wires": wires}}
    folder = written(make_network((7, 5, 3), **sections), make_scenario((7, 5, 3), **sections), tmp_path)
    parameters = json.loads((folder / "layer2.json").read_text())
    CrossSimParameters(**parameters)
    assert parameters["xbar"]["array"]["parasitics"] == {
        "enable": True,
        "Rp_row": 2.0,
        "Rp_col": 1.5,
        "Rp_row_terminal": 98.0,
        "Rp_col_terminal": 48.5,
        "current_from_input": True,
    }


@pytest.mark.parametrize(
    ("synapse", "kind"),
    [
        ({"adc": {"bits": 8}}, "converters"),
        ({"device": "pcm_gst", "pair": "one_sided"}, "read_noise"),
        ({"wires": {"word_line": 2.0}}, "wires"),
    ],
)
def test_what_would_be_lost_is_refused_with_the_scenario_unless_it_may_be(
    make_scenario: Any, synapse: dict[str, Any], kind: str
) -> None:
    synapse = {"model": "crossbar", **synapse}
    with pytest.raises(ValueError, match=rf"crosssim cannot hold .*; to export without: lossy=\[{kind}\]"):
        make_scenario((7, 5, 3), synapse=synapse, export=["crosssim"])
    make_scenario((7, 5, 3), synapse=synapse, export=[{"format": "crosssim", "lossy": [kind]}])


def test_a_layer_of_one_line_is_refused_and_nothing_is_left(
    make_scenario: Any, make_network: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="layer 2 has a single line"):
        written(make_network((7, 1, 3), **SECTIONS), make_scenario((7, 1, 3), **SECTIONS), tmp_path)
    assert not list(tmp_path.iterdir())


def test_ideal_weights_are_refused(make_scenario: Any) -> None:
    with pytest.raises(ValueError, match="crosssim holds conductances"):
        make_scenario((7, 5, 3), export=["crosssim"])


def test_the_files_that_a_folder_brings_along_need_numpy_only(
    make_scenario: Any, make_network: Any, tmp_path: Path
) -> None:
    folder = written(make_network((7, 5, 3), **SECTIONS), make_scenario((7, 5, 3), **SECTIONS), tmp_path)
    code = "import sys, pathlib, stages; stages.read_stages(pathlib.Path('.')); assert 'analogdp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
