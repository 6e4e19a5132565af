import math
import warnings

import numpy as np
import pytest
import torch

from analogdp.data import load
from analogdp.dynamics import Diverged
from analogdp.errors import AnalogdpWarning
from analogdp.learning import AlwaysOnTrainer
from analogdp.network import build
from analogdp.scenario.estimate import memory_parts
from analogdp.scenario.schema import Scenario

US = 1e-6
CROSSBAR = {
    "synapse": {"model": "crossbar", "device": "ecram_mo", "dac": {"range": "calibrated"}, "adc": {"bits": 8}},
    "noise": {"membrane": 0.02, "nudging": 0.05, "coloured": {"std": 0.02}},
    "mismatch": {"tau": 0.05, "alpha": 0.02},
}
VARIANTS = {
    "ideal": {},
    "write_interval_beside_the_dwell": {"learning": {"write_every": "3.5 us"}},
    "noisy_crossbar": CROSSBAR,
    "noisy_cells": {"synapse": "crossbar", "noise": {"conductance": {"std": 0.02}}, "learning": {"batch": 4}},
    "delays_and_events": {"dynamics": {"axons": {"delay": "1 us", "threshold": 0.02}}},
    "poisson": {"dynamics": {"clock": "poisson"}},
    "feedback": {"feedback": "kolen_pollack"},
}


@pytest.fixture
def make_trainer(make_scenario):
    def make(only_chips=None, **sections):
        learning = {"mode": "always_on", "dwell": "5 us", "tau_weights": "300 us", **sections.pop("learning", {})}
        dynamics = {"dt": "0.5 us", **sections.pop("dynamics", {})}
        scenario = make_scenario(learning=learning, dynamics=dynamics, **sections)
        return AlwaysOnTrainer(scenario, build(scenario, only_chips), load(scenario.data, scenario.seed))

    return make


def train(trainer, updates):
    return [trainer.advance() for _ in range(updates)]


def weights(trainer):
    return [synapse.weights.clone() for synapse in trainer.network.synapses]


def test_a_stream_of_digits_is_learned(make_trainer):
    learning = {"batch": 4, "dwell": "8 us", "tau_weights": "150 us"}
    trainer = make_trainer(layers=(64, 32, 10), data="digits", dynamics={"dt": "1 us"}, learning=learning)
    before = trainer.evaluate()[0]
    train(trainer, trainer.updates_per_epoch)
    after = trainer.evaluate()[0]
    assert after["test_accuracy"] > 0.8 > 0.3 > before["test_accuracy"]
    assert after["epoch"] == trainer.epoch == 1


def test_neurons_and_weights_follow_their_equations(make_trainer):
    """Against a loop in numpy, ten dwells of four samples, two streams: equal to 1e-12."""
    trainer = make_trainer(neuron={"alpha": 0.3, "activation": "tanh"}, learning={"batch": 2, "tau_bias": "200 us"})
    w1, w2 = (matrix[0].numpy().copy() for matrix in weights(trainer))
    b1, b2 = np.zeros((1, 12)), np.zeros((1, 10))
    hidden, output = np.zeros((2, 2, 12)), np.zeros((2, 2, 10))
    alpha, beta, gain = 0.3, 0.5, 1 - math.exp(-0.5)
    data, order = trainer.dataset, trainer._order.of(0)
    for update in range(10):
        rows = order[2 * update : 2 * update + 2]
        x, y = data.train_inputs[rows].numpy(), data.train_targets[rows].numpy()
        for _ in range(10):
            mean = alpha * hidden[0] + (1 - alpha) * hidden[1]
            down = (output[0] - output[1]) @ w2
            a1, a2 = x @ w1.T + b1, mean @ w2.T + b2
            slope = alpha * output[0] + (1 - alpha) * output[1] - y
            hidden += gain * (np.tanh([a1 + (1 - alpha) * down, a1 - alpha * down]) - hidden)
            output += gain * (np.array([a2 - (1 - alpha) * beta * slope, a2 + alpha * beta * slope]) - output)
            post1, post2 = (hidden[0] - hidden[1]) / beta, (output[0] - output[1]) / beta
            w1 += 0.5 / 300 * post1.T @ x / 2
            w2 += 0.5 / 300 * post2.T @ mean / 2
            b1 += 0.5 / 200 * post1.mean(0)
            b2 += 0.5 / 200 * post2.mean(0)
        trainer.advance()
    for found, expected in zip(weights(trainer), (w1, w2), strict=True):
        np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=1e-12)
    for layer, expected in zip(trainer.network.layers, (b1, b2), strict=True):
        np.testing.assert_allclose(layer.bias[0].numpy(), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trainer.simulation.state[0][:, 0].numpy(), hidden, rtol=0, atol=1e-12)


