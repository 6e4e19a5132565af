"""Paths of their own for what is sent down: what they start from, what they do to the dynamics and to learning."""

import math

import pytest
import torch

from analogdp.data import load
from analogdp.dynamics import Simulation
from analogdp.learning import Trainer
from analogdp.learning.plasticity import ContrastiveHebbian
from analogdp.network import Field, build
from analogdp.network.feedback import named_synapses
from analogdp.registry import clocks
from analogdp.scenario.feedback import FeedbackSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

NOISELESS = {"card": "gokmen_vlasov", **dict.fromkeys(("step_spread", "asymmetry_spread", "upper_spread"), 0)}
NOISELESS |= dict.fromkeys(("lower_spread", "cycle_noise"), 0)
LAYERS = (64, 12, 11, 10)
LINEAR = {"alpha": 0.5, "beta": 0.1, "activation": "identity"}


def crossbar(device, **more):
    return {"model": "crossbar", "device": device, **more}


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wanted_changes(network, inputs, labels):
    """What the local rule asks of every synapse, settled by an exact sweep."""
    settings = Scenario.model_validate({"dynamics": {"clock": "sweep", "sweeps": 3}}).dynamics
    simulation = Simulation(network, clocks.get("sweep").build(settings))
    simulation.present(inputs, labels, network.neurons[-1].beta)
    states = simulation.settle().state
    below = [inputs, *(neuron.upward(state) for neuron, state in zip(network.neurons, states, strict=True))]
    rule = ContrastiveHebbian(1.0, [])
    updates = [
        rule.updates(k, neuron.learning_signal(own), seen, seen.shape[1])[0]
        for k, (neuron, own, seen) in enumerate(zip(network.neurons, states, below, strict=False))
    ]
    return [update.post.mT @ update.pre for update in updates]


def make_trainer(scenario):
    return Trainer(scenario, build(scenario), load(scenario.data, scenario.seed))


def angle(one, other):
    return math.degrees(math.acos(float((one * other).sum() / (one.norm() * other.norm()))))


def test_a_bare_name_is_a_path_with_its_defaults_and_a_resolved_section_reads_back():
    scenario = Scenario.model_validate({"feedback": "kolen_pollack"})
    assert scenario.feedback == FeedbackSettings(path="kolen_pollack", gain=1.0, decay=3e-3)
    assert Scenario.model_validate(scenario.model_dump(mode="json")).feedback == scenario.feedback
    assert Scenario.model_validate({}).feedback == FeedbackSettings()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"feedback": {"gain": 2.0}}, "feedback.gain: only random weights have it"),
        ({"feedback": {"path": "random", "decay": 0.01}}, "feedback.decay: 0.01 is only used by path: kolen_pollack"),
        ({"feedback": "random", "network": {"layers": [64, 10]}}, "feedback.path: there are no hidden layers"),
        ({"feedback": "copy"}, "feedback.path: copies of ideal weights stay equal to them"),
        ({"feedback": "random", "noise": {"conductance": {}}}, "feedback.path: noise.conductance reaches only"),
        ({"feedback": "randm"}, "feedback.path"),
    ],
)
def test_what_a_path_has_no_use_for_is_refused(sections, message):
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate(sections)


def test_by_default_the_synapses_themselves_carry_messages_down(make_network):
    assert make_network(LAYERS).feedback_paths == [None, None, None]


def test_every_synapse_above_the_first_has_a_path_of_its_own_that_leads_back(make_network):
    network = make_network(LAYERS, feedback="random")
    shapes = [None if path is None else (path.inputs, path.outputs) for path in network.feedback_paths]
    assert shapes == [None, (11, 12), (10, 11)]
    assert list(named_synapses(network)) == ["synapse0", "synapse1", "synapse2", "feedback1", "feedback2"]


@pytest.mark.parametrize("path", ["random", "kolen_pollack"])
def test_random_weights_have_variance_gain_squared_over_the_fan_in_beside_and_know_nothing_of_the_others(
    make_network, path
):
    network = make_network((64, 100, 80, 10), feedback={"path": path, "gain": 2.0})
    synapse, feedback = network.synapses[1], network.feedback_paths[1]
    assert feedback.weights.std().item() == pytest.approx(2 / math.sqrt(100), rel=0.05)
    assert angle(synapse.weights, feedback.weights.mT) == pytest.approx(90, abs=2)


def test_the_other_numbers_of_a_network_do_not_depend_on_the_path(make_network):
    sections = {"synapse": crossbar("ecram_mo"), "mismatch": {"tau": 0.1}}
    one, other = (make_network(LAYERS, feedback=path, **sections) for path in ("transposed", "copy"))
    for mine, theirs in zip(one.synapses, other.synapses, strict=True):
        assert torch.equal(mine.weights, theirs.weights)
    assert torch.equal(one.layers[1].tau, other.layers[1].tau)


