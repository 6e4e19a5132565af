"""The answers of layers: put together they are the Jacobian of the targets that are simulated."""

import pytest
import torch

from analogdp.analysis.stability import linearise
from tests.analysis.stability.conftest import normal
from tests.analysis.stability.test_system import NETWORKS


def composed(near, vector: torch.Tensor) -> torch.Tensor:
    """The Jacobian times a vector, from the answers of the layers."""
    layers = near.system.layers(vector)
    means = [(own.mean * layer).sum(0) for own, layer in zip((*near.hidden, near.output), layers, strict=True)]
    differences = [
        (own.difference * layer).sum(0) for own, layer in zip((*near.hidden, near.output), layers, strict=True)
    ]
    drives = [torch.zeros_like(means[0]), *(up(mean) for up, mean in zip(near.up, means, strict=False))]
    pushes = [down(own) for down, own in zip(near.down, differences[1:], strict=True)]
    hidden = [
        own.drive * drive + own.push * push for own, drive, push in zip(near.hidden, drives, pushes, strict=False)
    ]
    own = torch.einsum("xycbij,ycbj->xcbi", near.output.own, layers[-1])
    last = torch.einsum("xcbij,cbj->xcbi", near.output.drive, drives[-1]) + own
    return near.system.vector([*hidden, last])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layers_put_together_are_the_jacobian(nudged, name):
    system, state = nudged(**NETWORKS[name])
    vector = normal(*state.shape, seed=5)
    assert torch.allclose(composed(linearise(system, state), vector), system.jacobian(state)(vector), atol=1e-12)


@pytest.mark.parametrize("name", ["dp", "random feedback"])
def test_the_way_back_is_the_transposed_of_the_way_up_and_feedback_of_its_own_is_not(nudged, name):
    system, state = nudged(**NETWORKS[name])
    near = linearise(system, state)
    below, above = normal(1, 2, 5, seed=6), normal(1, 2, 4, seed=7)
    scalar = (near.up[0](below) * above).sum()
    assert torch.allclose((below * near.back[0](above)).sum(), scalar)
    assert torch.allclose(near.back[0](above), near.down[0](above)) == (name == "dp")


def test_dyads_of_equal_slopes_have_the_factors_of_the_papers(nudged):
    system, state = nudged(at="free", neuron={"alpha": 0.8})
    response = linearise(system, state).hidden[0]
    slope = 1 - system.layers(state)[0][0] ** 2
    for factor, wanted in zip(response.transfer(0.5), (1.0, 0.6, 0.0, 1.0), strict=True):
        assert torch.allclose(factor, 0.5 * wanted * slope)
