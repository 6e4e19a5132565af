"""NIR files hold what NIR has nodes for: read back, and run by other packages, they answer and move as the package's network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analogdp import registry
from analogdp.analysis.gradients import forward
from analogdp.dynamics import Simulation
from analogdp.dynamics.continuous import Continuous
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from tests.network.images import image_network, image_scenario, random

nir = pytest.importorskip("nir")
nirtorch = pytest.importorskip("nirtorch")

LINEAR: dict[str, Any] = {"model": "dp_transposed", "activation": "identity"}
STEP: dict[str, Any] = {"model": "dp_transposed", "activation": "step"}
MISMATCH = {"gain": 0.1, "offset": 0.05, "mixing": 0.1, "tau": 0.2}
IMAGES = [
    "1x8x8",
    {"conv": 3, "kernel": 3, "padding": 1, "pool": {"of": "drive", "kind": "average"}},
    {"conv": 4, "kernel": 2, "pool": {"of": "activity", "kind": "average", "size": 3}},
    5,
]
STRIDES = ["1x8x8", {"conv": 3, "kernel": 3, "stride": 2, "padding": 1}, {"conv": 4, "kernel": 2, "stride": 2}, 5]


def written(network: Network, scenario: Scenario, folder: Path, **options: Any) -> Any:
    """The graph as NIR's own reader finds it, types checked."""
    (path,) = export_network(network, scenario, exporter("nir", **options), folder / "network.nir")
    return nir.read(path)


@pytest.fixture
def made(make_scenario: Any, make_network: Any, tmp_path: Path) -> Callable[..., tuple[Network, Any]]:
    """A dense network and its graph."""

    def make(layers: tuple[int, ...] = (6, 5, 4, 3), options: Any = None, **sections: Any) -> tuple[Network, Any]:
        network = make_network(layers, **sections)
        return network, written(network, make_scenario(layers, **sections), tmp_path, **(options or {}))

    return make


class Doubles(nn.Module):
    """Nodes in double precision, after NIR's definitions; rates at rest or, for a time step, by Euler's steps."""

    def __init__(self, graph: Any, timestep: float | None = None) -> None:
        super().__init__()
        self.names, successor = [], dict(graph.edges)
        place = "input"
        while place != "output":
            place = successor[place]
            self.names.append(place)
        self.graph, self.timestep = graph, timestep
        self.states: dict[str, Any] = {}

    def step(self, x: Tensor) -> Tensor:
        """All rates move at once: what a node passes on is what it was before."""
        following = {}
        for name in self.names:
            node, kind = self.graph.nodes[name], type(self.graph.nodes[name]).__name__
            if kind == "LI":
                tau, r, leak = (torch.tensor(value) for value in (node.tau, node.r, node.v_leak))
                target = leak + r * x
                if self.timestep is None:
                    x = target
                    continue
                old = self.states.get(name, torch.zeros_like(target))
                following[name] = old + self.timestep / tau * (target - old)
                x = old
            else:
                x = NODES[kind](node, x)
        self.states = following
        return x


NODES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "Affine": lambda node, x: x @ torch.tensor(node.weight).T + torch.tensor(node.bias),
    "Linear": lambda node, x: x @ torch.tensor(node.weight).T,
    "Conv2d": lambda node, x: nn.functional.conv2d(
        x, torch.tensor(node.weight), torch.tensor(node.bias), tuple(node.stride), tuple(node.padding)
    ),
    "AvgPool2d": lambda node, x: nn.functional.avg_pool2d(x, tuple(node.kernel_size), tuple(node.stride)),
    "Flatten": lambda node, x: x.flatten(node.start_dim + 1),
    "Threshold": lambda node, x: (x > torch.tensor(node.threshold)).to(x.dtype),
    "Output": lambda node, x: x,
}


def answer(network: Network, inputs: Tensor) -> np.ndarray[Any, Any]:
    return forward(network, inputs.unsqueeze(0))[0].numpy()


@pytest.mark.parametrize("neurons", ["li", "none"])
@pytest.mark.parametrize("mismatch", [{}, {**MISMATCH, "tau": 0.0}], ids=["alike", "mismatch"])
def test_linear_networks_are_held_exactly(made: Any, neurons: str, mismatch: Any) -> None:
    network, graph = made(neuron=LINEAR, mismatch=mismatch, options={"neurons": neurons})
    np.testing.assert_allclose(Doubles(graph).step(random(7, 6)), answer(network, random(7, 6)), rtol=1e-12, atol=1e-14)
    assert any(type(node).__name__ == "LI" for node in graph.nodes.values()) == (neurons == "li")


