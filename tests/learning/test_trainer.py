import math

import pytest
import torch

from analogdp.data import load
from analogdp.dynamics import Diverged
from analogdp.errors import ScenarioError
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario.schema import Scenario

NOISY_CROSSBAR = {
    "synapse": {
        "model": "crossbar",
        "device": "ecram_mo",
        "dac": {"range": "calibrated"},
        "adc": {"range": "calibrated"},
    },
    "noise": {"membrane": 0.02, "nudging": 0.05},
    "mismatch": {"tau": 0.05, "alpha": 0.02, "offset": 0.001},
    "learning": {"rate": 0.05},
}
STABILISED = {"synapse": "pair", "learning": {"rate": 0.01, "rule": "dual_weight_stabilised"}}
VARIANTS = {"ideal": {"learning": {"rate": 0.01}, "mismatch": {"alpha": 0.02}}, "noisy_crossbar": NOISY_CROSSBAR}


@pytest.fixture
def make_trainer(make_scenario):
    def make(only_chips=None, **sections):
        learning = {"epochs": 3, "batch": 16, **sections.pop("learning", {})}
        scenario = make_scenario(learning=learning, **sections)
        return Trainer(scenario, build(scenario, only_chips), load(scenario.data, scenario.seed))

    return make


def train(trainer, updates=None):
    return [trainer.advance() for _ in range(updates or trainer.total_updates)]


@pytest.mark.parametrize(("variant", "rate"), [("ideal", 0.003), ("noisy_crossbar", 0.2)])
def test_training_learns(make_trainer, variant, rate):
    learning = {"epochs": 2, "batch": 16, "rate": rate}
    trainer = make_trainer(layers=(64, 32, 10), data="digits", **{**VARIANTS[variant], "learning": learning})
    before = trainer.evaluate()[0]
    progress = train(trainer)
    after = trainer.evaluate()[0]
    assert after["test_accuracy"] > 0.85 > 0.3 > before["test_accuracy"]
    assert progress[-1].loss < progress[0].loss / 2
    assert after["epoch"] == trainer.epoch == 2
    assert (after["pulses_up"] > 0) == (variant != "ideal")


def test_an_epoch_shows_every_sample_once_in_an_order_of_its_own(make_trainer):
    trainer = make_trainer()
    orders = [
        torch.cat([trainer._batch(epoch, batch) for batch in range(trainer.updates_per_epoch)]) for epoch in (0, 1)
    ]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(60))
    assert not torch.equal(*orders)


@pytest.mark.parametrize("sections", [*VARIANTS.values(), STABILISED], ids=[*VARIANTS, "a rule that remembers"])
@pytest.mark.parametrize("moment", [3, 5])
def test_a_restored_trainer_goes_on_with_the_same_bits(make_trainer, sections, moment):
    whole = make_trainer(**sections)
    train(whole, moment)
    saved = {name: tensor.clone() for name, tensor in whole.tensors().items()}
    resumed = make_trainer(**sections)
    resumed.restore(saved)
    for trainer in (whole, resumed):
        train(trainer, trainer.total_updates - moment)
    assert resumed.evaluate() == whole.evaluate()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_chip_learns_the_same_alone_and_among_others(make_trainer, variant):
    together = make_trainer(chips=3, **VARIANTS[variant])
    alone = make_trainer(only_chips=(1,), chips=3, **VARIANTS[variant])
    for trainer in (together, alone):
        train(trainer, 4)
    for mine, theirs in zip(alone.network.synapses, together.network.synapses, strict=True):
        torch.testing.assert_close(mine.weights[0], theirs.weights[1], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(together.network.synapses[0].weights[0], together.network.synapses[0].weights[1])


def test_cells_forget_while_the_samples_settle_one_after_the_other(make_trainer):
    """With a rate near 0 nothing but the decay is left: exp(-t / lifetime) with t = 16 samples x 20 us in each update."""
    device = {"card": "capacitor", "lifetime": "1 ms", "upper_spread": 0, "lower_spread": 0}
    settle = {"tolerance": None, "at_most": "20 us"}
    synapse = {"model": "crossbar", "device": device}
    trainer = make_trainer(synapse=synapse, learning={"rate": 1e-12}, dynamics={"settle": settle})
    before = trainer.network.synapses[0].weights.clone()
    train(trainer, 2)
    faded = before * math.exp(-2 * 16 * 20e-6 / 1e-3)
    torch.testing.assert_close(trainer.network.synapses[0].weights, faded, rtol=1e-9, atol=1e-12)


def test_chips_forget_for_the_time_that_they_settled_themselves(make_trainer):
    synapse = {"model": "crossbar", "device": {"card": "capacitor", "lifetime": "100 us"}}
    sections = {"chips": 3, "synapse": synapse, "mismatch": {"tau": 0.3}, "learning": {"rate": 0.05}}
    together, alone = make_trainer(**sections), make_trainer(only_chips=(2,), **sections)
    for trainer in (together, alone):
        train(trainer, 4)
    inputs = together.dataset.train_inputs[:16].unsqueeze(0)
    together.simulation.present(inputs)
    assert together.simulation.settle().chip_steps.unique().numel() > 1, "chips settle at different times"
    mine, theirs = (trainer.network.synapses[0].weights for trainer in (alone, together))
    torch.testing.assert_close(mine[0], theirs[2], rtol=1e-9, atol=1e-12)


def test_converters_are_calibrated_anew_in_every_epoch(make_trainer):
    synapse = {"model": "crossbar", "device": "idealized", "dac": {"range": "calibrated"}}
    trainer = make_trainer(synapse=synapse, learning={"rate": 0.2})

    def limits():
        return torch.cat([value.flatten() for name, value in trainer.network.state_dict().items() if "limits" in name])

    train(trainer, trainer.updates_per_epoch)
    first = limits().clone()
    train(trainer, 1)
    second = limits().clone()
    train(trainer, 1)
    assert not torch.equal(first, second), "a new epoch"
    assert torch.equal(limits(), second), "the same epoch"


def test_forgetting_needs_a_clock_with_time():
    synapse = {"model": "crossbar", "device": {"card": "capacitor", "lifetime": "1 ms"}}
    with pytest.raises(ValueError, match="clock: sweep does not have"):
        Scenario.model_validate({"synapse": synapse, "dynamics": "sweep"})


def test_divergence_names_the_place_and_leaves_the_last_weights(make_trainer):
    trainer = make_trainer(
        neuron={"model": "dp", "alpha": 0.0, "beta": 0.9, "activation": "identity"}, network={"gain": 30}
    )
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    with pytest.raises(Diverged, match="layer 1 of chip 0"):
        trainer.advance()
    assert trainer.update == 0
    for name, value in trainer.network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"learning": {"optimizer": "pulses"}}, "pulses write physical cells"),
        ({"learning": {"optimizer": "adam"}, "synapse": "crossbar"}, "takes pulses"),
        ({"learning": {"optimizer": "sgd", "momentum": 0.5}}, "only used by optimizer: momentum"),
        ({"learning": {"bias_rate": 0.5}, "network": {"bias": False}}, "no biases to train"),
    ],
)
def test_contradictory_learning_is_refused_with_the_reason(sections, message):
    with pytest.raises((ScenarioError, ValueError), match=message):
        Scenario.model_validate(sections)


@pytest.mark.parametrize("synapse", ["ideal", "crossbar"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_resolved_scenario_can_be_read_back(synapse, bias):
    scenario = Scenario.model_validate({"synapse": synapse, "network": {"bias": bias}})
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario
