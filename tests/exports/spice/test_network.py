"""Trained networks of 4, 8 and 3 units as circuits that settle in ngspice, against the package's own simulation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import Simulation
from analogdp.dynamics.continuous import Continuous
from analogdp.errors import InputError
from analogdp.exports.spice.crossbar import Circuit, write_crossbar
from analogdp.exports.spice.dialects import DIALECTS
from analogdp.exports.spice.netlist import Netlist
from analogdp.exports.spice.network import (
    Presentation,
    left_out,
    presentation,
    settled_states,
    why_no_dyads,
    write_network,
)
from analogdp.network import Network, build
from analogdp.scenario.schema import Scenario
from tests.exports.spice.simulators import needs_ngspice, run, waves

MakeScenario = Callable[..., Scenario]

RESULTS = "results.txt"
LOOKS = 20
"""Looks at the package's own simulation in the shortest time constant, between which a cubic spline is exact to 1e-6."""

NEURONS: dict[str, dict[str, Any]] = {
    "dp_transposed": {"neuron": {"model": "dp_transposed", "beta": 0.5}},
    "dp": {"neuron": {"model": "dp", "alpha": 0.3, "beta": 0.5}},
    "cross-entropy": {
        "neuron": {"model": "dp_transposed", "alpha": 0.3, "activation": "tanh"},
        "network": {"loss": "cross_entropy"},
    },
    "dp with cross-entropy": {
        "neuron": {"model": "dp", "alpha": 0.3, "output": "linearised"},
        "network": {"loss": "cross_entropy"},
    },
    "mismatch": {
        "neuron": {"model": "dp_transposed", "alpha": 0.4, "activation": "leaky_relu"},
        "mismatch": {"tau": 0.2, "gain": 0.1, "offset": 0.05, "push": 0.05, "pull": 0.05, "mixing": 0.05},
    },
    "taus": {"neuron": {"model": "dp_transposed"}, "mismatch": {"tau": {"compartments": 0.2}}},
    "random feedback": {"neuron": {"model": "dp", "activation": "hard_sigmoid", "beta": 0.2}, "feedback": "random"},
    "wires": {
        "synapse": {
            "model": "crossbar",
            "tile": "4x4",
            "wires": {"word_line": "20 ohm", "bit_line": "30 ohm", "sense": 50.0},
        }
    },
    "hopfield": {"neuron": "hopfield", "learning": {"mode": "equilibrium_propagation", "epochs": 1}},
}


def trained(scenario: Scenario, updates: int = 5) -> Network:
    """A network of one chip after some updates, with biases that are not 0."""
    network = build(scenario)
    trainer = registry.trainers.get(scenario.learning.mode)(scenario, network, load(scenario.data, scenario.seed))
    for _ in range(updates):
        trainer.advance()
    return network


def write_deck(network: Network, scenario: Scenario, shown: Presentation, path: Path) -> None:
    netlist = Netlist(DIALECTS["ngspice"], "a network")
    paths = zip(network.synapses, network.feedback_paths, strict=True)
    for number, (synapse, feedback) in enumerate(paths):
        write_crossbar(netlist, f"layer{number}_up", Circuit.of(synapse), "up")
        write_crossbar(netlist, f"layer{number}_down", Circuit.of(synapse), "down")
        if feedback is not None:
            write_crossbar(netlist, f"feedback{number}_up", Circuit.of(feedback), "up")
    write_network(netlist, network, scenario, shown, RESULTS, every_layer=True)
    netlist.end()
    netlist.write(path)


class Waves(NamedTuple):
    """States ``(times, compartments, units)`` of each layer, as ngspice and the package find them."""

    circuit: list[np.ndarray]
    package: list[np.ndarray]

    def furthest(self, rows: slice = slice(None)) -> float:
        pairs = zip(self.circuit, self.package, strict=True)
        return max(float(np.abs(one[rows] - other[rows]).max()) for one, other in pairs)


def settled(network: Network, scenario: Scenario, shown: Presentation, folder: Path) -> Waves:
    write_deck(network, scenario, shown, folder / "network.cir")
    run(folder / "network.cir")
    found = waves(folder / RESULTS)
    circuit = [
        np.stack([
            np.stack([found[f"v(layer{number}_{name}_{unit})"] for unit in range(layer.units)], -1)
            for name in layer.neuron.compartments
        ], 1)
        for number, layer in enumerate(network.layers, start=1)
    ]  # fmt: skip
    times, states = simulated(network, shown)
    return Waves(circuit, [CubicSpline(times, own)(found["time"]) for own in states])


