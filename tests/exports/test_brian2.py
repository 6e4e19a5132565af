"""The exported script does in Brian2, without this package, what the free simulation does here, state by state.

All scripts run in one process, as Brian2 takes seconds to import. Differences are allowed to be 1e-12 times the largest state.
"""

import ast
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.api import run
from analogdp.data import load
from analogdp.dynamics import Simulation
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.network import build
from analogdp.scenario import Scenario
from analogdp.transfer import export
from tests.verification.scenarios import small

TOLERANCE = 1e-12

DOUBLE = {"dtype": "float64", "device": "cpu"}
SPREAD = {"std": 0.2, "compartments": 0.1}
OWN_GAINS = {"tau": SPREAD, "gain": SPREAD, "offset": SPREAD}
MISMATCH = OWN_GAINS | {"alpha": 0.05}

CASES = {
    "transposed, of noise that is off": {"noise": {"membrane": 0.2, "nudging": 0.1, "conductance": {"std": 0.05}}},
    "dual propagation, Euler": {
        "neuron": {"model": "dp", "alpha": 0.3, "activation": "tanh"},
        "dynamics": {"integrator": "euler", "dt": "0.3 us"},
    },
    "proximal outputs of cross-entropy": {
        "layers": (6, 4, 3),
        "neuron": {"model": "dp", "activation": "logistic"},
        "network": {"loss": "cross_entropy"},
    },
    "mismatch": {"layers": (6, 4, 3), "neuron": {"alpha": 0.2, "activation": "leaky_relu"}, "mismatch": MISMATCH},
    "mismatch, feedback of its own": {
        "neuron": {"model": "dp", "activation": "hard_sigmoid"},
        "mismatch": MISMATCH,
        "feedback": "random",
    },
    "hopfield": {
        "neuron": {"model": "hopfield", "activation": "logistic"},
        "mismatch": OWN_GAINS,
        "learning": "equilibrium_propagation",
    },
    "no hidden layers and no biases": {"layers": (6, 3), "network": {"bias": False}},
    "crossbar with wires": {
        "layers": (6, 4, 3),
        "synapse": {"model": "crossbar", "device": "ecram_mo", "pair": "balanced", "tile": "4x3", "wires": {}},
    },
}

DRIVER = """
import os, runpy, sys
for folder in sys.argv[1:]:
    script = os.path.join(folder, "network.py")
    sys.argv = [script, "--save", os.path.join(folder, "found.npz")]
    print("script", folder)
    runpy.run_path(script, run_name="__main__")
print("modules", {"analogdp", "torch"} & set(sys.modules))
"""


def scenario_of(**sections):
    """A small one in double precision, with weights that are large enough to differ."""
    network = {"gain": 1.5} | sections.pop("network", {})
    return small(**{"run": DOUBLE, "network": network} | sections)


def exported(scenario, folder, **options):
    network = build(scenario)
    for number, layer in enumerate(network.layers):
        if layer.bias is not None:
            layer.bias.copy_(torch.linspace(-0.2, 0.3, layer.units) + 0.1 * number)
    export_network(network, scenario, exporter("brian2", **options), folder)
    return network


def run_scripts(*folders, place):
    """What the scripts print, folder by folder, what they imported, and what Brian2 warned of."""
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, *map(str, folders)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True, timeout=600)
    *parts, last = re.split(r"^script .*\n|^modules ", done.stdout, flags=re.MULTILINE)[1:]
    return parts, last.strip(), done.stderr