def test_slow_weights_follow_the_gradient_when_the_neurons_have_settled(make_trainer):
    """Linear DP-transposed dyads in a long dwell: against autograd; errors are on their way in the first 3 of 2000 steps."""
    sections = {"neuron": {"activation": "identity"}, "network": {"bias": False, "gain": 0.5}}
    trainer = make_trainer(
        **sections,
        learning={"dwell": "20 ms", "tau_weights": "1e6 s", "write_every": "20 ms"},
        dynamics={"dt": "10 us"},
    )
    before = [matrix.clone().requires_grad_() for matrix in weights(trainer)]
    rows = trainer._order.of(0)[:1]
    drive = trainer.dataset.train_inputs[rows] @ before[0][0].mT @ before[1][0].mT
    (0.5 * (drive - trainer.dataset.train_targets[rows]).square().sum()).backward()
    trainer.advance()
    for now, then in zip(weights(trainer), before, strict=True):
        wanted = -then.grad * 20e-3 / 1e6
        assert (now - then.detach() - wanted).abs().max() < 3 / 2000 * wanted.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("moment", [3, 9])
def test_a_restored_trainer_goes_on_with_the_same_bits(make_trainer, variant, moment):
    whole = make_trainer(**VARIANTS[variant])
    train(whole, moment)
    saved = {name: tensor.clone() for name, tensor in whole.tensors().items()}
    resumed = make_trainer(**VARIANTS[variant])
    resumed.restore(saved)
    for trainer in (whole, resumed):
        train(trainer, 12 - moment)
    assert resumed.evaluate() == whole.evaluate()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


@pytest.mark.parametrize("variant", ["ideal", "noisy_crossbar"])
def test_a_chip_learns_the_same_alone_and_among_others(make_trainer, variant):
    sections = {"mismatch": {"alpha": 0.02}, **VARIANTS[variant], "chips": 3}
    together, alone = make_trainer(**sections), make_trainer(only_chips=(1,), **sections)
    for trainer in (together, alone):
        train(trainer, 5)
    for mine, theirs in zip(weights(alone), weights(together), strict=True):
        torch.testing.assert_close(mine[0], theirs[1], rtol=1e-9, atol=1e-12)
        assert not torch.allclose(theirs[0], theirs[1])


def test_neither_a_new_sample_nor_a_test_resets_the_neurons(make_trainer):
    tested, untested = make_trainer(**CROSSBAR), make_trainer(**CROSSBAR)
    states = []
    for trainer in (tested, untested):
        train(trainer, 2)
        states.append([layer.clone() for layer in trainer.simulation.state])
    tested.evaluate()
    for now, then in zip(tested.simulation.state, states[0], strict=True):
        assert torch.equal(now, then)
        assert now.abs().max() > 0
    train(tested, 2), train(untested, 2)
    assert tested.simulation.step == untested.simulation.step == 4 * 10
    for one, other in zip(weights(tested), weights(untested), strict=True):
        assert torch.equal(one, other)