def simulated(network: Network, shown: Presentation) -> tuple[np.ndarray, list[np.ndarray]]:
    """The package's own states at regular times, integrated to eight digits."""
    step = network.fastest_tau / LOOKS
    steps = int(np.ceil(shown.duration / step))
    clock = Continuous(registry.integrators.get("dopri5"), step, steps, None, rtol=1e-8, atol=1e-9)
    simulation = Simulation(network, clock)
    label = shown.target.double()[None, None] if shown.beta else None
    simulation.present(shown.inputs.double()[None, None], label, shown.beta)
    looks = [[layer.clone() for layer in simulation.state]]
    for _ in range(steps):
        simulation.advance(1)
        looks.append([layer.clone() for layer in simulation.state])
    return step * np.arange(steps + 1), [torch.stack(own)[:, :, 0, 0].numpy() for own in zip(*looks, strict=True)]


def crossbars(make_scenario: MakeScenario, **sections: Any) -> Scenario:
    return make_scenario((4, 8, 3), **{"synapse": {"model": "crossbar"}, **sections})


@needs_ngspice
@pytest.mark.parametrize("case", NEURONS)
def test_nudged_networks_move_and_rest_in_ngspice_as_they_do_here(
    make_scenario: MakeScenario, case: str, tmp_path: Path
) -> None:
    scenario = crossbars(make_scenario, **NEURONS[case])
    network = trained(scenario)
    found = settled(network, scenario, presentation(network, scenario, 1), tmp_path)
    size = max(float(np.abs(own).max()) for own in found.package)
    assert found.furthest() < 1e-4 * size
    assert found.furthest(slice(-1, None)) < 1e-6


