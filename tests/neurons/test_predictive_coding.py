import pytest
import torch

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import Simulation
from analogdp.network import build
from analogdp.neurons import CrossEntropy, LeastSquares, PredictiveCoding
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(seed=1, name="layer", chips=(0, 1), dtype=torch.float64)
CLOCKS = {
    "continuous": {"settle": {"tolerance": None, "at_most": "150 us"}},
    "sweep": {"clock": "sweep", "sweeps": 100},
    "odd_even": {"clock": "sweep", "sweeps": 100, "order": "odd_even"},
    "random": {"clock": "sweep", "sweeps": 200, "order": "random"},
}


@pytest.fixture
def make_trainer(make_scenario):
    def make(layers=(5, 7, 6, 3), beta=0.3, **sections):
        neuron = {"model": "predictive_coding", "beta": beta, **sections.pop("neuron", {})}
        sections = {"dynamics": CLOCKS["sweep"], "network": {"gain": 0.8}, **sections}
        scenario = make_scenario(layers, neuron=neuron, **sections)
        return registry.trainers.get("settle_then_update")(
            scenario, build(scenario), load(scenario.data, scenario.seed)
        )

    return make


def neurons(loss=None, activation="tanh", **mismatch):
    settings = PredictiveCoding.Settings(beta=0.3, activation=activation)
    return PredictiveCoding.build(settings, loss or LeastSquares(), MismatchSettings(**mismatch), 6, STREAM)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def samples(trainer):
    data = trainer.dataset
    return data.train_inputs[:4].unsqueeze(0), data.train_targets[:4].unsqueeze(0)


def energy(values, weights, x, y, beta, loss):
    """F = sum over hidden layers of |s - tanh(W s_below)|^2 / 2 + beta l(W s_below) of the outputs."""
    total, below = 0.0, x
    for value, weight in zip(values, weights[:-1], strict=True):
        total = total + (value - torch.tanh(below @ weight.T)).square().sum() / 2
        below = value
    return total + beta * loss.value(below @ weights[-1].T, y).sum()


def settled(trainer):
    """Values of the hidden layers and wanted weight changes, for four samples."""
    inputs, targets = samples(trainer)
    settling, _ = trainer._settle(inputs, targets, STREAM)
    rows = trainer._signals(inputs, settling)
    values = [layer[0, 0].clone().requires_grad_() for layer in settling.state[:-1]]
    return values, [post[0].T @ pre[0] for post, pre in rows]


@pytest.mark.parametrize("loss", ["least_squares", "cross_entropy"])
@pytest.mark.parametrize("clock", CLOCKS)
def test_settled_states_are_stationary_and_the_update_descends_the_energy(make_trainer, clock, loss):
    trainer = make_trainer(dynamics=CLOCKS[clock], network={"gain": 0.8, "loss": loss})
    values, changes = settled(trainer)
    weights = [synapse.weights[0].clone().requires_grad_() for synapse in trainer.network.synapses]
    x, y = (own[0] for own in samples(trainer))
    slopes = torch.autograd.grad(energy(values, weights, x, y, 0.3, trainer.network.loss), [*values, *weights])
    for slope in slopes[:2]:
        assert slope.abs().max() < 1e-8
    for slope, change in zip(slopes[2:], changes, strict=True):
        torch.testing.assert_close(change, -slope / 0.3, rtol=1e-6, atol=1e-8)