def test_cells_are_written_at_the_end_of_a_write_interval_only(make_trainer):
    trainer = make_trainer(synapse="crossbar", learning={"write_every": "10 us"})
    start = weights(trainer)
    train(trainer, 1)
    assert all(torch.equal(now, then) for now, then in zip(weights(trainer), start, strict=True))
    train(trainer, 1)
    assert not any(torch.equal(now, then) for now, then in zip(weights(trainer), start, strict=True))
    row = trainer.evaluate()[0]
    assert row["pulses_up"] + row["pulses_down"] == sum(int(s.write_counts.sum()) for s in trainer.network.synapses)


@pytest.mark.parametrize("write_every", ["0.5 us", "2.5 us", "5 us"])
def test_kolen_pollack_weights_align_by_the_decay_of_every_dwell(make_trainer, write_every):
    """W - B^T shrinks by exactly 1 - decay in a dwell, whatever is learned and however often it is written."""
    feedback = {"path": "kolen_pollack", "decay": 0.1}
    trainer = make_trainer(feedback=feedback, learning={"write_every": write_every})
    network = trainer.network

    def difference():
        return network.synapses[1].weights - network.feedback_paths[1].weights.mT

    start = difference().clone()
    train(trainer, 4)
    torch.testing.assert_close(difference(), start * 0.9**4, rtol=1e-9, atol=1e-12)


def test_cells_forget_while_the_stream_runs(make_trainer):
    """With weights that hardly learn, nothing but the decay is left: exp(-t / lifetime) with t = 4 dwells of 5 us."""
    device = {"card": "capacitor", "lifetime": "100 us", "upper_spread": 0, "lower_spread": 0}
    trainer = make_trainer(synapse={"model": "crossbar", "device": device}, learning={"tau_weights": "1e9 s"})
    start = weights(trainer)
    train(trainer, 4)
    torch.testing.assert_close(weights(trainer)[0], start[0] * math.exp(-20 / 100), rtol=1e-9, atol=1e-12)


def test_the_lag_falls_with_the_dwell_and_the_drift_with_the_slowness_of_the_weights(make_trainer):
    def metrics(dwell, tau_weights):
        trainer = make_trainer(learning={"dwell": f"{dwell} us", "tau_weights": f"{tau_weights} us"})
        train(trainer, 30)
        return trainer.evaluate()[0]

    lags = [metrics(dwell, 1e5)["lag"] for dwell in (2, 5, 12)]
    assert lags[0] > 2 * lags[1] > 20 * lags[2]
    assert metrics(12, 1e5)["drift"] == pytest.approx(10 * metrics(12, 1e6)["drift"], rel=0.05)
    assert metrics(12, 100)["lag"] > 5 * lags[2], "weights that move while errors arrive"


def test_an_epoch_shows_every_sample_and_fills_its_last_batch_from_its_beginning(make_trainer):
    trainer = make_trainer(learning={"batch": 25})
    assert trainer.updates_per_epoch == 3
    shown = torch.cat([trainer._samples(update)[0][0] for update in range(3)])
    order = trainer._order.of(0)
    assert torch.equal(shown, trainer.dataset.train_inputs[torch.cat((order, order[:15]))])
    assert not torch.equal(trainer._samples(3)[0], trainer._samples(0)[0])


def test_divergence_names_the_place_and_goes_back_to_the_sample_before(make_trainer):
    trainer = make_trainer(
        neuron={"model": "dp", "alpha": 0.0, "beta": 0.9, "activation": "identity"}, network={"gain": 30}
    )
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    with pytest.raises(Diverged) as caught:
        trainer.advance()
    error = caught.value
    assert 1 <= error.step <= 10
    assert error.time == pytest.approx(error.step * 0.5 * US)
    for name, value in trainer.tensors().items():
        assert torch.equal(value, before[name]), name
    trainer.simulation.switch(*trainer._samples(0)[:2], 0.9)
    for _ in range(error.step - 1):
        trainer.simulation.advance(1)
        trainer._weights.follow()
        assert all(layer.abs().max() <= 1e6 for layer in trainer.simulation.state)


