import pytest
import torch

from analogdp.errors import InputError
from analogdp.learning.optimizers import WeightUpdater, transposed
from analogdp.network.feedback import named_synapses
from analogdp.scenario.feedback import FeedbackSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

STREAM = Stream(0, "update", dtype=torch.float64)
KOLEN_POLLACK = {"path": "kolen_pollack", "decay": 0.05}
LAYERS = (64, 12, 11, 10)
NOISELESS = dict.fromkeys(("step_spread", "asymmetry_spread", "upper_spread", "lower_spread", "cycle_noise"), 0)


def updates(network, seed):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [LocalUpdate(random(1, 6, synapse.outputs), random(1, 6, synapse.inputs)) for synapse in network.synapses]


def make(updater, wanted, stream):
    """Every synapse gets one update, and the biases what it says of the drives."""
    return updater.apply([(own,) for own in wanted], [own.post.sum(1, keepdim=True) for own in wanted], stream)


def updater(network, feedback, optimizer, rate=0.01):
    settings = FeedbackSettings.model_validate({"path": feedback} if isinstance(feedback, str) else feedback)
    return WeightUpdater(network, optimizer, rate, 0.02, 0.9, settings)


def differences(network):
    pairs = zip(network.synapses, network.feedback_paths, strict=True)
    return [synapse.weights - path.weights.mT for synapse, path in pairs if path is not None]


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
        assert make(updater, wanted, STREAM.at(seed)) is None, "no pulses"
        for weight, bias, update in zip(weights, biases, wanted, strict=True):
            weight.grad = -torch.einsum("cbo,cbi->coi", update.post, update.pre)
            bias.grad = -update.post.sum(1, keepdim=True)
        theirs.step()
    for synapse, layer, weight, bias in zip(network.synapses, network.layers, weights, biases, strict=True):
        torch.testing.assert_close(synapse.weights.data, weight, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(layer.bias.data, bias, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("path", ["transposed", "kolen_pollack"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_restored_optimizer_goes_on_with_the_same_bits(make_network, optimizer, path):
    one, other = (make_network(feedback=path) for _ in range(2))
    first, second = (updater(network, path, optimizer) for network in (one, other))
    make(first, updates(one, 0), STREAM)
    other.load_state_dict(one.state_dict())
    second.restore({name: value.clone() for name, value in first.tensors().items()})
    for each, network in ((first, one), (second, other)):
        make(each, updates(network, 1), STREAM)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_what_an_optimizer_is_restored_from_stays_as_it_is(make_network, optimizer):
    network = make_network()
    updater = WeightUpdater(network, optimizer, 0.01, 0.02, 0.9)
    make(updater, updates(network, 0), STREAM)
    saved = {name: value.clone() for name, value in updater.tensors().items()}
    kept = {name: value.clone() for name, value in saved.items()}
    updater.restore(saved)
    make(updater, updates(network, 1), STREAM)
    for name, value in kept.items():
        assert torch.equal(saved[name], value), name


def test_physical_cells_get_the_update_times_the_rate_and_report_their_pulses(make_network):
    network = make_network(synapse={"model": "crossbar", "device": "idealized"})
    before = network.synapses[0].weights.clone()
    report = make(WeightUpdater(network, "pulses", 0.001, 0.02, 0.0), updates(network, 0), STREAM)
    asked = 0.001 * torch.einsum("cbo,cbi->coi", updates(network, 0)[0].post, updates(network, 0)[0].pre)
    moved = network.synapses[0].weights - before
    slope = (moved * asked).sum() / asked.square().sum()
    assert slope.item() == pytest.approx(1, abs=0.1)
    assert report is not None
    assert (report.pulses_up > 0).all()
    assert (report.pulses_down > 0).all()


def test_cells_that_ideal_weights_do_not_have_are_refused(make_network):
    network = make_network()
    wanted = [own._replace(polarity="plus") for own in updates(network, 0)]
    with pytest.raises(InputError, match="no plus cells of their own"):
        make(WeightUpdater(network, "sgd", 0.01, 0.01, 0.0), wanted, STREAM)


def test_plain_descent_takes_a_decay_with_the_rate(make_network):
    network = make_network()
    decay = torch.linspace(0, 1, 12, dtype=torch.float64).unsqueeze(0)
    wanted = updates(network, 0)
    wanted[0], before = wanted[0]._replace(decay=decay), network.synapses[0].weights.clone()
    make(WeightUpdater(network, "sgd", 0.01, 0.01, 0.0), wanted, STREAM)
    expected = (1 - 0.01 * decay[..., None]) * before + 0.01 * wanted[0].post.mT @ wanted[0].pre
    torch.testing.assert_close(network.synapses[0].weights.data, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_ideal_kolen_pollack_paths_approach_the_weights_by_the_decay_of_every_update(make_network, optimizer):
    """W - B^T is (1 - decay)^n of what it was: exact for any optimizer that treats every weight alike; to 1e-12."""
    network = make_network(LAYERS, feedback=KOLEN_POLLACK)
    before = [difference.clone() for difference in differences(network)]
    learning = updater(network, KOLEN_POLLACK, optimizer)
    for seed in range(20):
        make(learning, updates(network, seed), STREAM.at(seed))
    for old, new in zip(before, differences(network), strict=True):
        torch.testing.assert_close(new, old * 0.95**20, rtol=1e-10, atol=1e-12)


def test_with_plain_descent_both_ways_shrink_and_move_as_written_out(make_network):
    """W <- (1 - decay) W + rate post^T pre, and B the same transposed; the lowest synapse has no path and no decay."""
    network = make_network(LAYERS, feedback=KOLEN_POLLACK)
    before = [synapse.weights.clone() for synapse in named_synapses(network).values()]
    wanted = updates(network, 0)
    make(updater(network, KOLEN_POLLACK, "sgd"), wanted, STREAM)
    changes = [0.01 * torch.einsum("cbo,cbi->coi", update.post, update.pre) for update in wanted]
    changes += [change.mT for change in changes[1:]]
    for synapse, old, change, kept in zip(
        named_synapses(network).values(), before, changes, (1, 0.95, 0.95, 0.95, 0.95), strict=True
    ):
        torch.testing.assert_close(synapse.weights.data, kept * old + change, rtol=1e-12, atol=1e-14)


def test_random_paths_stay_as_they_are(make_network):
    network = make_network(LAYERS, feedback="random")
    before = network.feedback_paths[1].weights.clone()
    make(updater(network, "random", "adam"), updates(network, 0), STREAM)
    assert torch.equal(network.feedback_paths[1].weights, before)


def test_noiseless_copies_that_are_asked_for_whole_pulses_stay_copies(make_network):
    """Cells alike and counts rounded to the nearest: the transposed update does to B what the update does to W."""
    cells = {"model": "crossbar", "device": {"card": "gokmen_vlasov", **NOISELESS}, "write": {"rounding": "nearest"}}
    network = make_network(LAYERS, synapse=cells, feedback="copy")
    before = network.synapses[1].weights.clone()
    for seed in range(3):
        make(updater(network, "copy", "pulses"), updates(network, seed), STREAM.at(seed))
    assert (network.synapses[1].weights - before).abs().max() > 0.01
    for difference in differences(network):
        torch.testing.assert_close(difference, torch.zeros_like(difference), rtol=0, atol=1e-10)


def test_copies_in_cells_of_their_own_drift_apart(make_network):
    network = make_network(LAYERS, synapse={"model": "crossbar", "device": "gokmen_vlasov"}, feedback="copy")
    distances = []
    for seed in range(3):
        distances.append(float(differences(network)[0].norm()))
        make(updater(network, "copy", "pulses"), updates(network, seed), STREAM.at(seed))
    assert distances[0] < distances[1] < distances[2]


def test_physical_kolen_pollack_paths_approach_the_weights_by_the_decay(make_network):
    """As for ideal weights, within the noise of one pulse or less of each of some thousand cells: to 5 %."""
    device = {"card": "idealized", **NOISELESS}
    feedback = {"path": "kolen_pollack", "decay": 0.05}
    network = make_network((64, 60, 50, 10), synapse={"model": "crossbar", "device": device}, feedback=feedback)
    before = [difference.clone() for difference in differences(network)]
    for seed in range(10):
        make(updater(network, feedback, "pulses", 1e-4), updates(network, seed), STREAM.at(seed))
    for old, new in zip(before, differences(network), strict=True):
        assert float((new * old).sum() / old.square().sum()) == pytest.approx(0.95**10, rel=0.05)


def test_the_pulses_of_feedback_cells_are_counted(make_network):
    network = make_network(LAYERS, synapse={"model": "crossbar", "device": "ecram_mo"}, feedback="copy")
    report = make(updater(network, "copy", "pulses"), updates(network, 0), STREAM)
    counted = sum(int(synapse.write_counts.sum()) for synapse in named_synapses(network).values())
    assert network.feedback_paths[1].write_counts.any()
    assert (report.pulses_up + report.pulses_down).item() == counted


def test_the_update_of_a_path_is_the_transposed_outer_product(make_network):
    update = updates(make_network(), 0)[1]
    turned = transposed(update)
    torch.testing.assert_close(turned.post.mT @ turned.pre, (update.post.mT @ update.pre).mT)
    with pytest.raises(ValueError, match="shrinks rows"):
        transposed(update._replace(decay=torch.ones(1, 10)))


def chips_of(network, wanted, chips):
    """The network's state and the updates of some chips."""
    state = {name: value[chips].clone() for name, value in network.state_dict().items()}
    return state, [LocalUpdate(own.post[chips], own.pre[chips]) for own in wanted]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_chips_with_rates_of_their_own_move_as_each_moves_alone(make_network, optimizer):
    rates, bias_rates = (0.01, 0.01, 0.3), (0.02, 0.05, 0.05)
    together = make_network(chips=3)
    begun = {name: value.clone() for name, value in together.state_dict().items()}
    several = WeightUpdater(together, optimizer, rates, bias_rates, 0.9)
    steps = [
        [LocalUpdate(*(part.expand(3, -1, -1) for part in own[:2])) for own in updates(together, seed)]
        for seed in range(3)
    ]
    for wanted in steps:
        make(several, wanted, STREAM)
    for chip, (rate, bias_rate) in enumerate(zip(rates, bias_rates, strict=True)):
        alone = make_network(chips=3)
        alone.load_state_dict(begun)
        one = WeightUpdater(alone, optimizer, rate, bias_rate, 0.9)
        for wanted in steps:
            make(one, wanted, STREAM)
        own = slice(chip, chip + 1)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(together.state_dict()[name][own], value[own], rtol=1e-12, atol=1e-14)
        for name, value in one.tensors().items():
            kept = several.tensors()[name]
            torch.testing.assert_close(kept[own] if kept.dim() else kept, value[own] if value.dim() else value)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_a_restored_optimizer_with_several_rates_goes_on_with_the_same_bits(make_network, optimizer):
    one, other = (make_network(chips=3) for _ in range(2))
    first, second = (WeightUpdater(each, optimizer, (0.1, 0.2, 0.2), 0.1, 0.9) for each in (one, other))
    wanted = [LocalUpdate(*(part.expand(3, -1, -1) for part in own[:2])) for own in updates(one, 0)]
    make(first, wanted, STREAM)
    other.load_state_dict(one.state_dict())
    second.restore({name: value.clone() for name, value in first.tensors().items()})
    for each in (first, second):
        make(each, wanted, STREAM)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_physical_cells_of_each_chip_are_asked_for_the_update_times_its_rate(make_network):
    network = make_network(chips=2, synapse={"model": "crossbar", "device": "idealized"})
    wanted = [LocalUpdate(*(part.expand(2, -1, -1) for part in own[:2])) for own in updates(network, 0)]
    before = [synapse.conductances().target_weights.clone() for synapse in network.synapses]
    make(WeightUpdater(network, "pulses", (0.001, 0.003), 0.02, 0.0), wanted, STREAM)
    for synapse, held, update in zip(network.synapses, before, wanted, strict=True):
        moved = synapse.conductances().target_weights - held
        asked = torch.einsum("cbo,cbi->coi", update.post, update.pre) * torch.tensor([0.001, 0.003]).view(2, 1, 1)
        inside = (held + asked).abs() < synapse.conductances().target_weights.abs().amax()
        torch.testing.assert_close(moved[inside], asked[inside].to(moved), rtol=1e-4, atol=1e-6)
