"""Networks of dyads as folders of the format ``spice``: that they run as they are and settle where the package says."""

from pathlib import Path
from typing import Any

import pytest
import torch

from analogdp.errors import AnalogdpWarning, InputError
from analogdp.exports import export_network, exporter
from analogdp.network import build
from analogdp.scenario import Scenario
from tests.exports.spice.simulators import needs_ngspice, printed, run, waves

VTEAM = {"synapse": {"model": "crossbar", "device": "vteam_example"}}
UNSTABLE = {
    "neuron": {"model": "dp", "alpha": 0.0, "activation": "identity"},
    "network": {"layers": [4, 8, 1], "gain": 10.0},
    "synapse": {"model": "crossbar", "weight_range": 20.0},
}
CLASSES = {"data": "digits", "network": {"loss": "cross_entropy", "layers": [64, 4, 10]}}


def scenario(**sections: Any) -> Scenario:
    whole = {
        "data": {"name": "ones", "dimension": 4},
        "network": {"layers": [4, 8, 1]},
        "synapse": {"model": "crossbar"},
        "run": {"device": "cpu", "dtype": "float64"},
        **sections,
    }
    return Scenario.model_validate(whole)


def written(folder: Path, made: Scenario, **options: Any) -> Path:
    export_network(build(made, (0,)), made, exporter("spice", neurons="dyads", **options), folder / "deck")
    return folder / "deck"


@needs_ngspice
@pytest.mark.parametrize(
    ("sections", "options", "closeness"),
    [
        ({"feedback": "random"}, {}, 1e-9),
        ({"neuron": "dp"}, {"label": 1, "beta": 0.2, "states": "all"}, 1e-9),
        (VTEAM, {"cells": "memristors", "read_voltage": 0.01, "states": "all"}, 1e-8),
        (VTEAM | {"neuron": "hopfield", "learning": {"mode": "equilibrium_propagation"}}, {"beta": 0.0}, 1e-8),
    ],
    ids=["feedback", "label", "memristors", "hopfield"],
)
def test_the_deck_runs_as_it_is_and_settles_where_the_package_does(
    sections: dict[str, Any], options: dict[str, Any], closeness: float, tmp_path: Path
) -> None:
    folder = written(tmp_path, scenario(**sections), **options)
    run(folder / "network.cir")
    found = {name: values[-1] for name, values in waves(folder / "results.txt").items() if name != "time"}
    wanted = printed(folder / "expected.txt")
    assert len(wanted) > 0
    assert list(found) == list(wanted)
    assert found == pytest.approx(wanted, rel=0, abs=closeness)


@needs_ngspice
@pytest.mark.parametrize("seed", [0, 4])
def test_a_softmax_does_not_begin_with_a_division_by_zero(seed: int, tmp_path: Path) -> None:
    made = scenario(**CLASSES, seed=seed, neuron={"model": "dp", "alpha": 0.3, "output": "linearised"})
    network = build(made, (0,))
    bias = network.layers[-1].bias
    assert bias is not None
    bias.copy_(torch.linspace(-0.2, 0.2, 10))
    export_network(network, made, exporter("spice", neurons="dyads"), tmp_path / "deck")
    run(tmp_path / "deck" / "network.cir")
    last = {name: values[-1] for name, values in waves(tmp_path / "deck" / "results.txt").items() if name != "time"}
    assert last == pytest.approx(printed(tmp_path / "deck" / "expected.txt"), rel=0, abs=1e-8)


RESTLESS = {
    "neuron": {"model": "dp", "alpha": 0.0, "activation": "tanh"},
    "network": {"layers": [4, 8, 8, 1], "gain": 6.0},
    "synapse": {"model": "crossbar", "weight_range": 20.0},
    "feedback": "random",
}


def test_a_network_that_does_not_come_to_rest_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(AnalogdpWarning, match="does not come to rest within 200 of its slowest time constants"):
        folder = written(tmp_path, scenario(**RESTLESS))
    for name in ("network.cir", "README.txt"):
        assert "does not come to rest" in (folder / name).read_text()


def test_a_network_that_comes_to_rest_is_not_warned_of(tmp_path: Path) -> None:
    folder = written(tmp_path, scenario())
    for name in ("network.cir", "README.txt"):
        assert "does not come to rest" not in (folder / name).read_text()


def test_the_duration_is_the_length_of_the_transient(tmp_path: Path) -> None:
    folder = written(tmp_path, scenario(), duration="7 us")
    assert "\ntran 5e-08 7e-06 0 5e-08 uic\n" in (folder / "network.cir").read_text()


def test_what_dyads_do_without_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path, scenario(noise={"nudging": 0.1}, dynamics="sweep", neuron={"tau": "2 us"}))
    for name in ("network.cir", "README.txt"):
        text = (folder / name).read_text()
        assert "noise (nudging) is left out" in text
        assert "neuron.tau = 2e-06 s" in text


@pytest.mark.parametrize(
    ("sections", "options", "path"),
    [
        ({}, {"neurons": "dyads", "layer": 0}, "layer"),
        ({}, {"beta": 0.1}, "beta"),
        ({}, {"states": "all"}, "states"),
        ({"neuron": "dp"}, {"neurons": "dyads", "beta": 2.5}, "beta"),
        ({"neuron": "predictive_coding", "dynamics": "sweep"}, {"neurons": "dyads"}, "neurons"),
    ],
)
def test_what_does_not_go_together_is_refused_when_a_scenario_is_loaded(
    sections: dict[str, Any], options: dict[str, Any], path: str
) -> None:
    problems = exporter("spice", **options).settings.contradictions(scenario(**sections))
    assert [problem.path for problem in problems] == [path]


@pytest.mark.parametrize(
    ("sections", "options", "message"),
    [
        ({}, {"label": 2}, "label 2 is no class of the data; allowed: 0 to 1"),
        (UNSTABLE, {}, "does not settle"),
        ({"neuron": {"model": "dp", "alpha": 0.4}, **CLASSES}, {}, "closed form"),
        ({"neuron": "threshold", "noise": {"membrane": 0.5}}, {}, "has no equations"),
    ],
)
def test_what_has_no_deck_is_refused_and_nothing_written(
    sections: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, scenario(**sections), **options)
    assert not list(tmp_path.iterdir())