def simulated(scenario, network, samples):
    """This package's free simulation of the first test samples: states ``(samples, steps, units)`` by name, and outputs."""
    clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    simulation = Simulation(network, clock)
    inputs = load(scenario.data, scenario.seed).to("cpu", network.dtype).test_inputs[:256].unsqueeze(0)
    simulation.present(inputs)
    steps = simulation.settle().steps
    simulation.present(inputs)
    looks = []
    for _ in range(steps):
        simulation.advance(1)
        looks.append([layer[:, 0, :samples].clone() for layer in simulation.state])
    found = {}
    for number, own in enumerate(zip(*looks, strict=True)):
        states = torch.stack(own, 2)
        for name, values in zip(network.neurons[number].compartments, states, strict=True):
            found[f"layer{number + 1}.{name}"] = values.numpy()
    outputs = [network.neurons[-1].upward(look[-1].unsqueeze(1))[0] for look in looks]
    return found | {"outputs": torch.stack(outputs, 1).numpy()}


def regression(place):
    """A network that learns two numbers of three, with more test samples than go with the script."""
    rows = np.random.default_rng(2).normal(size=(40, 5))
    np.savetxt(place / "table.csv", rows, delimiter=",", header="a,b,c,y,z", comments="")
    data = {"name": "csv", "file": place / "table.csv", "task": "regression", "target": ["y", "z"]}
    return scenario_of(layers=(3, 4, 2), data=data)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """For every case: what the simulation finds, what Brian2 finds, and what the script prints."""
    place = tmp_path_factory.mktemp("brian2")
    folders = {name: place / str(number) for number, name in enumerate(CASES)}
    wanted = {}
    for name, sections in CASES.items():
        scenario = scenario_of(**sections)
        wanted[name] = simulated(scenario, exported(scenario, folders[name], samples=2), 2)
    printed, modules, warnings = run_scripts(*folders.values(), place=place)
    found = {name: dict(np.load(folder / "found.npz")) for name, folder in folders.items()}
    return wanted, found, dict(zip(CASES, printed, strict=True)), modules, warnings


@pytest.mark.parametrize("case", CASES)
def test_all_states_after_every_step_are_those_of_the_free_simulation(cases, case):
    wanted, found = cases[0][case], cases[1][case]
    assert found.keys() == wanted.keys()
    largest = max(1.0, *(np.abs(each).max() for each in wanted.values()))
    for name, states in wanted.items():
        np.testing.assert_allclose(found[name], states, rtol=0, atol=TOLERANCE * largest, err_msg=name)


def test_the_states_that_are_compared_move_and_differ_from_sample_to_sample(cases):
    for name in set(CASES) - {"no hidden layers and no biases"}:
        for states in cases[1][name].values():
            assert np.abs(np.diff(states, axis=1)).max() > 1e-3
            assert np.abs(np.diff(states, axis=0)).max() > 1e-3


def test_the_script_says_how_far_it_is_from_the_simulation(cases):
    for printed in cases[2].values():
        assert float(re.search(r"analogdp's outputs: (\S+)", printed)[1]) < TOLERANCE * 10


def test_the_script_needs_neither_this_package_nor_torch(cases):
    assert cases[3] == "set()"


