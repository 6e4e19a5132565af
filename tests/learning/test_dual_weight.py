"""The dual-weight rules against loops over samples, units and inputs, written from the published formulas."""

import math

import numpy as np
import pytest
import torch

from analogdp.data import load
from analogdp.learning import AlwaysOnTrainer, Trainer
from analogdp.learning.plasticity import PlasticityRule
from analogdp.network import build
from analogdp.registry import plasticity, trainers
from analogdp.scenario import Scenario
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, PairSynapse

RULES = ["dual_weight", "dual_weight_stabilised"]
STREAM = Stream(0, "update", dtype=torch.float64)
RATE = 0.05


class Published:
    """One layer of Wang 2025, a unit and a sample at a time."""

    def __init__(self, weights, stabilised, rate=RATE):
        self.plus, self.minus = weights.copy(), np.zeros_like(weights)
        self.size, self.stabilised, self.rate = np.ones(len(weights)), stabilised, rate

    def learn(self, gradients, inputs):
        for unit, gradient in enumerate(gradients):
            magnitude = abs(gradient)
            share = self.rate * (min(1, 0.1 * magnitude / self.size[unit]) if self.stabilised else magnitude)
            if gradient < 0:
                self.plus[unit] = self.plus[unit] * (1 - share) + inputs * share
            if gradient > 0:
                self.minus[unit] = self.minus[unit] * (1 - share) + inputs * share
            if gradient != 0:
                self.size[unit] = self.size[unit] * (1 - self.rate) + magnitude * self.rate

    @property
    def weights(self):
        return self.plus - self.minus


def make_rule(name, units, rate=RATE) -> PlasticityRule:
    return plasticity.get(name)(rate, [torch.zeros(1, 1, units, dtype=torch.float64)])


