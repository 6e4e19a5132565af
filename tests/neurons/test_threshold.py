"""Binary dyads against the normal distribution that membrane noise gives their potentials."""

import math

import pytest
import torch
from scipy.stats import norm

from analogdp.dynamics import Continuous, ExponentialEuler, Simulation
from analogdp.network import Network
from analogdp.neurons import LeastSquares, Threshold
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream

STREAM = Stream(seed=1, name="layer", dtype=torch.float64)


def neurons(alpha=0.3, output=False, **settings):
    made = Threshold.build(Threshold.Settings(alpha=alpha, **settings), LeastSquares(), MismatchSettings(), 4, STREAM)
    return made.as_output() if output else made


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_hidden_potentials_head_for_their_drives_and_show_a_bit():
    neuron, a, d = neurons(), random(1, 5, 4), random(1, 5, 4, seed=1)
    plus, minus = neuron.target(a, d, None)
    torch.testing.assert_close(plus, a + 0.7 * d)
    torch.testing.assert_close(minus, a - 0.3 * d)
    bits = [(u >= 0).double() for u in (plus, minus)]
    torch.testing.assert_close(neuron.upward((plus, minus)), 0.3 * bits[0] + 0.7 * bits[1])
    assert torch.equal(neuron.downward((plus, minus)), bits[0] - bits[1])
    assert torch.equal(neuron.target(a, None, None)[0], a)


def test_outputs_show_their_potentials_themselves():
    neuron, plus, minus = neurons(output=True, beta=0.5), random(1, 5, 4), random(1, 5, 4, seed=1)
    torch.testing.assert_close(neuron.upward((plus, minus)), 0.3 * plus + 0.7 * minus)
    torch.testing.assert_close(neuron.learning_signal((plus, minus)), 2 * (plus - minus))


def test_the_last_layer_of_a_network_is_of_outputs(make_network):
    network = make_network((6, 5, 4, 3), neuron={"model": "threshold"})
    assert [neuron.output for neuron in network.neurons] == [False, False, True]


SAMPLES = 20_000


def settled_bits(make_network, membrane: float, common: float, push: float) -> tuple[Network, torch.Tensor]:
    """Bits of the hidden layer's compartments at rest, with drives -0.2, -0.1, 0, 0.1, ... and a constant push from above."""
    network = make_network((1, 5, 5), neuron={"model": "threshold", "alpha": 0.25}, network={"gain": 0})
    network.layers[0].bias.copy_(torch.linspace(-0.2, 0.2, 5).view(1, 1, 5))
    simulation = Simulation(
        network,
        Continuous(ExponentialEuler, dt=1e-6, steps=12, tolerance=None),
        NoiseSettings(membrane=membrane, common=common),
    )
    stream = Stream(5, "settling", dtype=torch.float64)
    simulation.present(torch.zeros(1, SAMPLES, 1), None, 0.0, stream)
    simulation.field.passages[1].down = lambda message, out, noise, shown: out.fill_(push)
    state = simulation.settle().state[0]
    return network, (state >= 0).double()


@pytest.mark.parametrize(("membrane", "common"), [(0.0, 0.1), (0.1, 0.0), (0.06, 0.08)])
def test_bits_are_on_average_normal_probabilities_of_drive_over_noise(make_network, membrane, common):
    """Within five standard errors of E step(u) = Phi(a / sigma) and E delta = Phi((a + pD)/sigma) - Phi((a - qD)/sigma)."""
    push, sigma = 0.08, math.hypot(membrane, common)
    _, bits = settled_bits(make_network, membrane, common, push)
    drives = torch.linspace(-0.2, 0.2, 5).double()
    plus, minus = (torch.as_tensor(norm.cdf((drives + gain * push) / sigma)) for gain in (0.75, -0.25))
    errors = (plus * (1 - plus) / SAMPLES).sqrt(), (minus * (1 - minus) / SAMPLES).sqrt()
    assert ((bits[0].mean((0, 1)) - plus).abs() < 5 * errors[0]).all()
    assert ((bits[1].mean((0, 1)) - minus).abs() < 5 * errors[1]).all()
    delta = (bits[0] - bits[1])[0]
    assert ((delta.mean(0) - (plus - minus)).abs() < 5 * delta.std(0) / SAMPLES**0.5).all()


def test_noise_that_compartments_share_lets_them_differ_only_where_they_are_pushed_apart(make_network):
    """With common noise alone delta is never -1, and not 0 as often as its mean says; own noise makes it differ by chance."""
    _, shared = settled_bits(make_network, 0.0, 0.1, 0.08)
    _, own = settled_bits(make_network, 0.1, 0.0, 0.08)
    assert (shared[0] >= shared[1]).all()
    assert (own[0] < own[1]).double().mean() > 0.05
    assert (shared[0] - shared[1]).var() < (own[0] - own[1]).var() / 1.5


def test_smooth_potentials_are_read_through_their_activation():
    neuron, state = neurons(activation="tanh"), (random(1, 5, 4), random(1, 5, 4, seed=1))
    torch.testing.assert_close(neuron.downward(state), torch.tanh(state[0]) - torch.tanh(state[1]))