@pytest.mark.parametrize("model", ["dp_transposed", "threshold"])
def test_steps_are_thresholds_that_answer_to_no_drive_too(made: Any, model: str) -> None:
    network, graph = made((6, 20, 4, 3), neuron={**STEP, "model": model}, network={"bias": False})
    inputs = torch.cat((random(7, 6), torch.zeros(1, 6, dtype=torch.float64)))
    np.testing.assert_allclose(Doubles(graph).step(inputs), answer(network, inputs), rtol=1e-12, atol=1e-14)
    kinds = [type(graph.nodes[name]).__name__ for name in Doubles(graph).names[:3]]
    assert kinds == (["Linear", "LI", "Threshold"] if model == "threshold" else ["Linear", "Threshold", "LI"])


@pytest.mark.parametrize("activation", ["identity", "step"])
def test_rates_move_as_the_neurons_do(made: Any, activation: str) -> None:
    timestep, steps = 1e-7, 60
    spread = {"tau": {"distribution": "normal", "std": 0.2, "compartments": 0.0}}
    network, graph = made(neuron={**LINEAR, "activation": activation}, mismatch=spread)
    clock = Continuous(registry.integrators.get("euler"), timestep, steps)
    reader, simulation = Doubles(graph, timestep), Simulation(network, clock)
    inputs = random(4, 6)
    simulation.present(inputs.unsqueeze(0))
    for step in range(steps):
        found = reader.step(inputs)
        own = network.layers[-1].neuron.upward(simulation.state[-1])[0]
        np.testing.assert_allclose(found, own, rtol=1e-10, atol=1e-12, err_msg=f"step {step}")
        simulation.advance(1)
    assert 0.05 < found.abs().max() / np.abs(answer(network, inputs)).max() < 1.0


def test_time_constants_of_compartments_that_differ_are_their_mean(made: Any) -> None:
    spread = {"tau": {"std": 0.1, "compartments": 0.2}}
    network, graph = made(neuron=LINEAR, mismatch=spread, options={"lossy": ["time_constants"]})
    for number, layer in enumerate(network.layers, start=1):
        plus, minus = layer.tau[:, 0, 0]
        assert (plus - minus).abs().min() > 1e-9
        np.testing.assert_allclose(graph.nodes[f"layer{number}"].tau, (plus + minus) / 2, rtol=1e-12)


@pytest.mark.parametrize("layers", [IMAGES, STRIDES], ids=["pools", "strides"])
@pytest.mark.parametrize("neurons", ["li", "none"])
def test_images_are_convolved_and_pooled(tmp_path: Path, neurons: str, layers: list[Any]) -> None:
    sections: dict[str, Any] = {"neuron": LINEAR, "mismatch": {"gain": 0.1, "offset": 0.05} if neurons == "li" else {}}
    network = image_network(layers, **sections)
    graph = written(network, image_scenario(layers, **sections), tmp_path, neurons=neurons)
    found = Doubles(graph).step(random(6, 64).reshape(6, 1, 8, 8))
    np.testing.assert_allclose(found, answer(network, random(6, 64)), rtol=1e-10, atol=1e-12)


def test_normalisation_is_folded_into_the_weights(tmp_path: Path) -> None:
    layers = ["1x6x6", {"conv": 2, "kernel": 3, "normalise": "batch"}, {"dense": 4, "normalise": "batch"}, 3]
    sections: dict[str, Any] = {"neuron": {"model": "backpropagation", "activation": "identity"}, "dynamics": "sweep"}
    network = image_network(layers, **sections)
    for number, own in enumerate(network.normalisations.values()):
        for name in ("gain", "offset", "mean", "variance"):
            values = getattr(own, name)
            values.copy_(1 + 0.3 * random(*values.shape, seed=number).tanh())
    graph = written(network, image_scenario(layers, **sections), tmp_path)
    found = Doubles(graph).step(random(6, 36).reshape(6, 1, 6, 6))
    np.testing.assert_allclose(found, answer(network, random(6, 36)), rtol=1e-10, atol=1e-12)


def test_all_that_would_be_lost_is_named_at_once_with_the_way_to_lose_it(made: Any, tmp_path: Path) -> None:
    spread = {"gain": 0.1, "tau": {"distribution": "normal", "std": 0.0, "compartments": 0.2}}
    with pytest.raises(InputError) as refusal:
        made(neuron={"model": "dp_transposed", "activation": "tanh"}, mismatch=spread)
    lines = str(refusal.value).splitlines()
    assert lines[0] == "nir: mismatch would be lost: layer1: NIR has no node for the gains and offsets of its neurons"
    assert lines[1] == "nir: activations would be lost: layer1: NIR has no node for the activation tanh"
    assert lines[2] == "nir: time_constants would be lost: layer1: the compartments of its neurons have different ones"
    assert lines[-1] == "nir: to export without: lossy=[activations, mismatch, time_constants]"
    assert "layer3: NIR has no node" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_function_without_a_node_is_named_in_the_metadata_of_what_it_is_applied_to(made: Any) -> None:
    neuron = {"model": "dp_transposed", "activation": {"name": "leaky_relu", "slope": 0.2}}
    _, graph = made(neuron=neuron, options={"lossy": ["activations"]})
    metadata = graph.nodes["layer1_weights"].metadata
    assert (metadata["activation"], float(metadata["slope"])) == ("leaky_relu", 0.2)
    assert graph.nodes["layer3_weights"].metadata == {}