@needs_ngspice
@pytest.mark.parametrize("case", ["dp", "hopfield"])
def test_free_networks_rest_where_inference_leaves_them(make_scenario: MakeScenario, case: str, tmp_path: Path) -> None:
    scenario = crossbars(make_scenario, **NEURONS[case])
    network = trained(scenario)
    shown = presentation(network, scenario, 2, beta=0.0)
    write_deck(network, scenario, shown, tmp_path / "network.cir")
    run(tmp_path / "network.cir")
    found, wanted = waves(tmp_path / RESULTS), settled_states(network, shown, True)
    assert {name: found[f"v({name})"][-1] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert "label" not in (tmp_path / "network.cir").read_text()


@needs_ngspice
@pytest.mark.parametrize("case", ["dp", "taus"])
def test_states_are_expected_where_they_are_when_a_presentation_ends_before_rest(
    make_scenario: MakeScenario, case: str, tmp_path: Path
) -> None:
    scenario = crossbars(make_scenario, **NEURONS[case])
    network = trained(scenario)
    shown = presentation(network, scenario, 1, duration=2.013e-6)
    write_deck(network, scenario, shown, tmp_path / "network.cir")
    run(tmp_path / "network.cir")
    found, wanted = waves(tmp_path / RESULTS), settled_states(network, shown, True)
    assert {name: found[f"v({name})"][-1] for name in wanted} == pytest.approx(wanted, rel=0, abs=1e-4)


@needs_ngspice
def test_beta_alpha_and_the_label_may_be_changed_in_the_deck(make_scenario: MakeScenario, tmp_path: Path) -> None:
    scenario = crossbars(make_scenario, **NEURONS["dp_transposed"])
    changed = crossbars(make_scenario, neuron={"model": "dp_transposed", "alpha": 0.2, "beta": 0.1})
    network, other = build(scenario), build(changed)
    write_deck(network, scenario, presentation(network, scenario, 0, label=0), tmp_path / "network.cir")
    text = (tmp_path / "network.cir").read_text()
    for source, before, after in (
        ("beta", 0.5, 0.1),
        ("alpha", 0.5, 0.2),
        ("label_0", 1.0, 0.0),
        ("label_2", 0.0, 1.0),
    ):
        assert f"V{source} {source} 0 {before}\n" in text
        text = text.replace(f"V{source} {source} 0 {before}\n", f"V{source} {source} 0 {after}\n")
    (tmp_path / "network.cir").write_text(text)
    run(tmp_path / "network.cir")
    found, wanted = waves(tmp_path / RESULTS), settled_states(other, presentation(other, changed, 0, label=2), True)
    assert {name: found[f"v({name})"][-1] for name in wanted} == pytest.approx(wanted, abs=1e-6)


def test_a_presentation_is_the_scenarios_unless_asked_otherwise(make_scenario: MakeScenario) -> None:
    scenario = crossbars(make_scenario, neuron={"beta": 0.25}, dynamics={"settle": {"at_most": "40 us"}})
    network = build(scenario)
    own, other = presentation(network, scenario, 1), presentation(network, scenario, 1, 0, 0.0, 1e-3)
    data = load(scenario.data, scenario.seed)
    assert torch.equal(own.inputs, data.test_inputs[1:2][0])
    assert (own.target.tolist(), own.beta, own.duration) == (data.test_targets[1:2][0].tolist(), 0.25, 40e-6)
    assert (other.target.tolist(), other.beta, other.duration) == ([1, 0, 0], 0.0, 1e-3)


def test_a_deck_lasts_until_the_network_is_at_rest(make_scenario: MakeScenario) -> None:
    scenario = crossbars(make_scenario, dynamics="sweep")
    network = build(scenario)
    shown = presentation(network, scenario, 0)
    states, later = (settled_states(network, each) for each in (shown, replace(shown, duration=2 * shown.duration)))
    assert 20e-6 < shown.duration < 40e-6
    assert states == pytest.approx(later, abs=1e-8)


@pytest.mark.parametrize(
    ("sample", "label", "message"),
    [
        (40, None, "sample 40 is not there; allowed: 0 to 39"),
        (0, 3, "label 3 is no class of the data; allowed: 0 to 2"),
    ],
)
def test_samples_and_classes_that_are_not_there_are_refused(
    make_scenario: MakeScenario, sample: int, label: int | None, message: str
) -> None:
    scenario = crossbars(make_scenario)
    with pytest.raises(InputError, match=message):
        presentation(build(scenario), scenario, sample, label)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"dynamics": {"axons": {"delay": {"bottom_up": "1 us"}}}}, "delays or thresholds"),
        ({"dynamics": "sweep", "neuron": {"model": "dp", "alpha": 0.3, "input_strength": 1.0}}, "clamped input"),
        ({"dynamics": "sweep", "neuron": "predictive_coding"}, "predictive_coding does not write"),
    ],
)
def test_what_dyads_in_a_deck_cannot_have_is_named(
    make_scenario: MakeScenario, sections: dict[str, Any], message: str
) -> None:
    (problem,) = why_no_dyads(crossbars(make_scenario, **sections))
    assert message in problem.message


def test_what_a_deck_does_without_is_named(make_scenario: MakeScenario) -> None:
    sections = {"noise": {"nudging": 0.01}, "neuron": {"model": "dp", "damping": "contraction"}, "dynamics": "sweep"}
    noise, clock, damping = left_out(crossbars(make_scenario, **sections))
    assert "noise (nudging)" in noise
    assert "clock: sweep" in clock
    assert "neuron.damping" in damping


@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_dialects_have_the_same_neurons(make_scenario: MakeScenario, dialect: str) -> None:
    scenario = crossbars(make_scenario, **NEURONS["cross-entropy"])
    network, texts = build(scenario), []
    netlist = Netlist(DIALECTS[dialect], "neurons")
    write_network(netlist, network, scenario, presentation(network, scenario, 0), RESULTS)
    lines = netlist.text().replace("\n+", "").splitlines()
    plain = "V=V(layer1_plus_0) - V(layer1_minus_0)"
    braced = "V={V(layer1_plus_0) - V(layer1_minus_0)}"
    texts = [line for line in lines if line.startswith("Blayer1_downward_0 ")]
    assert texts == [f"Blayer1_downward_0 layer1_downward_0 0 {braced if dialect == 'xyce' else plain}"]
    assert ".ic V(layer2_partition)=3" in lines
    assert "Clayer1_plus_0 layer1_plus_0 0 1e-09 IC=0.0" in lines
