"""Where nudged networks are at rest: the simulator is what it is compared with."""

import sys

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import fixed_point, free_state
from analogdp.dynamics import Continuous, Simulation


@pytest.mark.parametrize(
    "sections",
    [
        {"chips": 2, "mismatch": {"gain": 0.1, "push": 0.05}},
        {"network": {"loss": "cross_entropy"}},
        {"neuron": {"model": "dp_transposed", "alpha": 0.3}},
        {"neuron": {"activation": "relu"}},
    ],
)
def test_a_stable_network_comes_to_rest_at_its_fixed_point(nudged, sections):
    system, state = nudged(**sections)
    simulation = Simulation(system.network, Continuous(registry.integrators.get("exp_euler"), 1e-6, 400, None))
    simulation.present(*system.field.presented, system.field.nudging)
    simulation.advance(400)
    settled = system.vector([layer.unbind() for layer in simulation.state])
    assert (settled - state).abs().max() < 1e-9


def test_fixed_points_that_no_dynamics_would_go_to_are_found_too(nudged):
    system, state = nudged(neuron={"alpha": 0.0, "beta": 3.0, "output": "linearised"})
    assert system.residual(state).max() < 1e-9
    rightmost = np.linalg.eigvals(system.jacobian_matrix(state).numpy()).real.max(-1)
    assert rightmost.min() > 2


def test_the_free_state_is_a_forward_pass(nudged):
    system, _ = nudged((6, 5, 4, 3))
    state = free_state(system).numpy()
    active = system.field.presented[0].numpy()
    for index, (layer, synapse) in enumerate(zip(system.network.layers, system.network.synapses, strict=True)):
        active = active @ synapse.weights.numpy().swapaxes(-1, -2) + layer.bias.numpy()
        active = np.tanh(active) if index < 2 else active
        own = state[..., system.places[index]]
        assert own == pytest.approx(np.concatenate([active, active], -1), abs=1e-14)


def test_a_fixed_point_that_is_not_found_is_told(nudged, monkeypatch):
    monkeypatch.setattr(sys.modules[fixed_point.__module__], "MOST_ITERATIONS", 1)
    system, _ = nudged(at="free", neuron={"alpha": 0.0, "beta": 0.9}, network={"gain": 3.0})
    point = fixed_point(system, 3 * torch.ones_like(system.rest()))
    assert not point.found.any()
    assert bool((point.residual > 1e-6).all())
