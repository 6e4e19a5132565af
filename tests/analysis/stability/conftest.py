"""Nudged networks for the theory of stability."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from analogdp.analysis.stability import System, fixed_point, free_state
from analogdp.network import Network


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def nudged(make_network: Callable[..., Network]) -> Callable[..., tuple[System, Tensor]]:
    """``nudged(layers, at="free", neuron=...)``: a network with two samples, and the state at which it is looked at."""

    def make(
        layers: tuple[int, ...] = (6, 5, 4, 3), at: str = "rest", samples: int = 2, **sections: Any
    ) -> tuple[System, Tensor]:
        neuron = {"model": "dp", "alpha": 0.8, "beta": 0.3, "activation": "tanh"} | sections.pop("neuron", {})
        network = make_network(layers, neuron=neuron, **sections)
        labels = torch.softmax(normal(1, samples, layers[-1], seed=1), -1)
        system = System(network, normal(1, samples, layers[0]), labels, neuron["beta"])
        if at == "free":
            return system, free_state(system)
        found = fixed_point(system)
        assert bool(found.found.all())
        return system, found.state

    return make


@pytest.fixture
def chain(make_network: Callable[..., Network]) -> Callable[..., tuple[System, Tensor]]:
    """``chain(depth, gain)``: one linear unit in each layer, and one loop, through the lowest of ``depth`` hidden layers."""

    def make(depth: int, gain: float, sign: int = 1) -> tuple[System, Tensor]:
        neuron = {"model": "dp", "alpha": 0.5, "beta": 0.3, "activation": "identity", "output": "linearised"}
        network = make_network((1,) * (depth + 2), neuron=neuron)
        for synapse in network.synapses:
            synapse.weights.fill_(1.0)
        lowest = network.neurons[0]
        lowest.push, lowest.pull, lowest.mix = (1.0, 0.0, 1.0) if sign > 0 else (0.0, 1.0, 0.0)
        lowest.minus_pull = -lowest.pull
        system = System(network, normal(1, 1, 1), normal(1, 1, 1, seed=1), gain)
        return system, free_state(system)

    return make