def test_a_copy_in_noiseless_identical_cells_is_the_transposed_read(make_network):
    """The whole field, through 6-bit converters, to rounding errors of float64."""
    sections = {"synapse": crossbar(NOISELESS, adc={"bits": 6, "range": 2.0}, dac={"bits": 6, "range": 1.0})}
    targets = []
    for path in ("transposed", "copy"):
        field = Field(make_network(LAYERS, feedback=path, **sections), batch=3)
        field.clamp(random(1, 3, 64).abs(), random(1, 3, 10, seed=1), 0.5)
        state = random(field.layout.size, seed=2)
        field(state)
        targets.append(field(state).clone())
    torch.testing.assert_close(*targets, rtol=1e-9, atol=1e-12)


def test_a_copy_has_the_weight_range_of_the_crossbar_beside_it(make_network):
    network = make_network((64, 40, 10), synapse=crossbar("ecram_mo", weight_range="8/sqrt(fan_in)"), feedback="copy")
    scales = [synapse.conductances().scale for synapse in (network.synapses[1], network.feedback_paths[1])]
    assert scales[0] == pytest.approx(scales[1], rel=1e-12)


def test_copies_differ_by_their_devices_and_every_chip_has_its_own(make_network):
    sections = {"synapse": crossbar("reram_sb"), "feedback": "copy"}
    network = make_network((64, 40, 10), chips=3, **sections)
    synapse, path = network.synapses[1], network.feedback_paths[1]
    assert torch.equal(path.target_weights, synapse.target_weights.mT)
    distance = (path.weights.mT - synapse.weights).norm() / synapse.weights.norm()
    assert 0.01 < distance < 1, "written with noise of its own"
    assert not torch.allclose(path.cell_upper[0], path.cell_upper[1])
    alone = make_network((64, 40, 10), chips=3, only_chips=(2,), **sections).feedback_paths[1]
    for name, cells in alone.named_buffers():
        torch.testing.assert_close(cells, path.get_buffer(name)[2:], rtol=0, atol=0)


def test_the_local_rule_follows_the_gradient_of_feedback_alignment(make_network):
    """A linear network of dyads against delta_k = B_k delta_(k+1) written out (Lillicrap et al. 2016), to 1e-9."""
    network = make_network(LAYERS, neuron=LINEAR, feedback="random", network={"bias": False})
    w0, w1, w2 = (synapse.weights[0] for synapse in network.synapses)
    _, b1, b2 = (None if path is None else path.weights[0] for path in network.feedback_paths)
    x, y = random(1, 5, 64), random(1, 5, 10, seed=1)
    first, second = x[0] @ w0.T, x[0] @ w0.T @ w1.T
    error3 = y[0] - second @ w2.T
    error2 = error3 @ b2.T
    error1 = error2 @ b1.T
    expected = [error.T @ below / 5 for error, below in ((error1, x[0]), (error2, first), (error3, second))]
    for got, wanted in zip(wanted_changes(network, x, y), expected, strict=True):
        torch.testing.assert_close(got[0], wanted, rtol=1e-9, atol=1e-12)


def test_a_linear_network_learns_a_teacher_and_its_updates_turn_towards_those_of_backpropagation(make_network):
    """Feedback alignment (Lillicrap et al. 2016, Fig. 1): the angle starts near 90 degrees and falls."""
    layers = (20, 15, 6)
    network = make_network(layers, neuron=LINEAR, feedback="random", network={"bias": False, "gain": 0.3})
    exact = make_network(layers, neuron=LINEAR, network={"bias": False})
    x, teacher = random(1, 100, 20), random(6, 20, seed=4) / math.sqrt(20)
    y = x @ teacher.T
    angles, losses = [], []
    for _ in range(400):
        mine = wanted_changes(network, x, y)
        for synapse, theirs in zip(network.synapses, exact.synapses, strict=True):
            theirs.parameter.copy_(synapse.weights)
        angles.append(angle(mine[0], wanted_changes(exact, x, y)[0]))
        losses.append(float((x @ (network.synapses[1].weights @ network.synapses[0].weights).mT - y).square().mean()))
        for synapse, change in zip(network.synapses, mine, strict=True):
            synapse.parameter.add_(change, alpha=0.1)
    assert angles[0] > 60
    assert angles[100] < 45
    assert losses[-1] < losses[0] / 100