def test_the_metadata_name_what_the_graph_lacks_of_the_run(made: Any) -> None:
    spread = {"gain": {"std": 0.0, "compartments": 0.1}}
    lossy = ["activations", "messages", "mismatch", "time_constants"]
    synapse = {"model": "crossbar", "adc": {"bits": 8}}
    sections = {"neuron": {"model": "dp_transposed", "activation": "tanh"}, "synapse": synapse, "mismatch": spread}
    _, graph = made(options={"lossy": lossy}, **sections)
    assert graph.metadata["without"] == "messages, converters, activations, mismatch"


def test_what_may_be_lost_but_need_not_be_is_kept(made: Any) -> None:
    network, graph = made(neuron=LINEAR, mismatch=MISMATCH, options={"lossy": ["activations", "mismatch"]})
    np.testing.assert_allclose(Doubles(graph).step(random(7, 6)), answer(network, random(7, 6)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["max", "quadratic_mean"])
def test_pools_without_a_node_are_refused_whatever_may_be_lost(tmp_path: Path, kind: str) -> None:
    layers = ["1x4x4", {"conv": 2, "kernel": 3, "pool": {"of": "drive", "kind": kind}}, 3]
    with pytest.raises(InputError, match=f"layer1: NIR has no node for {kind} pools; average pools are held"):
        written(image_network(layers), image_scenario(layers), tmp_path, lossy=["activations"])


def test_the_graph_names_its_scenario_and_chip(made: Any) -> None:
    _, graph = made(neuron=LINEAR, chips=3, options={"chip": 2})
    assert graph.metadata["chip"] == "2"
    assert graph.metadata["without"] == ""
    assert "dp_transposed" in graph.metadata["scenario"]


def test_snntorch_answers_as_the_package_does(made: Any) -> None:
    snntorch = pytest.importorskip("snntorch.import_nir")
    network, graph = made(neuron=LINEAR, mismatch=MISMATCH, options={"neurons": "none"})
    found, _ = snntorch.import_from_nir(graph)(random(7, 6).float())
    expected = answer(network, random(7, 6))
    np.testing.assert_allclose(found.detach(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_snntorch_convolves_single_images_as_the_package_does(tmp_path: Path) -> None:
    snntorch = pytest.importorskip("snntorch.import_nir")
    network = image_network(IMAGES, neuron=LINEAR)
    graph = written(network, image_scenario(IMAGES, neuron=LINEAR), tmp_path, neurons="none")
    reader = snntorch.import_from_nir(graph)
    expected = answer(network, random(6, 64))
    for image, own in zip(random(6, 1, 8, 8).float(), expected, strict=True):
        np.testing.assert_allclose(reader(image)[0].detach(), own, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_norse_answers_as_the_package_does(made: Any) -> None:
    norse = pytest.importorskip("norse.torch")
    network, graph = made(neuron=LINEAR, mismatch=MISMATCH, options={"neurons": "none"})
    found, _ = norse.from_nir(graph)(random(7, 6).float())
    expected = answer(network, random(7, 6))
    np.testing.assert_allclose(found.detach(), expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_leaky_integrators_of_norse_settle_where_the_neurons_do(made: Any) -> None:
    cells = pytest.importorskip("norse.torch.module.leaky_integrator_box")
    network, graph = made(neuron=LINEAR)

    def weights(node: Any) -> nn.Module:
        module = nn.Linear(*reversed(node.weight.shape))
        module.load_state_dict({"weight": torch.tensor(node.weight), "bias": torch.tensor(node.bias)})
        return module

    def rates(node: Any) -> Any:
        inverse, leak = torch.tensor(1 / node.tau).float(), torch.tensor(node.v_leak).float()
        return cells.LIBoxCell(cells.LIBoxParameters(tau_mem_inv=inverse, v_leak=leak), dt=1e-7)

    reader, state = nirtorch.nir_to_torch(graph, {nir.Affine: weights, nir.LI: rates}), None
    for _ in range(600):
        found, state = reader(random(7, 6).float(), state)
    expected = answer(network, random(7, 6))
    np.testing.assert_allclose(found.detach(), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
