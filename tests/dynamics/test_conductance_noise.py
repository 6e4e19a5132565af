import math

import numpy as np
import pytest
import torch

from analogdp.dynamics.conductance_noise import ConductanceNoise, milstein
from analogdp.streams import Stream
from analogdp.synapses.ideal import IdealSynapse

STREAM = Stream(5, "conductance", dtype=torch.float64)


def ends(steps: int, fine: torch.Tensor, std: float, correction: bool = True) -> torch.Tensor:
    """g after one correlation time from g = 1, driven by the Brownian motion of the fine steps ``(fine, paths)``."""
    together = len(fine) // steps
    value = torch.ones(fine.shape[1], dtype=torch.float64)
    for part in fine.view(steps, together, -1):
        numbers = part.sum(0) / math.sqrt(together)
        if correction:
            milstein(value, numbers, 1 / steps, std)
        else:
            value += (1 - value) / steps + std * math.sqrt(2 / steps) * value * numbers
    return value


@pytest.mark.parametrize(("correction", "order"), [(True, 1.0), (False, 0.5)])
def test_the_strong_order_is_one_and_would_be_a_half_without_the_correction(correction, order):
    """Root mean square distance of 4000 paths from 2048 Milstein steps on the same Brownian motion."""
    fine = STREAM.normal((2048, 4000))[0]
    reference = ends(2048, fine, 0.5)
    errors = [
        (ends(steps, fine, 0.5, correction) - reference).square().mean().sqrt().item() for steps in (16, 32, 64, 128)
    ]
    assert np.mean(-np.diff(np.log2(errors))) == pytest.approx(order, abs=0.12)


def test_the_mean_is_kept_and_the_variance_is_that_of_the_stationary_solution():
    """Exact moments of one step: E g' = 1 + (1 - z)(E g - 1); E g'^2 by E xi^4 = 3, whose fixed point tends to 1/(1 - std^2)."""
    std, errors = 0.4, []
    for z in (0.02, 0.01):
        b2 = 2 * std**2 * z
        # g' = g ((1 - z) + b xi + b^2/2 (xi^2 - 1)) + z: second moment of the factor, mean of the factor 1 - z.
        square = (1 - z) ** 2 + b2 + b2**2 / 2
        second = (2 * z * (1 - z) + z**2) / (1 - square)
        errors.append(second - 1 / (1 - std**2))
        numbers = STREAM.at(int(1 / z)).normal((200_000,))[0]
        value = torch.full((200_000,), 1.3, dtype=torch.float64)
        milstein(value, numbers, z, std)
        assert value.mean().item() == pytest.approx(z + 1.3 * (1 - z), abs=4 * value.std().item() / math.sqrt(200_000))
        assert value.square().mean().item() == pytest.approx(1.69 * square + 2 * z * 1.3 * (1 - z) + z**2, rel=2e-3)
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1), "weak order 1"


def test_a_fluctuating_synapse_shows_its_weights_on_average_and_fluctuates_in_proportion_to_them():
    weights = torch.tensor([[[0.5, -1.0, 0.0]]], dtype=torch.float64).expand(1, 2000, -1)
    noise = ConductanceNoise(IdealSynapse(weights), 0.1, 0.1)
    noise.start(STREAM)
    for step in range(30):
        noise.load(step, 1)
        shown = noise.advance(0)
    means, stds = shown[0].mean(0), shown[0].std(0)
    error = 4 * 0.1 / math.sqrt(2000)
    torch.testing.assert_close(means, weights[0, 0], rtol=error, atol=0.0)
    assert stds[2] == 0
    np.testing.assert_allclose(stds[:2] / weights[0, 0, :2].abs(), 0.1 / math.sqrt(1 - 0.01), rtol=0.08)


def test_both_cells_of_a_crossbar_pair_fluctuate(make_network):
    network = make_network((6, 5, 3), synapse={"model": "crossbar", "device": "idealized"}, network={"gain": 0.0})
    synapse = network.synapses[0]
    torch.testing.assert_close(synapse.contributions().sum(1), synapse.weights, rtol=1e-9, atol=1e-12)
    noise = ConductanceNoise(synapse, 0.05, 0.1)
    noise.start(STREAM)
    noise.load(0, 1)
    assert noise.advance(0).abs().max() > 0, "weights of zero are differences of conductances, which fluctuate"