def test_brian2_has_nothing_to_warn_of(cases):
    assert "WARNING" not in cases[4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("script") / "network"
    exported(scenario_of(mismatch=MISMATCH), place, samples=2)
    return place


def test_the_folder_holds_a_script_and_numbers_without_pickles(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["network.py", "weights.npz"]
    with np.load(folder / "weights.npz", allow_pickle=False) as numbers:
        assert all(numbers[name].dtype.kind in "fi" for name in numbers)


def test_equal_networks_give_equal_bytes(folder, tmp_path):
    exported(scenario_of(mismatch=MISMATCH), tmp_path / "again", samples=2)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_head_says_which_network_it_is_and_what_is_not_in_it(folder):
    head = " ".join(ast.get_docstring(ast.parse((folder / "network.py").read_text())).split())
    assert "'scenario', chip 0" in head
    assert "6-5-4-3 network of dp_transposed neurons" in head
    assert "Not in it: labels and nudging (outputs are free), learning, noise of any kind." in head


def test_the_script_is_formatted(folder):
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length=120", "--check", folder / "network.py"]
    assert subprocess.run(ruff, check=False, capture_output=True).returncode == 0


def test_free_outputs_have_no_parameters_of_nudging(folder):
    text = (folder / "network.py").read_text()
    outputs = text[text.index("# layer 3") : text.index("def join")]
    assert "push" not in outputs
    assert "label" not in outputs


def test_a_network_in_single_precision_is_the_same_within_it(tmp_path):
    scenario = scenario_of(run={"dtype": "float32", "device": "cpu"}, mismatch=MISMATCH)
    network = exported(scenario, tmp_path / "single")
    with np.load(tmp_path / "single" / "weights.npz") as numbers:
        outputs = simulated(scenario, network, 10)["outputs"][:, -1]
        np.testing.assert_allclose(numbers["outputs"], outputs, rtol=0, atol=1e-5)


def test_an_integrator_that_brian2_has_not_is_replaced_and_settles_at_the_same_outputs(tmp_path):
    tight = {"settle": {"tolerance": 1e-9, "at_most": "60 us"}}
    scenario = scenario_of(dynamics={"integrator": "rk4", **tight})
    network = exported(scenario, tmp_path / "rk4")
    text = (tmp_path / "rk4" / "network.py").read_text()
    assert 'METHOD = "euler"' in text
    assert "The run was integrated by rk4" in text
    with np.load(tmp_path / "rk4" / "weights.npz") as numbers:
        np.testing.assert_allclose(numbers["outputs"], simulated(scenario, network, 10)["outputs"][:, -1], atol=1e-7)


@pytest.mark.parametrize("chip", [0, 2])
def test_a_chip_is_that_chip(tmp_path, chip):
    scenario = scenario_of(chips=3, mismatch=MISMATCH)
    export_network(build(scenario), scenario, exporter("brian2", chip=chip), tmp_path / "of three")
    export_network(build(scenario, (chip,)), scenario, exporter("brian2", chip=chip), tmp_path / "alone")
    for name in ("network.py", "weights.npz"):
        assert (tmp_path / "of three" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


REFUSED = {
    "no time": ({"dynamics": "sweep"}, "dynamics.clock: sweep has no time"),
    "random clocks": ({"dynamics": "poisson"}, "dynamics.clock: poisson is a matter of dice"),
    "delays": ({"dynamics": {"axons": {"delay": "1 us"}}}, "dynamics.axons: messages arrive at once"),
    "events": ({"dynamics": {"axons": {"threshold": 0.1}}}, "dynamics.axons: messages arrive at once"),
    "images": ({"data": "digits", "network": {"layers": ["1x8x8", {"conv": 2, "kernel": 3}, 10]}}, "network.layers: "),
    "converters": (
        {"synapse": {"model": "crossbar", "dac": {"bits": 6}}},
        "synapse.dac: Brian2 reads weights exactly; in the scenario, use synapse.dac=null, or to export without: "
        "lossy=[converters]",
    ),
    "untied": ({"neuron": "untied"}, "neuron.model: untied has no equations"),
    "backpropagation": ({"neuron": "backpropagation"}, "neuron.model: backpropagation has no equations"),
    "threshold": ({"neuron": "threshold"}, "neuron.model: threshold has no equations"),
    "predictive coding": ({"neuron": "predictive_coding"}, "neuron.model: predictive_coding has no equations"),
    "many synapses": ({"network": {"layers": [64, 2000, 2000, 10]}}, "network.layers: 8040000 synapses"),
}


def test_converters_that_may_be_lost_are_left_out_and_named_at_the_head(tmp_path):
    scenarios = [
        scenario_of(synapse={"model": "crossbar", **converters})
        for converters in ({}, {"adc": {"bits": 4}, "dac": {"bits": 4}})
    ]
    for scenario, name in zip(scenarios, ("without", "with"), strict=True):
        exported(scenario, tmp_path / name, lossy=["converters"])
        head = " ".join(ast.get_docstring(ast.parse((tmp_path / name / "network.py").read_text())).split())
        assert ("noise of any kind, converters of the crossbars. Samples" in head) == (name == "with")
    one, other = (dict(np.load(tmp_path / name / "weights.npz")) for name in ("without", "with"))
    assert all(np.array_equal(values, other[name]) for name, values in one.items())


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_of_a_run_names_no_settings_of_scenarios_as_options_of_the_command(case, tmp_path):
    scenario = Scenario.model_validate(REFUSED[case][0])
    refusals = [str(problem) for problem in exporter("brian2").settings.contradictions(scenario)]
    assert refusals
    assert not any("--set" in refusal for refusal in refusals)


@pytest.mark.parametrize("case", REFUSED)
def test_what_brian2_has_no_equations_for_is_refused_before_anything_is_simulated(case):
    sections, refusal = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(refusal)):
        Scenario.model_validate(sections | {"export": ["brian2"]})


def test_what_is_refused_of_a_scenario_is_refused_of_a_run(tmp_path):
    scenario = small(dynamics="sweep")
    with pytest.raises(InputError, match=r"brian2 cannot hold dynamics\.clock: sweep has no time"):
        export_network(build(scenario), scenario, exporter("brian2"), tmp_path / "network")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("samples", "refusal"), [(0, "allowed"), (257, "allowed"), (41, "allowed: 1 to 40")])
def test_samples_that_there_are_not_are_refused(tmp_path, samples, refusal):
    scenario = small()
    with pytest.raises(InputError, match=f"samples.*{samples}.*{refusal}"):
        export_network(build(scenario), scenario, exporter("brian2", samples=samples), tmp_path / "network")


def test_more_states_than_brian2_should_keep_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("analogdp.exports.brian2.exporter.MOST_NUMBERS", 1000)
    scenario = small()
    with pytest.raises(InputError, match=r"allowed: up to 1000\. Take fewer samples"):
        export_network(build(scenario), scenario, exporter("brian2"), tmp_path / "network")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_predicted_as_it_was_tested(tmp_path):
    dynamics = {"dt": "0.5 us", "settle": {"tolerance": None, "at_most": "3 us"}}
    sections = {"dynamics": dynamics, "mismatch": MISMATCH, "noise": {"membrane": 0.3}, "export": ("brian2",)}
    scenario = small((6, 4, 3), learning={"epochs": 2, "batch": 10}, **sections)
    result = run(scenario, out=tmp_path / "run")
    assert (result.directory / "brian2" / "network.py").is_file()
    export(result, "brian2", tmp_path / "all", samples=40)
    (printed,), *_ = run_scripts(tmp_path / "all", place=tmp_path)
    right = int(re.search(r"^(\d+) of 40 right$", printed, re.MULTILINE)[1])
    assert right == round(40 * result.accuracy_noise_free)
    assert right > 0


def test_a_regression_is_shown_with_the_numbers_that_were_wanted_of_these_samples(tmp_path):
    scenario = regression(tmp_path)
    exported(scenario, tmp_path / "network", samples=2)
    (printed,), *_ = run_scripts(tmp_path / "network", place=tmp_path)
    wanted = [list(map(float, each.split())) for each in re.findall(r"wanted \[(.*)\]", printed)]
    targets = load(scenario.data, scenario.seed).to("cpu", torch.float64).test_targets
    assert len(targets) > 4
    np.testing.assert_allclose(wanted, targets[:2], atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("option", [("--standalone", "program"), ("--target", "cython")])
def test_compiled_states_are_equal_up_to_rounding(tmp_path, option):
    if option[0] == "--standalone" and shutil.which("g++") is None:
        pytest.skip("needs g++")
    scenario = scenario_of(**CASES["mismatch, feedback of its own"])
    wanted = simulated(scenario, exported(scenario, tmp_path / "network", samples=2), 2)
    command = [sys.executable, "-W", "ignore", tmp_path / "network" / "network.py", *option, "--save", "found.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        for name, states in wanted.items():
            np.testing.assert_allclose(found[name], states, rtol=0, atol=TOLERANCE, err_msg=name)