PATHS = {
    "ideal": ("transposed", "kolen_pollack", "random"),
    "ecram_mo": ("transposed", "copy", "kolen_pollack", "random"),
}
CONVERTERS = {"dac": {"range": "calibrated"}, "adc": {"range": "calibrated"}}


@pytest.mark.parametrize(("weights", "path"), [(weights, path) for weights in PATHS for path in PATHS[weights]])
def test_digits_are_learned_with_every_path(weights, path):
    """Three epochs of the least network, from chance (10 %); random feedback is the slowest."""
    synapse = "ideal" if weights == "ideal" else crossbar(weights, weight_range="8/sqrt(fan_in)", **CONVERTERS)
    learning = {"epochs": 3, "batch": 16, "rate": 5e-3 if weights == "ideal" else 0.15}
    trainer = make_trainer(
        Scenario.model_validate(
            {
                "network": {"layers": [64, 32, 10]},
                "synapse": synapse,
                "feedback": path,
                "dynamics": "sweep",
                "learning": learning,
                "run": {"device": "cpu"},
            }
        )
    )
    while trainer.update < trainer.total_updates:
        trainer.advance()
    assert trainer.evaluate()[0]["test_accuracy"] > (0.7 if path == "random" else 0.85)


NOISY = {
    "synapse": crossbar("ecram_mo", **CONVERTERS),
    "noise": {"membrane": 0.02},
    "learning": {"epochs": 3, "batch": 16, "rate": 0.05},
}


@pytest.mark.parametrize(
    "sections",
    [
        {"feedback": "kolen_pollack", "learning": {"epochs": 3, "batch": 16}},
        {"feedback": "random", **NOISY},
        {"feedback": "copy", **NOISY},
        {"feedback": "kolen_pollack", **NOISY},
    ],
    ids=["kolen_pollack, ideal", "random", "copy", "kolen_pollack"],
)
def test_a_restored_training_goes_on_with_the_same_bits(make_scenario, sections):
    scenario = make_scenario((64, 12, 11, 10), **sections)
    whole, resumed = make_trainer(scenario), make_trainer(scenario)
    for _ in range(5):
        whole.advance()
    resumed.restore({name: tensor.clone() for name, tensor in whole.tensors().items()})
    for trainer in (whole, resumed):
        for _ in range(4):
            trainer.advance()
    assert any("feedback" in name for name in whole.tensors())
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


def test_converters_of_a_path_find_their_ranges(make_scenario):
    path = make_trainer(make_scenario(feedback="copy", **NOISY)).network.feedback_paths[1]
    limits = [converter.limits[0] for converter in (path.reader.dac, path.reader.adc)]
    assert all((limit > 0).all() for limit in limits)


def test_cells_of_a_path_forget_as_time_passes(make_scenario):
    """With a rate near 0 nothing but the decay is left: exp(-t / lifetime) with t = 16 samples x 20 us in each update."""
    device = {"card": "capacitor", "lifetime": "1 ms", "upper_spread": 0, "lower_spread": 0}
    settle = {"tolerance": None, "at_most": "20 us"}
    learning = {"batch": 16, "rate": 1e-12}
    trainer = make_trainer(
        make_scenario(synapse=crossbar(device), feedback="copy", learning=learning, dynamics={"settle": settle})
    )
    before = trainer.network.feedback_paths[1].weights.clone()
    for _ in range(2):
        trainer.advance()
    faded = before * math.exp(-2 * 16 * 20e-6 / 1e-3)
    torch.testing.assert_close(trainer.network.feedback_paths[1].weights, faded, rtol=1e-9, atol=1e-12)


def test_read_noise_of_a_path_is_that_of_its_own_read(make_scenario):
    """The message down to a layer, over many draws, has the standard deviation |delta| x the noise of one pair; to 5 %."""
    device = {"card": "ecram_mo", "read_noise": "5 %", "read_time": "0.2 us"}
    scenario = make_scenario((64, 400, 10), synapse=crossbar(device), feedback="random", dynamics={"dt": "0.2 us"})
    trainer = make_trainer(scenario)
    simulation, path = trainer.simulation, trainer.network.feedback_paths[1]
    inputs, labels = trainer.dataset.train_inputs[:20][None], trainer.dataset.train_targets[:20][None]
    simulation.present(inputs, labels, 0.5, Stream(1, "settling", dtype=torch.float64))
    simulation.advance(10)
    field = simulation.field
    delta, seen = field._received_down[1], field._feedback[0]
    error = (seen - path.forward(delta)) / (delta.norm(dim=-1, keepdim=True) * path.views.forward.deviation)
    assert path.views.forward.deviation > 0
    assert error.std().item() == pytest.approx(1, rel=0.05)
