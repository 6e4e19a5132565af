"""Gamma of dyads, from their parameters alone: differences of what the neurons do are what it is compared with."""

import pytest
import torch

from analogdp.analysis.stability import gamma_spread, gammas, linearise, output_strength
from analogdp.errors import InputError

MISMATCH = {"chips": 2, "mismatch": {"alpha": 0.05, "gain": {"std": 0.1, "compartments": 0.02}}}


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("model", "slope"), [("dp", 2.0), ("dp_transposed", 0.0)])
def test_gamma_is_that_of_the_papers(make_network, model, slope, alpha):
    found = gammas(make_network((6, 5, 3), neuron={"model": model, "alpha": alpha, "beta": 0.3}))
    assert [own.shape for own in found] == [(1, 5), (1, 3)]
    for own in found:
        assert own.numpy() == pytest.approx(slope * (alpha - 0.5), abs=1e-15)


def test_with_mismatch_gamma_is_by_how_much_of_its_push_the_mean_of_a_linear_dyad_moves(nudged):
    system, _ = nudged(neuron={"activation": "identity"}, **MISMATCH)
    found = gammas(system.network)
    for neuron, own in zip(system.network.neurons[:-1], found, strict=False):
        drive = torch.zeros(2, 1, own.shape[-1], dtype=torch.float64)
        moved, still = (neuron.upward(neuron.target(drive, push, None)) for push in (drive + 1, drive))
        assert torch.allclose((moved - still)[:, 0], own)


def test_the_spread_over_neurons_is_numpys(make_network):
    network = make_network((6, 50, 3), neuron={"model": "dp", "alpha": 0.7}, **MISMATCH)
    spread, first = gamma_spread(network), gammas(network)[0].numpy()
    assert spread.mean.shape == (2, 2)
    assert spread.mean[:, 0].numpy() == pytest.approx(first.mean(-1))
    assert spread.std[:, 0].numpy() == pytest.approx(first.std(-1))
    assert spread.largest[:, 0].numpy() == pytest.approx(abs(first).max(-1))


@pytest.mark.parametrize(
    "neuron",
    [
        {"model": "dp", "alpha": 0.3},
        {"model": "dp", "alpha": 0.3, "output": "linearised"},
        {"model": "dp_transposed", "alpha": 0.3},
    ],
)
def test_the_output_strength_is_what_an_error_of_one_makes(nudged, neuron):
    system, state = nudged(neuron=neuron, chips=2, mismatch={"push": 0.1})
    output = linearise(system, state).output
    strength = output_strength(system.network, 0.3)
    response = (output.difference.unsqueeze(-1) * (output.drive + output.own.sum(1))).sum(0)
    for sample in response.unbind(1):
        assert torch.allclose(sample, -torch.diag_embed(strength))


def test_proximal_outputs_of_cross_entropy_have_no_strength(make_network):
    network = make_network((6, 5, 3), neuron={"model": "dp"}, network={"loss": "cross_entropy"})
    with pytest.raises(InputError, match="depends on the sample"):
        output_strength(network, 0.3)
