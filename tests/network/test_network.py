import pytest
import torch

from analogdp.network import Network


def test_sizes_that_do_not_chain_are_refused(make_network):
    one, other = make_network((64, 5, 10)), make_network((64, 6, 10))
    with pytest.raises(ValueError, match="joins 6 to 10 units, not 5 to 10"):
        Network([one.layers[0], other.layers[1]], [one.synapses[0], other.synapses[1]], one.loss, (0,))
    with pytest.raises(ValueError, match="2 layers need as many synapses, not 1"):
        Network(list(one.layers), [one.synapses[0]], one.loss, (0,))


def test_equal_time_constants_stay_a_number_and_spread_ones_fill_the_state(make_network):
    network = make_network()
    assert network.tau(network.layout(3)) == 1e-6
    spread = make_network(mismatch={"tau": {"std": 0.1, "compartments": 0.1}}, chips=2)
    tau = spread.tau(spread.layout(3))
    first, _ = spread.layout(3).views(tau)
    assert tau.shape == (spread.layout(3).size,)
    assert torch.equal(first[:, :, 0], first[:, :, 2]), "the same neuron for every sample"
    assert first[:, :, 0].unique().numel() == 2 * 2 * 12, "its own for every compartment, chip and unit"


def test_repr_tells_the_architecture(make_network):
    assert "64-12-10, chips=1, loss=LeastSquares" in repr(make_network())