def test_full_nudging_clamps_outputs_in_continuous_time(make_trainer):
    trainer = make_trainer(beta=1.0, dynamics=CLOCKS["continuous"])
    inputs, targets = samples(trainer)
    settling, _ = trainer._settle(inputs, targets, STREAM)
    torch.testing.assert_close(settling.state[-1][0, 0], targets[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", ["least_squares", "cross_entropy"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
def test_weakly_nudged_updates_approach_backpropagation(make_trainer, loss, activation):
    errors = []
    for beta in (0.02, 0.01):
        sections = {"network": {"gain": 0.8, "loss": loss}, "neuron": {"activation": activation}}
        trainer = make_trainer(beta=beta, **sections)
        _, changes = settled(trainer)
        weights = [synapse.weights[0].clone().requires_grad_() for synapse in trainer.network.synapses]
        x, y = (own[0] for own in samples(trainer))
        functions = {"tanh": torch.tanh, "relu": torch.relu, "logistic": torch.sigmoid}
        for weight in weights[:-1]:
            x = functions[activation](x @ weight.T)
        gradients = torch.autograd.grad(trainer.network.loss.value(x @ weights[-1].T, y).sum(), weights)
        far = sum(float((own + slope).square().sum()) for own, slope in zip(changes, gradients, strict=True))
        errors.append((far / sum(float(slope.square().sum()) for slope in gradients)) ** 0.5)
    assert errors[1] < 0.06
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.15)


def test_a_convolution_with_a_pool_approaches_backpropagation(make_trainer):
    layers = ("1x8x8", {"conv": 3, "kernel": 3, "pool": {"kind": "average", "size": 2, "of": "activity"}}, 10)
    trainer = make_trainer((64, 10), beta=1e-3, data="digits", network={"layers": layers})
    _, changes = settled(trainer)
    kernels, last = (synapse.weights[0].clone().requires_grad_() for synapse in trainer.network.synapses)
    x, y = (own[0] for own in samples(trainer))
    hidden = torch.tanh(torch.nn.functional.conv2d(x.view(-1, 1, 8, 8), kernels.view(3, 1, 3, 3)))
    out = torch.nn.functional.avg_pool2d(hidden, 2).flatten(1) @ last.T
    gradients = torch.autograd.grad((out - y).square().sum() / 2, (kernels, last))
    for change, gradient in zip(changes, gradients, strict=True):
        assert (change + gradient).norm() < 0.01 * gradient.norm()


@pytest.mark.parametrize("clock", ["continuous", "sweep"])
def test_samples_find_the_values_of_a_forward_pass_and_no_errors(make_trainer, clock):
    trainer = make_trainer(dynamics=CLOCKS[clock])
    inputs, targets = samples(trainer)
    trainer.simulation.present(inputs, targets, 0.3)
    x = inputs[0]
    for layer, synapse in zip(trainer.simulation.state, trainer.network.synapses, strict=True):
        drive = x @ synapse.weights[0].T
        x = drive if layer is trainer.simulation.state[-1] else torch.tanh(drive)
        torch.testing.assert_close(layer[0, 0], x, rtol=1e-13, atol=1e-14)
        assert torch.equal(layer[1], torch.zeros_like(layer[1]))


def test_other_neurons_start_at_zero(make_network):
    network = make_network((5, 7, 3))
    simulation = Simulation(network, registry.clocks.get("sweep")(1))
    simulation.present(random(1, 4, 5))
    assert all(torch.equal(layer, torch.zeros_like(layer)) for layer in simulation.state)


@pytest.mark.parametrize("mismatch", [{}, {"gain": 0.1, "offset": 0.1}], ids=["nominal", "mismatched"])
@pytest.mark.parametrize("loss", [LeastSquares(), CrossEntropy()])
def test_results_are_the_same_with_and_without_a_buffer(loss, mismatch):
    neuron, a, d, state = (
        neurons(loss, **mismatch),
        random(2, 3, 6),
        random(2, 3, 6, seed=1),
        random(2, 2, 3, 6, seed=2),
    )
    y, out = random(1, 3, 6, seed=3), torch.empty(2, 2, 3, 6, dtype=torch.float64)
    for top_down in (d, None):
        neuron.target(a, top_down, state, out=out.unbind())
        assert torch.equal(out, torch.stack(neuron.target(a, top_down, state)))
    expected = torch.stack(neuron.output_target(a, y, 0.3, state))
    neuron.output_target(a, y, 0.3, state.unbind(), out=state.unbind())
    assert torch.equal(state, expected), "in place, as a sweep jumps"


def test_mismatch_of_gain_and_offset_belongs_to_the_prediction():
    neuron, a, d, state = (
        neurons(gain=0.1, offset=0.1),
        random(2, 3, 6),
        random(2, 3, 6, seed=1),
        random(2, 2, 3, 6, seed=2),
    )
    (gain, other), (offset, shift) = neuron._gains, neuron._offsets
    torch.testing.assert_close(gain, other, rtol=0, atol=0)
    value, error = neuron.target(a, d, state)
    predicted = gain * torch.tanh(a + offset)
    torch.testing.assert_close(value, predicted + d, rtol=1e-13, atol=1e-14)
    slope = other * (1 - torch.tanh(a + shift) ** 2)
    torch.testing.assert_close(error, slope * (state[0] - predicted), rtol=1e-13, atol=1e-14)


def test_outputs_compare_their_value_with_the_prediction_of_the_error_compartment():
    (gain, other), (offset, shift) = gains, offsets = 1 + 0.1 * random(2, 2, 1, 6), 0.1 * random(2, 2, 1, 6, seed=1)
    a, y, state = random(2, 3, 6, seed=2), random(1, 3, 6, seed=3), random(2, 2, 3, 6, seed=4)
    neuron = PredictiveCoding(neurons().activation, LeastSquares(), 0.3, gains, offsets)
    value, error = neuron.output_target(a, y, 0.3, state)
    predicted = gain * (a + offset)
    torch.testing.assert_close(value, predicted + 0.3 * (y - predicted), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(error, state[0] - other * (a + shift), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"neuron": {"activation": "step"}}, "no slope, which predictive_coding"),
        ({"neuron": {"beta": 1.5}}, "out of range|less than or equal to 1"),
        ({"learning": "equilibrium_propagation"}, "compares phases of a sample"),
        ({"noise": {"asymmetry": 0.1}}, "no asymmetry of nudging"),
    ],
)
def test_what_contradicts_predictive_coding_is_refused(sections, message):
    neuron = {"model": "predictive_coding", **sections.pop("neuron", {})}
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate({"neuron": neuron, **sections})
