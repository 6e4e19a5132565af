import pytest
import torch

from analogdp.learning.optimizers import WeightUpdater
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

STREAM = Stream(0, "update", dtype=torch.float64)


def updates(network, seed):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [LocalUpdate(random(1, 6, synapse.outputs), random(1, 6, synapse.inputs)) for synapse in network.synapses]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_ideal_weights_and_biases_move_as_torch_moves_them_down_the_same_gradient(make_network, optimizer):
    network = make_network()
    updater = WeightUpdater(network, optimizer, rate=0.01, bias_rate=0.02, momentum=0.9)
    weights = [synapse.weights.clone() for synapse in network.synapses]
    biases = [layer.bias.clone() for layer in network.layers]
    groups = [{"params": weights, "lr": 0.01}, {"params": biases, "lr": 0.02}]
    theirs = (
        torch.optim.Adam(groups)
        if optimizer == "adam"
        else torch.optim.SGD(groups, momentum=0.9 * (optimizer == "momentum"))
    )
    for seed in range(4):
        wanted = updates(network, seed)
        assert updater.apply(wanted, STREAM.at(seed)) is None, "no pulses"
        for weight, bias, update in zip(weights, biases, wanted, strict=True):
            weight.grad = -torch.einsum("cbo,cbi->coi", update.post, update.pre)
            bias.grad = -update.post.sum(1, keepdim=True)
        theirs.step()
    for synapse, layer, weight, bias in zip(network.synapses, network.layers, weights, biases, strict=True):
        torch.testing.assert_close(synapse.weights.data, weight, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(layer.bias.data, bias, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_restored_optimizer_goes_on_with_the_same_bits(make_network, optimizer):
    one, other = make_network(), make_network()
    first, second = (WeightUpdater(network, optimizer, 0.01, 0.02, 0.9) for network in (one, other))
    first.apply(updates(one, 0), STREAM)
    other.load_state_dict(one.state_dict())
    second.restore({name: value.clone() for name, value in first.tensors().items()})
    for updater, network in ((first, one), (second, other)):
        updater.apply(updates(network, 1), STREAM)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_physical_cells_get_the_update_times_the_rate_and_report_their_pulses(make_network):
    network = make_network(synapse={"model": "crossbar", "device": "idealized"})
    before = network.synapses[0].weights.clone()
    report = WeightUpdater(network, "pulses", rate=0.001, bias_rate=0.02, momentum=0.0).apply(
        updates(network, 0), STREAM
    )
    asked = 0.001 * torch.einsum("cbo,cbi->coi", updates(network, 0)[0].post, updates(network, 0)[0].pre)
    moved = network.synapses[0].weights - before
    slope = (moved * asked).sum() / asked.square().sum()
    assert slope.item() == pytest.approx(1, abs=0.1)
    assert report is not None
    assert (report.pulses_up > 0).all()
    assert (report.pulses_down > 0).all()


@pytest.mark.parametrize("change", [{"decay": torch.ones(1, 12, dtype=torch.float64)}, {"polarity": "plus"}])
def test_what_torchs_optimizers_cannot_do_is_refused(make_network, change):
    network = make_network()
    wanted = updates(network, 0)
    wanted[0] = wanted[0]._replace(**change)
    with pytest.raises(ValueError, match="sums of outer products"):
        WeightUpdater(network, "sgd", 0.01, 0.01, 0.0).apply(wanted, STREAM)