def samples(count, seed=0, units=4, inputs=6):
    """Signals, every fourth of them 0, and inputs."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(1, count, units, generator=generator, dtype=torch.float64)
    signal = signal * (torch.rand(1, count, units, generator=generator) > 0.25)
    return signal, torch.randn(1, count, inputs, generator=generator, dtype=torch.float64)


def start(units=4, inputs=6):
    return torch.randn(1, units, inputs, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def apply(rule, synapse, signal, below, count):
    for update in rule.updates(0, signal, below, count):
        synapse.apply_update(update.times(rule.rate), STREAM)


@pytest.mark.parametrize("name", RULES)
def test_one_sample_after_the_other_is_the_published_rule(name):
    rule, synapse = make_rule(name, 4), PairSynapse(start())
    published = Published(start()[0].numpy(), stabilised=name != "dual_weight")
    signal, below = samples(200)
    for row in range(200):
        apply(rule, synapse, signal[:, row : row + 1], below[:, row : row + 1], 1)
        published.learn(-signal[0, row].numpy(), below[0, row].numpy())
    np.testing.assert_allclose(synapse.weight[0, 0], published.plus, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(synapse.weight[0, 1], published.minus, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("positions", [1, 3])
def test_a_batch_asks_for_the_mean_of_what_its_samples_would_do_and_the_sum_over_positions(name, positions):
    rule, synapse, weights = make_rule(name, 4), PairSynapse(start()), start()[0].numpy()
    signal, below = samples(5 * positions)
    apply(rule, synapse, signal, below, 5)
    alone = []
    for row in range(5 * positions):
        own = Published(weights, stabilised=name != "dual_weight")
        own.learn(-signal[0, row].numpy(), below[0, row].numpy())
        alone.append(np.stack((own.plus - weights, own.minus)))
    expected = np.stack((weights, np.zeros_like(weights))) + np.sum(alone, 0) / 5
    np.testing.assert_allclose(synapse.weight[0], expected, rtol=1e-12, atol=1e-14)


def test_a_batch_changes_the_typical_errors_by_the_mean_of_what_its_samples_would_do():
    rule = make_rule("dual_weight_stabilised", 4)
    signal, below = samples(5)
    rule.updates(0, signal, below, 5)
    sizes = []
    for row in range(5):
        own = Published(start()[0].numpy(), stabilised=True)
        own.learn(-signal[0, row].numpy(), below[0, row].numpy())
        sizes.append(own.size)
    np.testing.assert_allclose(rule.tensors()["size0"][0, 0], np.mean(sizes, 0), rtol=1e-14)


def test_positions_are_samples_of_the_typical_error():
    one, other = (make_rule("dual_weight_stabilised", 4) for _ in range(2))
    signal, below = samples(15)
    one.updates(0, signal, below, 5)
    other.updates(0, signal, below, 15)
    assert torch.equal(one.tensors()["size0"], other.tensors()["size0"])


def test_at_a_rate_above_1_the_typical_error_is_the_last_one():
    rule = make_rule("dual_weight_stabilised", 4, rate=3.0)
    signal, below = samples(1)
    rule.updates(0, signal, below, 1)
    expected = torch.where(signal == 0, 1.0, signal.abs())
    torch.testing.assert_close(rule.tensors()["size0"], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_without_errors_nothing_moves(name):
    rule, synapse = make_rule(name, 4), PairSynapse(start())
    _, below = samples(5)
    apply(rule, synapse, torch.zeros(1, 5, 4, dtype=torch.float64), below, 5)
    assert torch.equal(synapse.weights, start())
    assert all(bool((size == 1).all()) for size in rule.tensors().values())


def test_steps_that_would_take_more_than_all_of_a_line_end_at_the_weighted_mean_of_the_inputs():
    rule, synapse = make_rule("dual_weight", 4), PairSynapse(start())
    signal, below = samples(5)
    strong = 1e3 * signal.abs()
    apply(rule, synapse, strong, below, 5)
    mean = torch.einsum("cbo,cbi->coi", strong, below) / strong.sum(1)[..., None]
    torch.testing.assert_close(synapse.weight[:, 0], mean)
    assert not synapse.weight[:, 1].any()


def test_a_stabilised_unit_never_takes_more_than_the_rate():
    rule = make_rule("dual_weight_stabilised", 4)
    signal, below = samples(1)
    updates = rule.updates(0, 1e6 * signal, below, 1)
    taken = torch.stack([own.decay for own in updates]).sum(0)
    assert torch.equal(taken, (signal[:, 0] != 0).double())


@pytest.fixture
def make_trainer(make_scenario):
    def make(rule="dual_weight", only_chips=None, **sections) -> Trainer | AlwaysOnTrainer:
        learning = {"mode": "settle_then_update", "rule": rule, **sections.pop("learning", {})}
        if learning["mode"] != "always_on":
            learning = {"rate": 0.01, "optimizer": "sgd", **learning}
        kind = trainers.get(learning["mode"])
        scenario = make_scenario(**{"synapse": "pair", **sections}, learning=learning)
        return kind(scenario, build(scenario, only_chips), load(scenario.data, scenario.seed))

    return make


NEURONS = {"backpropagation": {"model": "backpropagation"}, "dyad": {"model": "dp_transposed", "beta": 1e-4}}
CLOSE = {"backpropagation": 1e-11, "dyad": 1e-9}
"""Dyads have the gradient of where the network is linear: to rounding, over beta, where no unit changes sides."""


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("neuron", list(NEURONS))
def test_a_network_trained_on_single_samples_is_the_published_algorithm(make_trainer, name, neuron):
    """Two layers of ReLU units and linear outputs, with the backpropagated gradient of half the square error."""
    trainer = make_trainer(
        name,
        layers=(12, 8, 3),
        neuron=NEURONS[neuron],
        dynamics={"clock": "sweep", "sweeps": 3},
        learning={"batch": 1, "rate": 0.02, "bias_rate": 0.003},
    )
    layers = [Published(own.weights[0].numpy().copy(), name != "dual_weight", 0.02) for own in trainer.network.synapses]
    biases = [np.zeros(8), np.zeros(3)]
    for step in range(40):
        rows = trainer._batch(0, step)
        x, y = trainer.dataset.train_inputs[rows][0].numpy(), trainer.dataset.train_targets[rows][0].numpy()
        drive = layers[0].weights @ x + biases[0]
        hidden = np.maximum(drive, 0)
        error = layers[1].weights @ hidden + biases[1] - y
        below = (layers[1].weights.T @ error) * (drive > 0)
        for layer, bias, gradient, read in zip(layers, biases, (below, error), (x, hidden), strict=True):
            layer.learn(gradient, read)
            bias -= 0.003 * gradient
        trainer.advance()
    for layer, synapse in zip(layers, trainer.network.synapses, strict=True):
        assert np.abs(layer.minus).max() > 1e-3
        np.testing.assert_allclose(synapse.weight[0, 0], layer.plus, rtol=0, atol=CLOSE[neuron])
        np.testing.assert_allclose(synapse.weight[0, 1], layer.minus, rtol=0, atol=CLOSE[neuron])


@pytest.mark.parametrize("name", RULES)
def test_kernels_learn_from_every_position_at_which_they_are_read(make_trainer, name):
    """The first update of a layer of 2 x 2 kernels on 8 x 8 pixels, against a loop over samples and positions."""
    trainer = make_trainer(
        name,
        data="digits",
        layers=("1x8x8", {"conv": 3, "kernel": 2}, 10),
        neuron="backpropagation",
        dynamics="sweep",
        learning={"batch": 4, "rate": RATE},
    )
    synapse = trainer.network.synapses[0]
    kernels, outputs = synapse.weights[0].numpy().copy(), trainer.network.synapses[1].weights[0].numpy().copy()
    rows = trainer._batch(0, 0)
    trainer.advance()
    change = np.zeros((2, *kernels.shape))
    for image, target in zip(trainer.dataset.train_inputs[rows], trainer.dataset.train_targets[rows], strict=True):
        pixels = image.view(8, 8).numpy()
        patches = {(i, j): pixels[i : i + 2, j : j + 2].ravel() for i in range(7) for j in range(7)}
        drives = np.array([[kernel @ patches[i, j] for i in range(7) for j in range(7)] for kernel in kernels])
        error = outputs @ np.maximum(drives, 0).ravel() - target.numpy()
        gradients = (outputs.T @ error).reshape(3, 49) * (drives > 0)
        for position, patch in enumerate(patches.values()):
            alone = Published(kernels, stabilised=name != "dual_weight")
            alone.learn(gradients[:, position], patch)
            change += np.stack((alone.plus - kernels, alone.minus)) / 4
    expected = np.stack((kernels, np.zeros_like(kernels))) + change
    np.testing.assert_allclose(synapse.weight[0], expected, rtol=0, atol=1e-12)


def test_initial_weights_are_he_normal_with_a_gain_of_root_two(make_network):
    network = make_network((400, 300, 10), network={"gain": math.sqrt(2)}, synapse="pair")
    assert network.synapses[0].weight[:, 0].std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.01)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_with_non_negative_sets_and_inputs_no_quantity_is_ever_negative(make_trainer, name, optimizer):
    rate = 1e-3 if optimizer == "adam" else 0.05
    trainer = make_trainer(
        name,
        data={"name": "digits", "normalise": "range"},
        layers=(64, 24, 10),
        synapse={"model": "pair", "non_negative": True},
        dynamics="sweep",
        learning={"batch": 32, "optimizer": optimizer, "rate": rate},
    )
    assert trainer.dataset.train_inputs[:].min() >= 0
    for _ in range(30):
        trainer.advance()
        assert all(bool((own.weight >= 0).all()) for own in trainer.network.synapses)
        assert bool((trainer.simulation.state[0] >= 0).all()), "hidden rates"


def test_with_plain_descent_no_set_is_ever_cut_off(make_trainer):
    """Each set is a mean of inputs and of where it began, so it stays non-negative by itself."""
    trained = []
    for non_negative in (True, False):
        trainer = make_trainer(
            data={"name": "digits", "normalise": "range"},
            layers=(64, 24, 10),
            synapse={"model": "pair", "non_negative": True},
            dynamics="sweep",
            learning={"batch": 8, "rate": 0.05},
        )
        for synapse in trainer.network.synapses:
            synapse.non_negative = non_negative
        for _ in range(60):
            trainer.advance()
        trained.append([own.weight.clone() for own in trainer.network.synapses])
    for cut, free in zip(*trained, strict=True):
        assert torch.equal(cut, free)


ON_DIGITS = {
    "dyads": {},
    "backpropagation": {"neuron": "backpropagation"},
    "two_phases": {
        "neuron": {"model": "hopfield", "beta": 0.1},
        "network": {"gain": 0.7},
        "dynamics": {"clock": "sweep", "sweeps": 10},
        "learning": {"mode": "equilibrium_propagation", "batch": 8, "rate": 0.1, "epochs": 2},
    },
}


@pytest.mark.parametrize("sections", ON_DIGITS.values(), ids=ON_DIGITS.keys())
def test_digits_are_learned(make_trainer, sections):
    learning = {"batch": 32, "rate": 0.5, "epochs": 3, **sections.get("learning", {})}
    whole = {
        "data": "digits",
        "layers": (64, 32, 10),
        "network": {"gain": math.sqrt(2)},
        "dynamics": "sweep",
        **sections,
    }
    trainer = make_trainer("dual_weight_stabilised", **{**whole, "learning": learning})
    for _ in range(trainer.total_updates):
        trainer.advance()
    assert trainer.evaluate()[0]["test_accuracy"] > 0.8


ALWAYS_ON = {"mode": "always_on", "dwell": "8 us", "tau_weights": "40 us", "batch": 4}


def asked_for(trainer, monkeypatch):
    """What is asked of the synapses in a dwell: their number, the update, and numbers of its stream."""
    asked = []
    for k, synapse in enumerate(trainer.network.synapses):

        def note(update, stream, k=k, apply_update=synapse.apply_update):
            asked.append((k, update, stream.child("any").normal((4,))))
            return apply_update(update, stream)

        monkeypatch.setattr(synapse, "apply_update", note)
    trainer.advance()
    return asked


def test_a_write_after_many_steps_takes_at_most_all_of_a_line(make_trainer, monkeypatch):
    """Rates 0.5 at each of eight steps; what exceeds all of a line becomes the weighted mean of the inputs."""
    learning = {**ALWAYS_ON, "write_every": "8 us", "tau_weights": "2 us"}
    trainer = make_trainer(layers=(12, 8, 3), dynamics={"dt": "1 us"}, learning=learning)
    shares = []
    for k, update, _ in asked_for(trainer, monkeypatch):
        assert update.decay is not None
        torch.testing.assert_close(update.decay, update.post.abs().sum(1), rtol=1e-12, atol=1e-14)
        half = trainer.network.synapses[k].weight[:, 0 if update.polarity == "plus" else 1]
        whole = update.decay > 1 - 1e-12
        mean = torch.einsum("cbo,cbi->coi", update.post.abs(), update.pre)
        torch.testing.assert_close(half[whole], mean[whole], rtol=1e-12, atol=1e-12)
        shares.append(update.decay.flatten())
    assert torch.cat(shares).max() == pytest.approx(1, abs=1e-12)
    assert torch.cat(shares).min() < 0.9, "lines that lose less are as they were"


def test_the_two_sets_are_written_with_different_random_numbers(make_trainer, monkeypatch):
    asked = asked_for(make_trainer(learning={**ALWAYS_ON, "write_every": "8 us"}), monkeypatch)
    assert [(k, own.polarity) for k, own, _ in asked] == [(k, side) for k in (0, 1) for side in ("plus", "minus")]
    drawn = torch.cat([numbers for _, _, numbers in asked])
    assert len(drawn.unique()) == drawn.numel()


def test_evolving_biases_follow_the_same_signals_whatever_the_rule_of_the_weights(make_trainer):
    """Until the end of the first dwell, when weights are written first; plain products are checked against a loop."""
    learning = {**ALWAYS_ON, "write_every": "8 us"}
    biases = []
    for name in ("dual_weight", "contrastive_hebbian"):
        trainer = make_trainer(name, learning=learning)
        trainer.advance()
        biases.append([layer.bias.clone() for layer in trainer.network.layers])
    for one, other in zip(*biases, strict=True):
        assert one.abs().max() > 1e-6
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", RULES)
def test_cells_of_a_crossbar_follow_the_two_sets_by_whole_pulses(name):
    identical = {f"{kind}_spread": 0 for kind in ("step", "upper", "lower")}
    settings = CrossbarSettings(
        device={"card": "idealized", "cycle_noise": 0, **identical},
        pair="balanced",
        weight_range=10.0,
        write={"rounding": "carry"},
    )
    crossbar, numbers = Crossbar.build(settings, start(), STREAM), PairSynapse(start())
    numbers.weight.data.copy_(torch.stack((start() / 2, -start() / 2), 1))
    rules = {crossbar: make_rule(name, 4), numbers: make_rule(name, 4)}
    signal, below = samples(200)
    for row in range(0, 200, 5):
        for synapse, rule in rules.items():
            apply(rule, synapse, signal[:, row : row + 5], below[:, row : row + 5], 5)
    table = crossbar.conductances()
    sets = [table.scale * (cells - crossbar.mapping.resting) for cells in (table.plus, table.minus)]
    pulse = table.scale * crossbar.device.increment
    assert (numbers.weights - start()).abs().max() > 10 * pulse
    torch.testing.assert_close(torch.stack(sets, 1), numbers.weight.data, rtol=0, atol=1.5 * pulse)


@pytest.mark.slow
def test_digits_are_learned_by_cells_that_were_measured(make_trainer):
    synapse = {"model": "crossbar", "pair": "balanced", "device": "ecram_mo", "weight_range": "16/sqrt(fan_in)"}
    trainer = make_trainer(
        "dual_weight_stabilised",
        data="digits",
        layers=(64, 32, 10),
        network={"gain": math.sqrt(2)},
        synapse=synapse,
        dynamics="sweep",
        learning={"batch": 32, "rate": 0.5, "optimizer": "pulses", "epochs": 3},
    )
    for _ in range(trainer.total_updates):
        trainer.advance()
    assert trainer.evaluate()[0]["test_accuracy"] > 0.75


def test_a_stream_of_digits_is_learned_by_weights_that_evolve(make_trainer):
    trainer = make_trainer(
        "dual_weight_stabilised",
        data="digits",
        layers=(64, 24, 10),
        network={"gain": math.sqrt(2)},
        dynamics={"dt": "1 us"},
        learning=ALWAYS_ON,
    )
    for _ in range(150):
        trainer.advance()
    assert trainer.evaluate()[0]["test_accuracy"] > 0.5


@pytest.mark.parametrize("learning", [{"batch": 5}, {**ALWAYS_ON, "write_every": "3 us"}], ids=["batches", "always_on"])
def test_restored_training_goes_on_with_the_same_bits(make_trainer, learning):
    one, other = (make_trainer("dual_weight_stabilised", learning=learning) for _ in range(2))
    for _ in range(3):
        one.advance()
    other.restore({name: value.clone() for name, value in one.tensors().items()})
    for trainer in (one, other):
        trainer.advance()
    first, second = one.tensors(), other.tensors()
    assert any("size0" in name for name in first)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize(
    ("sections", "path", "way_out"),
    [
        ({"synapse": "ideal"}, "learning.rule", "use pair"),
        ({"synapse": {"model": "crossbar", "pair": "reference"}}, "learning.rule", "balanced or one_sided"),
        ({"synapse": {"model": "crossbar", "pair": "offset"}}, "learning.rule", "balanced or one_sided"),
        ({"synapse": "pair", "feedback": "kolen_pollack"}, "learning.rule", "feedback: random"),
        (
            {"synapse": {"model": "pair", "non_negative": True}, "data": {"name": "digits", "normalise": "standard"}},
            "learning.rule",
            "normalise: range",
        ),
        (
            {"synapse": {"model": "pair", "non_negative": True}, "data": {"name": "digits", "train_noise": 0.1}},
            "learning.rule",
            "data.clamp",
        ),
        (
            {
                "synapse": {"model": "pair", "non_negative": True},
                "neuron": {"model": "dp_transposed", "activation": {"name": "tanh"}},
            },
            "learning.rule",
            "use relu",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["settle_then_update", "always_on"])
def test_what_a_rule_cannot_work_with_is_refused_before_the_run(sections, path, way_out, mode):
    with pytest.raises(ValueError, match=f"{path}: .*{way_out}"):
        Scenario.model_validate({"learning": {"mode": mode, "rule": "dual_weight"}, **sections})


@pytest.mark.parametrize("pair", ["balanced", "one_sided"])
def test_crossbars_with_cells_for_both_are_accepted(pair):
    scenario = Scenario.model_validate(
        {"synapse": {"model": "crossbar", "pair": pair}, "learning": {"rule": "dual_weight"}}
    )
    assert scenario.learning.optimizer == "pulses"


def test_cells_that_are_only_raised_are_refused():
    device = {"card": "idealized", "unidirectional": True, "reset_weight": -1.0}
    with pytest.raises(ValueError, match="only raised"):
        Scenario.model_validate(
            {"synapse": {"model": "crossbar", "device": device}, "learning": {"rule": "dual_weight"}}
        )


def test_sums_of_products_move_both_sets(make_trainer):
    trainer = make_trainer("contrastive_hebbian", dynamics="sweep")
    before = [own.weight.clone() for own in trainer.network.synapses]
    trainer.advance()
    for synapse, old in zip(trainer.network.synapses, before, strict=True):
        torch.testing.assert_close(synapse.weight[:, 0] - old[:, 0], old[:, 1] - synapse.weight[:, 1])
        assert not torch.equal(synapse.weight[:, 1], old[:, 1])
