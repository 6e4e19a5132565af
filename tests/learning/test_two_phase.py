"""Learning from two phases against the gradient of the settled loss, numpy's fixed points, and itself."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, pad

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import Diverged, Settling
from analogdp.learning.plasticity import PlasticityRule
from analogdp.learning.two_phase import _together
from analogdp.network import build
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

EP, CHL, COUPLED = "equilibrium_propagation", "contrastive_hebbian_learning", "coupled_learning"
MODES = [EP, CHL, COUPLED]
SETTLED = {"clock": "sweep", "sweeps": 200}
STREAM = Stream(0, "test", (0,), dtype=torch.float64)


@pytest.fixture
def make_trainer(make_scenario):
    def make(mode=EP, beta=None, layers=(5, 7, 6, 3), only_chips=None, **sections):
        variant = {"variant": sections.pop("variant")} if "variant" in sections else {}
        learning = {"mode": mode, "epochs": 2, "batch": 16, **variant, **sections.pop("learning", {})}
        neuron = {"model": "hopfield", "activation": "tanh", "beta": beta, **sections.pop("neuron", {})}
        sections = {"network": {"gain": 0.5}, "dynamics": SETTLED, **sections}
        scenario = make_scenario(layers, neuron=neuron, learning=learning, **sections)
        network = build(scenario, only_chips)
        return registry.trainers.get(mode)(scenario, network, load(scenario.data, scenario.seed))

    return make


def samples(trainer, count=4):
    data = trainer.dataset
    return data.train_inputs[:count].unsqueeze(0), data.train_targets[:count].unsqueeze(0)


def wanted(trainer):
    """The weight changes that a trainer asks for at rate 1."""
    inputs, targets = samples(trainer)
    _, rows = trainer._settle(inputs, targets, STREAM)
    return [post[0].T @ pre[0] / inputs.shape[1] for post, pre in rows]


def settled_outputs(weights, x, steps=400):
    """Outputs of a Hopfield network with two hidden layers after so many jumps, which autograd can differentiate."""
    w0, w1, w2 = weights
    second, out = x.new_zeros(len(x), len(w1)), x.new_zeros(len(x), len(w2))
    for _ in range(steps):
        first = torch.tanh(x @ w0.T + second @ w1)
        second = torch.tanh(first @ w1.T + out @ w2)
        out = second @ w2.T
    return out


def descent(trainer, outputs=settled_outputs, error=None):
    """Minus the gradient of the settled loss by the weights; of any direction of the outputs, with ``error``."""
    weights = [synapse.weights[0].clone().requires_grad_() for synapse in trainer.network.synapses]
    inputs, targets = (own[0] for own in samples(trainer))
    out = outputs(weights, inputs)
    push = (targets - out).detach() if error is None else error(out, targets).detach()
    return torch.autograd.grad((push * out).sum() / len(inputs), weights)


def distance(ours, theirs):
    pairs = list(zip(ours, theirs, strict=True))
    return math.sqrt(
        sum(float((a - b).square().sum()) for a, b in pairs) / sum(float(b.square().sum()) for _, b in pairs)
    )


@pytest.mark.parametrize(("variant", "order"), [("positive", 1), ("negative", 1), ("centred", 2)])
@pytest.mark.parametrize("output", ["proximal", "explicit"])
def test_equilibrium_propagation_approaches_the_gradient_of_the_settled_loss(make_trainer, variant, order, output):
    errors = []
    for beta in (0.04, 0.02):
        trainer = make_trainer(beta=beta, variant=variant, neuron={"output": output})
        errors.append(distance(wanted(trainer), descent(trainer)))
    assert errors[1] < (0.05, 3e-3)[order - 1]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_equilibrium_propagation_approaches_it_in_continuous_time_too(make_trainer):
    dynamics = {"dt": "0.2 us", "settle": {"tolerance": None, "at_most": "80 us"}}
    trainer = make_trainer(beta=0.01, dynamics=dynamics)
    assert distance(wanted(trainer), descent(trainer)) < 1e-3


def test_equilibrium_propagation_approaches_it_through_a_convolution_and_an_average_pool(make_trainer):
    layers = ("1x8x8", {"conv": 3, "kernel": 3, "pool": {"kind": "average", "size": 2, "of": "activity"}}, 10)
    data = {"data": "digits", "network": {"layers": layers, "gain": 0.5}}
    trainer = make_trainer(beta=0.01, layers=(64, 10), **data)

    def outputs(weights, x):
        kernels, last = weights
        drive, out = conv2d(x.view(-1, 1, 8, 8), kernels.view(3, 1, 3, 3)), x.new_zeros(len(x), 10)
        for _ in range(200):
            # The average of a window passes a quarter of what comes down to each of its neurons.
            down = (out @ last).view(-1, 3, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
            hidden = torch.tanh(drive + pad(down, (0, 6 - down.shape[-1], 0, 6 - down.shape[-2])))
            out = avg_pool2d(hidden, 2).flatten(1) @ last.T
        return out

    found = wanted(trainer)
    assert distance(found, descent(trainer, outputs)) < 1e-3


def test_contrastive_hebbian_learning_follows_numpys_fixed_points(make_trainer):
    trainer = make_trainer(CHL)
    w0, w1, w2 = (synapse.weights[0].numpy() for synapse in trainer.network.synapses)
    x, y = (own[0].numpy() for own in samples(trainer))

    def products(clamped):
        second, out = np.zeros((4, 6)), y
        for _ in range(500):
            first = np.tanh(x @ w0.T + second @ w1)
            second = np.tanh(first @ w1.T + out @ w2)
            out = y if clamped else second @ w2.T
        return [first.T @ x / 4, second.T @ first / 4, out.T @ second / 4]

    for ours, more, less in zip(wanted(trainer), products(True), products(False), strict=True):
        np.testing.assert_allclose(ours.numpy(), more - less, rtol=1e-9, atol=1e-12)


def test_coupled_learning_descends_with_errors_as_stiff_as_the_outputs(make_trainer):
    """Imposed outputs are not nudged ones: linear response turns y - s into (I - ds/da)(y - s), for each sample."""
    trainer = make_trainer(COUPLED, beta=1e-4)
    _, w1, w2 = (synapse.weights[0] for synapse in trainer.network.synapses)

    def pushed(out, targets):
        inputs = samples(trainer)[0][0]
        w0 = trainer.network.synapses[0].weights[0]
        first, second = torch.zeros(4, 7, dtype=out.dtype), torch.zeros(4, 6, dtype=out.dtype)
        for _ in range(400):
            first = torch.tanh(inputs @ w0.T + second @ w1)
            second = torch.tanh(first @ w1.T + out @ w2)
        errors = []
        for one, two, error in zip(first, second, targets - out, strict=True):
            inner = torch.diag(1 / (1 - two**2)) - w1 @ torch.diag(1 - one**2) @ w1.T
            errors.append(error - w2 @ torch.linalg.solve(inner, w2.T @ error))
        return torch.stack(errors)

    assert distance(wanted(trainer), descent(trainer, error=pushed)) < 1e-3


def test_coupled_learning_becomes_equilibrium_propagation_where_outputs_hear_little_of_themselves(make_trainer):
    ratios = []
    for gain in (0.2, 0.1):
        coupled, ep = (make_trainer(mode, beta=1e-4, network={"gain": gain}) for mode in (COUPLED, EP))
        ratios.append(distance(wanted(coupled), wanted(ep)))
    assert ratios[0] < 0.05
    assert ratios[1] < ratios[0] / 3, "by the square of the weights"


def test_contrastive_hebbian_learning_is_coupled_learning_that_goes_all_the_way(make_trainer):
    for one, other in zip(wanted(make_trainer(CHL)), wanted(make_trainer(COUPLED, beta=1.0)), strict=True):
        assert torch.equal(one, other)


class Remembering(PlasticityRule):
    """Keeps what it is asked for: a rule that wants an error for each sample."""

    products = False

    def updates(self, layer, signal, below, samples):
        raise NotImplementedError


@pytest.mark.parametrize("variant", ["positive", "centred"])
def test_a_rule_that_is_no_product_gets_one_error_for_each_sample_and_the_free_messages(make_trainer, variant):
    trainer = make_trainer(beta=0.01, variant=variant)
    trainer._rule = Remembering(0.1, [])
    inputs, targets = samples(trainer)
    _, rows = trainer._settle(inputs, targets, STREAM)
    trainer.simulation.present(inputs)
    free = [layer[0].clone() for layer in trainer.simulation.settle(whole=True).state]
    for (signal, below), message in zip(rows, [inputs, *free[:-1]], strict=True):
        assert signal.shape[1] == 4
        assert torch.equal(below, message)
    error = targets - free[-1]
    cosine = torch.nn.functional.cosine_similarity(rows[-1][0].flatten(), error.flatten(), 0)
    assert cosine > 0.95


CROSSBAR = {"model": "crossbar", "device": "ecram_mo", "dac": {"bits": 8}, "adc": {"bits": 8}}
NOISY = {
    "synapse": CROSSBAR,
    "noise": {"membrane": 0.02, "nudging": 0.05},
    "mismatch": {"tau": 0.05, "gain": 0.02, "offset": 0.01},
    "dynamics": {"settle": {"tolerance": None, "at_most": "10 us"}},
    "learning": {"rate": 0.05},
}
TOLERANT = {"dynamics": "continuous", "mismatch": {"tau": 0.2}}


@pytest.mark.parametrize(
    "sections", [{"dynamics": "sweep", "learning": {"rate": 0.01}}, NOISY], ids=["ideal", "noisy_crossbar"]
)
@pytest.mark.parametrize("mode", MODES)
def test_a_restored_trainer_goes_on_with_the_same_bits(make_trainer, mode, sections):
    whole, resumed = make_trainer(mode, **sections), make_trainer(mode, **sections)
    for _ in range(3):
        whole.advance()
    resumed.restore({name: tensor.clone() for name, tensor in whole.tensors().items()})
    for trainer in (whole, resumed):
        for _ in range(2):
            trainer.advance()
    assert resumed.evaluate() == whole.evaluate()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


@pytest.mark.parametrize("sections", [NOISY, TOLERANT], ids=["noisy_crossbar", "settled"])
def test_a_chip_learns_the_same_alone_and_among_others(make_trainer, sections):
    together, alone = make_trainer(chips=3, **sections), make_trainer(only_chips=(1,), chips=3, **sections)
    for trainer in (together, alone):
        for _ in range(3):
            trainer.advance()
    for mine, theirs in zip(alone.network.synapses, together.network.synapses, strict=True):
        torch.testing.assert_close(mine.weights[0], theirs.weights[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "sections", "accuracy"),
    [
        (EP, {"learning": {"rate": 0.01}}, 0.85),
        (CHL, {"learning": {"rate": 0.01}}, 0.85),
        (COUPLED, {"learning": {"rate": 0.01}}, 0.85),
        (EP, {"synapse": {"model": "crossbar", "device": "ecram_mo"}, "learning": {"rate": 0.1}}, 0.75),
    ],
    ids=[*MODES, "crossbar"],
)
def test_training_learns(make_trainer, mode, sections, accuracy):
    dynamics = {"clock": "sweep", "tolerance": 1e-5}
    trainer = make_trainer(
        mode, layers=(64, 32, 10), data="digits", dynamics=dynamics, run={"dtype": "float32"}, **sections
    )
    for _ in range(trainer.total_updates):
        trainer.advance()
    after = trainer.evaluate()[0]
    assert after["test_accuracy"] > accuracy
    assert (after["pulses_up"] > 0) == ("synapse" in sections)


SHORT = {"dt": "0.2 us", "settle": {"tolerance": None, "at_most": "6 us"}}
REMEMBERING = {
    "delays": {**SHORT, "axons": {"delay": "1 us"}},
    "events": {**SHORT, "axons": {"threshold": 0.01}},
    "two_step_integrator": {**SHORT, "integrator": "etd_ab2"},
    "few_sweeps": {"clock": "sweep", "sweeps": 3},
    "few_forward_sweeps": {"clock": "sweep", "order": "forward", "sweeps": 3},
}


@pytest.mark.parametrize("dynamics", REMEMBERING.values(), ids=REMEMBERING.keys())
def test_the_order_of_the_phases_after_the_free_one_does_not_matter(make_trainer, dynamics):
    one, other = (make_trainer(beta=0.05, dynamics=dynamics) for _ in range(2))
    usual = other.phases

    def swapped(prediction, label):
        factor, phases = usual(prediction, label)
        return factor, phases[::-1]

    other.phases = swapped
    assert distance(wanted(one), wanted(other)) < 1e-10


def test_events_of_all_phases_are_counted(make_trainer):
    counts = {}
    for variant in ("positive", "negative", "centred"):
        trainer = make_trainer(beta=0.5, variant=variant, dynamics=REMEMBERING["events"])
        inputs, targets = samples(trainer)
        counts[variant] = trainer._settle(inputs, targets, STREAM)[0].messages.clone()
    trainer.simulation.present(inputs)
    free = trainer.simulation.settle(whole=True).messages
    assert bool((counts["positive"].sum(0) > free.sum(0)).all())
    assert torch.equal(counts["centred"] - free, counts["positive"] - free + counts["negative"] - free)


def test_time_and_noise_go_on_where_the_network_goes_back(make_trainer):
    noise = {"coloured": {"std": 0.1, "correlation": "10 us"}, "nudging": 0.05}
    simulation = make_trainer(beta=0.1, dynamics=SHORT, noise=noise).simulation
    simulation.present(torch.ones(1, 4, 5, dtype=torch.float64), stream=STREAM)
    simulation.advance(5)
    earlier = {name: tensor.clone() for name, tensor in simulation.tensors().items()}
    simulation.advance(5)
    later = {name: tensor.clone() for name, tensor in simulation.tensors().items()}
    simulation.go_back(earlier)
    assert simulation.step == 10
    for name, tensor in simulation.tensors().items():
        goes_on = name == "step" or name.startswith("noise.")
        assert torch.equal(tensor, (later if goes_on else earlier)[name]), name


def test_a_sample_has_settled_if_it_has_in_every_phase():
    def settling(*settled_after):
        state, steps = torch.zeros(1, 1, 4, 3), torch.tensor([9])
        return Settling((state,), state[0], 9, steps, torch.tensor([settled_after]))

    together = _together([settling(3, 3, -1, -1), settling(5, -1, 5, -1)], torch.zeros(1, 4, 3))
    assert together.settled_after.tolist() == [[8, -1, -1, -1]]


@pytest.mark.parametrize(("variant", "phases"), [("positive", 2), ("centred", 3)])
def test_a_batch_takes_all_the_time_of_all_its_phases(make_trainer, variant, phases):
    trainer = make_trainer(variant=variant, dynamics={"clock": "sweep", "sweeps": 120, "tolerance": 1e-5})
    progress = trainer.advance()
    columns = trainer.evaluate()[0]
    assert progress.settle_steps == 120 * phases
    assert columns["settled_fraction"] == 1.0
    assert columns["settle_steps_mean"] < 120 * phases
    assert trainer.settings.evaluations(trainer.scenario) == phases * trainer.scenario.dynamics.evaluations()


def test_the_loss_of_a_batch_is_that_of_its_free_outputs(make_trainer):
    trainer = make_trainer(beta=0.9, learning={"rate": 1e-9})
    inputs, targets = samples(trainer)
    settling, _ = trainer._settle(inputs, targets, STREAM)
    expected = settled_outputs([synapse.weights[0] for synapse in trainer.network.synapses], inputs[0])
    torch.testing.assert_close(settling.prediction[0], expected, rtol=1e-9, atol=1e-10)


def test_divergence_in_a_later_phase_is_told(make_trainer):
    """Pushed away from the label by beta, linear outputs answer 1 / (1 - beta) times as strongly as free ones."""
    trainer = make_trainer(beta=0.95, variant="negative", layers=(5, 7, 3), neuron={"activation": "identity"})
    inputs, _ = samples(trainer)
    trainer.simulation.present(inputs)
    trainer.simulation.settle(whole=True)
    with pytest.raises(Diverged, match="passed 1e") as told:
        trainer.advance()
    assert told.value.step > trainer.simulation.clock.steps


@pytest.mark.parametrize(
    ("learning", "neuron", "message"),
    [
        (EP, "dp_transposed", "compares phases of a sample, which neuron.model: dp_transposed cannot"),
        (EP, {"model": "hopfield", "beta": 1.0}, "beta below 1, or variant: positive"),
        ({"mode": EP, "variant": "negative"}, {"model": "hopfield", "beta": 2}, "beta below 1"),
        (CHL, {"model": "hopfield", "beta": 0.5}, r"neuron\.beta is 0\.5; leave that away, or use coupled_learning"),
    ],
)
def test_contradictory_phases_are_refused_with_the_reason(learning, neuron, message):
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate({"learning": learning, "neuron": neuron})


def test_nudging_that_noise_makes_too_strong_is_refused():
    sections = {"learning": EP, "neuron": {"model": "hopfield", "beta": 0.9}, "noise": {"nudging": 0.05}}
    with pytest.raises(ValueError, match="4 standard deviations of its noise included"):
        Scenario.model_validate(sections)
