"""Networks of several scenarios along the axis of chips: each chip is as in its own."""

import pytest
import torch

from analogdp.network import build
from analogdp.network.stacking import Replicas, build_together

LAYERS = (8, 6, 4)
DIFFERENT = {
    "nothing and a spread of alpha": [{}, {"alpha": 0.05}],
    "spreads of alpha": [{"alpha": 0.02}, {"alpha": 0.05}, {}],
    "spreads of time constants": [{}, {"tau": 0.1}, {"tau": {"std": 0.1, "compartments": 0.05}}],
    "spreads of gains and offsets": [{"gain": 0.1, "offset": 0.01}, {"gain": 0.2, "offset": 0.02}],
}


def numbers(value, chips):
    """A parameter as one number for each compartment, chip and unit."""
    return torch.as_tensor(value, dtype=torch.float64).expand(2, chips, 1, 4)


@pytest.mark.parametrize("name", DIFFERENT)
def test_chips_of_different_mismatch_have_the_neurons_of_their_own_networks(make_scenario, name):
    scenarios = tuple(
        make_scenario(LAYERS, chips=2, seed=seed, neuron={"model": "dp", "alpha": 0.2 + seed / 10}, mismatch=mismatch)
        for seed, mismatch in enumerate(DIFFERENT[name])
    )
    together = build_together(Replicas(scenarios)).layers[-1]
    alone = [build(scenario).layers[-1] for scenario in scenarios]
    for quantity in ("push", "pull", "minus_pull", "mix", "gain", "offset"):
        if getattr(together.neuron, quantity) is None:
            continue
        each = [numbers(getattr(layer.neuron, quantity), 2) for layer in alone]
        assert torch.equal(numbers(getattr(together.neuron, quantity), 2 * len(each)), torch.cat(each, 1))
    times = [numbers(layer.tau, 2) for layer in alone]
    assert torch.equal(numbers(together.tau, 2 * len(times)), torch.cat(times, 1))
