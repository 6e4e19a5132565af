"""Folders for aihwkit, which must be compiled: checked with a double of what its sources say, or with itself where it is there.

The double knows the fields of the devices of version 1.2 (aihwkit.simulator.configs.devices) and the names of their hidden
parameters (src/rpucuda), cuts weights at the bounds of each device, and multiplies.
"""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analogdp.analysis.gradients import forward
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.exports.aihwkit import device_parameters
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream
from analogdp.synapses import CrossbarSettings
from tests.network.images import image_network, image_scenario, random

PULSED = {
    "dw_min",
    "dw_min_dtod",
    "dw_min_dtod_log_normal",
    "dw_min_std",
    "up_down",
    "up_down_dtod",
    "w_max",
    "w_max_dtod",
    "w_min",
    "w_min_dtod",
    "write_noise_std",
}
FIELDS = {
    "LinearStepDevice": {
        *("gamma_up", "gamma_down", "gamma_up_dtod", "gamma_down_dtod"),
        *("mean_bound_reference", "mult_noise"),
    },
    "SoftBoundsDevice": {"mult_noise"},
    "ExpStepDevice": {"A_up", "A_down", "gamma_up", "gamma_down", "a", "b", "dw_min_std_add", "dw_min_std_slope"},
    "PowStepDevice": {"pow_gamma", "pow_up_down", "pow_gamma_dtod", "pow_up_down_dtod"},
    "PiecewiseStepDevice": {"piecewise_up", "piecewise_down"},
}
"""Fields beside those of all, by the class of a device."""

HIDDEN = [
    "max_bound",
    "min_bound",
    "dwmin_up",
    "dwmin_down",
    "decay_scales",
    "diffusion_rates",
    "reset_bias",
    "drift_nu",
]
OWN_HIDDEN = {
    "LinearStepDevice": ["slope_up", "slope_down"],
    "SoftBoundsDevice": ["slope_up", "slope_down"],
    "PowStepDevice": ["gamma_up", "gamma_down"],
}

SECTIONS: dict[str, Any] = {
    "neuron": {"model": "dp_transposed", "activation": "tanh"},
    "synapse": {"model": "crossbar", "pair": "reference", "device": "ecram_mo"},
    "mismatch": {"gain": 0.1, "offset": 0.05},
}


class Device:
    def __init__(self, **fields: Any) -> None:
        assert set(fields) <= PULSED | FIELDS[type(self).__name__]


class AnalogLinear:
    def __init__(self, inputs: int, outputs: int, bias: bool, rpu_config: Any) -> None:
        assert not bias
        assert rpu_config.forward.is_perfect
        names = HIDDEN + OWN_HIDDEN.get(type(rpu_config.device).__name__, [])
        self.hidden = {name: torch.zeros(outputs, inputs) for name in names}
        self.weights = torch.zeros(outputs, inputs)

    def analog_tiles(self) -> Iterator[AnalogLinear]:
        yield self

    def get_hidden_parameters(self) -> dict[str, Tensor]:
        return dict(self.hidden)

    def set_hidden_parameters(self, hidden: dict[str, Tensor]) -> None:
        assert list(hidden) == list(self.hidden)
        self.hidden = {name: values.expand_as(self.weights) for name, values in hidden.items()}

    def set_weights(self, weights: Tensor) -> None:
        self.weights = weights.clamp(self.hidden["min_bound"], self.hidden["max_bound"])

    def __call__(self, rows: Tensor) -> Tensor:
        return rows @ self.weights.T


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Mapping[str, Any]]:
    """What the script of a folder defines, with aihwkit itself or the double."""

    def settings(device: Device) -> Any:
        return SimpleNamespace(device=device, forward=SimpleNamespace(), backward=SimpleNamespace())

    if importlib.util.find_spec("aihwkit") is None:
        devices = {name: type(name, (Device,), {}) for name in FIELDS}
        parts: dict[str, Any] = {"configs": SimpleNamespace(SingleRPUConfig=settings, **devices)}
        contents: dict[str, dict[str, Any]] = {"": {}, ".nn": {"AnalogLinear": AnalogLinear}, ".simulator": parts}
        for name, content in contents.items():
            module = ModuleType(f"aihwkit{name}")
            module.__dict__.update(content)
            monkeypatch.setitem(sys.modules, f"aihwkit{name}", module)
    monkeypatch.delitem(sys.modules, "stages", raising=False)

    def script(folder: Path) -> Mapping[str, Any]:
        monkeypatch.syspath_prepend(folder)
        return runpy.run_path(str(folder / "run.py"))

    return script


def written(network: Network, scenario: Scenario, folder: Path, **options: Any) -> Path:
    return export_network(network, scenario, exporter("aihwkit", **options), folder / "aihwkit")[0]