def test_every_step_of_a_watched_dwell_is_seen(make_trainer):
    class Watcher:
        every, steps = 2, []

        def look(self, simulation):
            self.steps.append(simulation.step)

    trainer = make_trainer()
    trainer.watch = lambda update: Watcher() if update == 1 else None
    train(trainer, 3)
    assert Watcher.steps == [12, 14, 16, 18, 20]


def test_a_dwell_that_is_no_multiple_of_the_step_is_rounded_with_a_warning():
    sections = {
        "dynamics": {"dt": "0.4 us"},
        "learning": {"mode": "always_on", "dwell": "5 us", "write_every": "0.8 us"},
    }
    with pytest.warns(AnalogdpWarning, match=r"learning.dwell: 5e-06 s .* taken as 5.2e-06 s") as caught:
        scenario = Scenario.model_validate(sections)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"dynamics": "sweep"}, "learning.mode: always_on needs time, which clock: sweep does not have"),
        ({"learning": {"dwell": "10 ns"}}, "learning.dwell: 1e-08 s is shorter than one time step of 2e-07 s"),
        ({"learning": {"write_every": "10 ns"}}, "learning.write_every: 1e-08 s is shorter"),
        ({"learning": {"tau_bias": 1}, "network": {"bias": False}}, "learning.tau_bias: there are no biases to train"),
        ({"learning": {"tau_weights": 0}}, "tau_weights"),
    ],
)
def test_what_cannot_be_always_on_is_refused_with_the_reason(sections, message):
    learning = {"mode": "always_on", **sections.get("learning", {})}
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate({**sections, "learning": learning})


@pytest.mark.parametrize("synapse", ["ideal", "crossbar"])
def test_a_resolved_scenario_can_be_read_back(synapse):
    scenario = Scenario.model_validate({"synapse": synapse, "learning": "always_on"})
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario
    assert scenario.learning.write_every == pytest.approx({"ideal": 0.2 * US, "crossbar": 16 * US}[synapse])


def test_events_are_counted_for_each_dwell(make_scenario):
    scenario = make_scenario(
        (8, 6, 4),
        learning={"mode": "always_on", "epochs": 1, "batch": 2, "dwell": 4e-6},
        dynamics={"axons": {"threshold": 0.01}},
    )
    trainer = AlwaysOnTrainer(scenario, build(scenario), load(scenario.data, scenario.seed))
    for _ in range(3):
        trainer.advance()
    sent = trainer.simulation.messages.sum((1, 2)) / 6
    (row,) = trainer.evaluate()
    assert (row["messages_up"], row["messages_down"]) == pytest.approx(tuple(sent.tolist()))
    assert row["messages_up"] > 0


@pytest.mark.parametrize(
    ("learning", "dynamics", "message"),
    [
        ({"dwell": "1 us"}, {"axons": {"delay": "2 us"}}, "dwell.* not longer than messages take"),
        ({"write_every": "1 s"}, {}, "write_every.* longer than the whole training"),
    ],
)
def test_times_at_which_something_would_never_happen_are_refused(make_scenario, learning, dynamics, message):
    with pytest.raises(ValueError, match=message):
        make_scenario((64, 12, 12, 10), learning={"mode": "always_on", "epochs": 1} | learning, dynamics=dynamics)


def test_what_is_gathered_for_a_write_counts_in_the_memory_estimate(make_scenario):
    learning = {"mode": "always_on", "epochs": 1000, "batch": 2, "write_every": "1 ms"}
    parts = memory_parts(make_scenario((64, 12, 10), learning=learning))
    assert parts["what is gathered for a write"] == 5000 * 2 * (12 + 10 + 64 + 12) * 8