def assert_answers(defined: Mapping[str, Any], network: Network, inputs: Tensor) -> None:
    expected = forward(network, inputs.unsqueeze(0))[0].numpy()
    found = defined["answer"](*defined["load"](), inputs.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("device", ["ecram_mo", "gokmen_vlasov", "capacitor", {"card": "reram_es", "write_noise": 0}])
@pytest.mark.parametrize("pair", ["reference", "offset"])
def test_the_script_answers_as_the_package_does(
    make_scenario: Any, make_network: Any, tmp_path: Path, run: Any, device: Any, pair: str
) -> None:
    sections = {**SECTIONS, "synapse": {"model": "crossbar", "pair": pair, "device": device}}
    network = make_network((7, 5, 3), **sections)
    assert_answers(run(written(network, make_scenario((7, 5, 3), **sections), tmp_path)), network, random(6, 7))


def test_images_are_read_window_by_window(tmp_path: Path, run: Any) -> None:
    layers = ["2x8x8", {"conv": 3, "kernel": 3, "pool": {"of": "activity", "kind": "max"}}, {"conv": 4, "kernel": 2}, 5]
    network = image_network(layers, **SECTIONS)
    assert_answers(run(written(network, image_scenario(layers, **SECTIONS), tmp_path)), network, random(6, 128))


LAWS: dict[str, dict[str, Any]] = {
    "linear": {"card": "ecram_mo"},
    "soft_bounds": {"card": "reram_sb", "write_noise": 0},
    "constant": {"card": "gokmen_vlasov"},
}


@pytest.mark.parametrize("law", LAWS)
def test_a_pulse_by_the_exported_devices_moves_weights_as_a_pulse_of_the_package_does(
    make_scenario: Any, make_network: Any, tmp_path: Path, law: str
) -> None:
    """By aihwkit's law of a linear step, w <- w + (slope_up w + dwmin_up) and w <- w - (slope_down w + dwmin_down)."""
    device = {**LAWS[law], "cycle_noise": 0}
    sections = {**SECTIONS, "synapse": {"model": "crossbar", "pair": "reference", "device": device}}
    network = make_network((7, 5, 3), **sections)
    folder = written(network, make_scenario((7, 5, 3), **sections), tmp_path)
    with np.load(folder / "layer1.npz") as arrays:
        held = dict(arrays)
    crossbar = network.synapses[0]
    for sign, name in ((1.0, "up"), (-1.0, "down")):
        state = crossbar._state()
        before = state.variables["stored"].clone()
        crossbar.device.pulse(state, torch.full_like(before, sign), Stream(0, "pulse", (0,), dtype=torch.float64))
        slope = held.get(f"slope_{name}", 0.0)
        expected = held["weights"] + sign * (slope * held["weights"] + held[f"dwmin_{name}"])
        expected = expected.clip(held["min_bound"], held["max_bound"])
        np.testing.assert_allclose(state.variables["stored"][0, 0], expected, rtol=1e-6, atol=1e-9)
        state.variables["stored"].copy_(before)


COMMON = {
    "step": ("dw_min", 0.011),
    "step_spread": ("dw_min_dtod", 0.12),
    "cycle_noise": ("dw_min_std", 0.23),
    "asymmetry": ("up_down", 0.04),
    "asymmetry_spread": ("up_down_dtod", 0.05),
    "upper": ("w_max", 0.9),
    "upper_spread": ("w_max_dtod", 0.16),
    "lower": ("w_min", -0.8),
    "lower_spread": ("w_min_dtod", 0.17),
    "write_noise": ("write_noise_std", 0.18),
}
"""Names here and there of what all models have, and a number of its own for each."""

SLOPES = {
    "slope_up": ("gamma_up", 0.31),
    "slope_down": ("gamma_down", 0.32),
    "slope_up_spread": ("gamma_up_dtod", 0.33),
    "slope_down_spread": ("gamma_down_dtod", 0.34),
}
EXPONENTIAL = {
    "factor_up": ("A_up", 0.35),
    "factor_down": ("A_down", 0.36),
    "exponent_up": ("gamma_up", 12.0),
    "exponent_down": ("gamma_down", 13.0),
    "scale": ("a", 0.24),
    "offset": ("b", 0.27),
    "cycle_noise_offset": ("dw_min_std_add", 0.28),
    "cycle_noise_slope": ("dw_min_std_slope", 0.29),
}
FLAT = dict.fromkeys(("gamma_up", "gamma_down", "gamma_up_dtod", "gamma_down_dtod"), 0.0)
NODES = {"steps_up": [1.5, 1.0, 0.5], "steps_down": [0.4, 1.1, 1.4]}
POWERS = {"exponent_up": 3.0, "exponent_down": 1.0, "exponent_spread": 0.37}


@pytest.mark.parametrize(
    ("model", "named", "parameters", "kind", "wanted"),
    [
        ("constant", {}, {}, "LinearStepDevice", {**FLAT, "mean_bound_reference": False, "mult_noise": True}),
        ("linear", SLOPES, {}, "LinearStepDevice", {"mean_bound_reference": False, "mult_noise": True}),
        (
            "linear",
            SLOPES,
            {"cycle_noise_form": "additive"},
            "LinearStepDevice",
            {"mean_bound_reference": False, "mult_noise": False},
        ),
        ("soft_bounds", {}, {}, "SoftBoundsDevice", {"mult_noise": True}),
        ("soft_bounds", {}, {"cycle_noise_form": "additive"}, "SoftBoundsDevice", {"mult_noise": False}),
        ("exponential", EXPONENTIAL, {}, "ExpStepDevice", {}),
        (
            "power",
            {},
            POWERS,
            "PowStepDevice",
            {"pow_gamma": 2.0, "pow_up_down": 0.5, "pow_gamma_dtod": 0.37, "pow_up_down_dtod": 0.0},
        ),
        (
            "piecewise",
            {},
            NODES,
            "PiecewiseStepDevice",
            {"piecewise_up": NODES["steps_up"], "piecewise_down": NODES["steps_down"]},
        ),
    ],
)
@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
def test_devices_have_the_parameters_of_their_counterparts(
    model: str, named: Any, parameters: dict[str, Any], kind: str, wanted: dict[str, Any], distribution: str
) -> None:
    numbers = COMMON | named
    own = {name: value for name, (_, value) in numbers.items()} | parameters | {"step_distribution": distribution}
    ends = {"low": 1e-6, "high": 1e-4}
    card = {"name": "own", "model": model, "material": "x", "source": "y", **ends, "parameters": own}
    found = device_parameters(CrossbarSettings.model_validate({"model": "crossbar", "device": card}))
    there = {"dw_min_dtod_log_normal": distribution == "lognormal", **dict(numbers.values()), **wanted}
    assert found == {"class": kind, "parameters": there}
    assert set(there) <= PULSED | FIELDS[kind]


@pytest.mark.parametrize(
    ("synapse", "refusal"),
    [
        ({"device": "vteam_example"}, "no counterpart of the model 'vteam' .*; it has constant, exponential, linear"),
        ({"device": "ecram_mo", "pair": "balanced"}, "synapse.pair: balanced has others; use reference or offset"),
        ({"device": "ecram_mo", "unit": {"devices": 2}}, "synapse.unit has several"),
        ({"device": {"card": "reram_es", "cycle_noise_form": "additive"}}, "no additive noise of steps"),
        ({"device": "reram_sb"}, r"cannot hold the write noise of the crossbars; .* lossy=\[write_noise\]"),
        ({"device": "ecram_mo", "adc": {"bits": 8}}, r"cannot hold the converters .* lossy=\[converters\]"),
        ({"device": "ecram_mo", "wires": {}}, r"cannot hold the wires .* lossy=\[wires\]"),
        ({"device": {"card": "capacitor", "lifetime": "1 s"}}, r"lossy=\[imperfections\]"),
        ({"device": {"card": "capacitor", "read_noise": 0.01}}, r"the read noise of .* lossy=\[read_noise\]"),
    ],
)
def test_what_aihwkit_does_not_have_is_refused_with_the_scenario(
    make_scenario: Any, synapse: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(ValueError, match=refusal):
        make_scenario((7, 5, 3), synapse={"model": "crossbar", **synapse}, export=["aihwkit"])


def test_what_may_be_lost_is_left_out(make_scenario: Any, make_network: Any, tmp_path: Path, run: Any) -> None:
    synapse = {"model": "crossbar", "pair": "reference", "device": "reram_sb", "adc": {"bits": 8}}
    sections = {**SECTIONS, "synapse": synapse}
    network = make_network((7, 5, 3), **sections)
    scenario = make_scenario((7, 5, 3), **sections)
    with pytest.raises(InputError, match="cannot hold the converters"):
        written(network, scenario, tmp_path)
    folder = written(network, scenario, tmp_path, lossy=["converters", "write_noise"])
    assert json.loads((folder / "crossbars.json").read_text())["device"]["parameters"]["write_noise_std"] == 56
    assert json.loads((folder / "network.json").read_text())["without"] == ["converters", "write noise"]
    run(folder)["load"]()


def test_measured_cells_are_refused_and_nothing_is_left(make_scenario: Any, make_network: Any, tmp_path: Path) -> None:
    network = make_network((7, 5, 3), **SECTIONS)
    crossbar = network.synapses[1]
    crossbar.hold(crossbar._state().variables["stored"] * 1e-5 + 5e-5, crossbar.reference)
    with pytest.raises(InputError, match="aihwkit: layer 2: its cells were measured"):
        written(network, make_scenario((7, 5, 3), **SECTIONS), tmp_path)
    assert not list(tmp_path.iterdir())


def test_cells_with_faults_are_held_as_if_they_had_none_where_that_may_be(
    make_scenario: Any, make_network: Any, tmp_path: Path, run: Any
) -> None:
    device = {"card": "ecram_mo", "faults": {"stuck_off": 0.2}}
    sections = {**SECTIONS, "synapse": {**SECTIONS["synapse"], "device": device}}
    folder = written(
        make_network((7, 5, 3), **sections), make_scenario((7, 5, 3), **sections), tmp_path, lossy=["imperfections"]
    )
    run(folder)["load"]()
