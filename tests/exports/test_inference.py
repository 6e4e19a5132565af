"""Stages of inference, computed by numpy loops, against the network as a function (``analysis.gradients.forward``)."""

import numpy as np
import pytest
import torch

from analogdp.analysis.gradients import forward
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation
from analogdp.errors import InputError
from analogdp.exports import exporter
from analogdp.exports.inference import inference_stages
from analogdp.network import build

TOLERANCE = {"rtol": 1e-11, "atol": 1e-12}

SPREAD = {"std": 0.2, "compartments": 0.1}
MISMATCH = {"gain": SPREAD, "offset": SPREAD}
SWEEP = {"dynamics": "sweep"}

NEURONS = {
    "dp": {"neuron": {"model": "dp", "alpha": 0.3}},
    "dp_transposed": {"neuron": "dp_transposed"},
    "lpom": {"neuron": "lpom", **SWEEP},
    "inverted_lpom": {"neuron": "inverted_lpom", **SWEEP},
    "backpropagation": {"neuron": "backpropagation"},
    "untied": {"neuron": {"model": "untied", "activation": "step", "modulator": "rectangle"}},
    "untied, outputs too": {"neuron": {"model": "untied", "activation": "logistic", "output": "activation"}},
    "predictive_coding": {"neuron": "predictive_coding"},
    "threshold": {"neuron": "threshold"},
}

POOLS = [
    {"kind": kind, "size": 2, "stride": stride, "of": of}
    for kind in ("max", "average", "quadratic_mean")
    for stride in (1, 2)
    for of in ("drive", "activity")
]

FUNCTIONS = {
    None: lambda x: x,
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.25 * x),
    "hard_sigmoid": lambda x: np.minimum(np.maximum(x, 0), 1),
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "step": lambda x: (x >= 0).astype(float),
}

WINDOWS = {"max": np.max, "average": np.mean, "quadratic_mean": lambda window: np.sqrt(np.mean(np.square(window)))}


def pooled(values, shape, pool):
    """Flat images, window by window."""
    if pool is None:
        return values
    images = values.reshape(-1, *shape)
    result = np.empty((len(images), *pool.of(shape)))
    for index in np.ndindex(result.shape):
        sample, channel, row, column = index
        top, left = row * pool.stride, column * pool.stride
        window = images[sample, channel, top : top + pool.size, left : left + pool.size]
        result[index] = WINDOWS[pool.kind](window)
    return result.reshape(len(images), -1)


def weighted(values, stage, weights, bias):
    """What the weights give of flat messages, ``(batch, drives)``; convolutions position by position."""
    wiring, kernel = stage.wiring, stage.wiring.kernel
    bias = np.zeros(wiring.lines) if bias is None else bias
    if kernel is None:
        return values @ weights.T + bias
    images = values.reshape(-1, *wiring.read)
    sides = (kernel.padding, kernel.padding)
    images = np.pad(images, ((0, 0), (0, 0), sides, sides))
    kernels = weights.reshape(stage.kernels.shape)
    result = np.empty((len(images), *wiring.drives))
    for sample, channel, row, column in np.ndindex(result.shape):
        top, left = row * kernel.stride, column * kernel.stride
        window = images[sample, :, top : top + kernel.size, left : left + kernel.size]
        result[sample, channel, row, column] = np.sum(window * kernels[channel]) + bias[channel]
    return result.reshape(len(images), -1)


def answer(stages, inputs, folded=False):
    """What the stages make of inputs ``(batch, in)``."""
    values = inputs
    for stage in stages:
        wiring = stage.wiring
        values = pooled(values, wiring.below, wiring.activity_pool)
        weights, bias = stage.folded() if folded else (stage.weights, stage.bias)
        drive = weighted(values, stage, weights.numpy(), None if bias is None else bias.numpy())
        if stage.gain is not None and not folded:
            by_line = drive.reshape(len(drive), wiring.lines, -1)
            by_line = stage.gain.numpy()[:, None] * by_line + stage.shift.numpy()[:, None]
            drive = by_line.reshape(len(drive), -1)
        drive = pooled(drive, wiring.drives, wiring.drive_pool)
        function = FUNCTIONS[None if stage.activation is None else stage.activation.settings.name]
        terms = [[part.numpy() for part in term] for term in stage.terms]
        values = sum(weight * function(slope * (drive + offset)) for weight, slope, offset in terms)
    return values


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def check(network, inputs, folded=False):
    """Stages and function give the same outputs, which differ from sample to sample."""
    found = answer(inference_stages(network), inputs.numpy(), folded)
    np.testing.assert_allclose(found, forward(network, inputs.unsqueeze(0))[0].detach().numpy(), **TOLERANCE)
    assert np.ptp(found, axis=0).max() > 1e-3


def with_random_biases(network):
    """The same, with biases of lines of whatever shape, and running statistics of normalised drives."""
    for number, layer in enumerate(network.layers):
        if layer.bias is not None:
            layer.bias.copy_(0.3 * random(*layer.bias.shape, seed=number))
    for number, own in enumerate(network.normalisations.values()):
        for place, (name, values) in enumerate(own.state_dict().items()):
            drawn = random(*values.shape, seed=100 + 10 * number + place)
            values.copy_(drawn.abs() + 0.1 if name == "variance" else drawn)
    return network


@pytest.fixture
def make_images(make_scenario):
    """``make_images([layers above the images], ...)``: of 2 channels of 5 x 6."""

    def make(*layers, **sections):
        data = {"name": "blobs", "inputs": 60, "classes": 3}
        scenario = make_scenario((60, 3), network={"layers": ["2x5x6", *layers, 3]}, data=data, **sections)
        return with_random_biases(build(scenario))

    return make


@pytest.mark.parametrize("mismatch", [{}, MISMATCH], ids=["alike", "mismatch"])
@pytest.mark.parametrize("model", NEURONS)
def test_every_model_that_has_a_free_response_is_its_forward_pass(make_network, model, mismatch):
    network = make_network((7, 6, 5, 3), mismatch=mismatch, **NEURONS[model])
    check(network, random(4, 7))
    assert all(stage.uniform for stage in inference_stages(network)) == (not mismatch)


def settled(network, inputs):
    """What the outputs of the simulated free network are after 100 time constants, of the slowest neuron 40 or more."""
    simulation = Simulation(network, Continuous(ExponentialEuler, 2e-7, 500, tolerance=None))
    simulation.present(inputs.unsqueeze(0))
    simulation.advance(500)
    return network.neurons[-1].upward(simulation.state[-1])[0].numpy()


LISTENING = [name for name in NEURONS if not name.startswith(("untied", "backpropagation"))]
DEAF = [name for name in NEURONS if name not in LISTENING]
ALIKE = {"gain": 0.2, "offset": 0.2, "tau": {"std": 0.1, "compartments": 0.1}}
APART = {"gain": {"std": 0.0, "compartments": 0.1}, "offset": {"std": 0.0, "compartments": 0.1}}
FEEDFORWARD = ["aihwkit", "crosssim", "nir", "onnx", "safetensors"]


def mismatched(make, model, mismatch):
    """A network, or scenario, whose clock may have no use for time constants."""
    sections = NEURONS[model]
    if "dynamics" in sections:
        mismatch = {name: spread for name, spread in mismatch.items() if name != "tau"}
    return make((7, 6, 5, 3), mismatch=mismatch, **sections)


@pytest.mark.parametrize("model", NEURONS)
def test_the_simulation_settles_at_the_stages_where_compartments_are_alike(make_network, model):
    """But for what is left after 40 time constants, and the rounding."""
    network = mismatched(make_network, model, ALIKE)
    found = answer(inference_stages(network), random(4, 7).numpy())
    np.testing.assert_allclose(found, settled(network, random(4, 7)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("model", DEAF)
def test_neurons_that_do_not_listen_settle_at_the_stages_whatever_their_compartments_are(make_network, model):
    network = mismatched(make_network, model, APART)
    found = answer(inference_stages(network), random(4, 7).numpy())
    np.testing.assert_allclose(found, settled(network, random(4, 7)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("model", LISTENING)
def test_neurons_that_listen_do_not_settle_at_the_stages_where_compartments_differ(make_network, model):
    network = mismatched(make_network, model, APART)
    found = answer(inference_stages(network), random(60, 7).numpy())
    assert np.abs(found - settled(network, random(60, 7))).max() > 1e-4


def problems_of(scenario, kind, **options):
    return [str(problem) for problem in exporter(kind, **options).settings.contradictions(scenario)]


@pytest.mark.parametrize("kind", FEEDFORWARD)
@pytest.mark.parametrize("model", LISTENING)
def test_what_they_send_down_is_refused_with_the_way_out(make_scenario, model, kind):
    found = problems_of(mismatched(make_scenario, model, APART), kind)
    words = "what free neurons send down where their compartments differ"
    spread = "(mismatch.gain.compartments: 0.1, mismatch.offset.compartments: 0.1)"
    assert f"format: {kind} cannot hold {words} {spread}; to export without: lossy=[messages]" in found
    assert not any(words in one for one in problems_of(mismatched(make_scenario, model, ALIKE), kind))
    allowed = problems_of(mismatched(make_scenario, model, APART), kind, lossy=["messages"])
    assert not any(words in one for one in allowed)


@pytest.mark.parametrize("model", DEAF)
def test_what_nobody_listens_to_is_not_refused(make_scenario, model):
    assert problems_of(mismatched(make_scenario, model, APART), "onnx") == []


@pytest.mark.parametrize(("strength", "refused"), [(0.0, False), (0.5, True)])
def test_without_hidden_layers_only_an_input_that_moves_listens(make_scenario, strength, refused):
    neuron = {"model": "dp", "alpha": 0.3, "input_strength": strength}
    assert bool(problems_of(make_scenario((7, 3), neuron=neuron, mismatch=APART), "onnx")) == refused


def test_a_refusal_names_all_losses_that_are_to_be_allowed(make_scenario):
    synapse = {"model": "crossbar", "device": "pcm_gst", "pair": "one_sided", "adc": {"bits": 8}}
    scenario = make_scenario((7, 5, 3), synapse=synapse, mismatch=APART)
    found = problems_of(scenario, "crosssim", lossy=["wires"])
    assert len(found) == 3
    assert all("lossy=[converters, messages, read_noise, wires]" in one for one in found)
    assert exporter("onnx").settings.left_out(scenario) == ["messages", "converters", "read noise"]
    assert exporter("crosssim").settings.left_out(scenario) == ["messages", "converters", "read noise"]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name is not None])
def test_every_activation_is_its_forward_pass(make_network, name):
    slope = {"slope": 0.25} if name == "leaky_relu" else {}
    network = make_network((7, 6, 5, 3), neuron={"activation": {"name": name, **slope}}, mismatch=MISMATCH)
    check(network, random(4, 7))


def test_mixing_of_dyads_whose_compartments_differ_is_in_the_terms(make_network):
    network = make_network((7, 6, 3), neuron={"model": "dp", "alpha": 0.3}, mismatch={**MISMATCH, "mixing": 0.1})
    stages = inference_stages(network)
    assert len(stages[0].terms) == 2
    assert stages[0].terms[0].weight.std() > 0.05
    check(network, random(4, 7))


def test_neurons_that_settle_under_what_comes_from_above_are_refused(make_network):
    network = make_network((7, 6, 3), neuron="hopfield", learning="equilibrium_propagation")
    with pytest.raises(InputError, match="no feedforward network"):
        inference_stages(network)


def test_several_chips_are_refused(make_network):
    with pytest.raises(InputError, match="one chip is wanted, not 2"):
        inference_stages(make_network((7, 6, 3), chips=2))


def test_a_network_without_biases_has_none(make_network):
    network = make_network((7, 6, 3), network={"bias": False})
    assert all(stage.bias is None for stage in inference_stages(network))
    check(network, random(4, 7))


def test_weights_of_crossbars_are_those_that_reads_through_their_wires_find(make_network):
    synapse = {"model": "crossbar", "device": "ecram_mo", "pair": "balanced", "tile": "4x3", "wires": {}}
    check(make_network((7, 6, 3), synapse=synapse), random(4, 7))


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: "-".join(map(str, pool.values())))
def test_pools_are_taken_window_by_window(make_images, pool):
    network = make_images({"conv": 3, "kernel": 2, "pool": pool}, mismatch=MISMATCH)
    check(network, random(2, 60))


@pytest.mark.parametrize(
    "kernel", [{"kernel": 1}, {"kernel": 3, "padding": 1}, {"kernel": 3, "stride": 2}, {"kernel": 2, "stride": 2}]
)
def test_convolutions_are_taken_position_by_position(make_images, kernel):
    check(make_images({"conv": 4, **kernel}, {"conv": 2, "kernel": 2}), random(2, 60))


@pytest.mark.parametrize("folded", [False, True], ids=["apart", "folded"])
def test_normalised_drives_are_those_of_the_running_statistics(make_images, folded):
    layers = [{"conv": 3, "kernel": 2, "pool": "max", "normalise": "batch"}, {"dense": 5, "normalise": "batch"}]
    network = make_images(*layers, neuron="backpropagation", **SWEEP)
    assert all(stage.gain is not None for stage in inference_stages(network)[:2])
    check(network, random(2, 60), folded)


def test_stages_are_copies(make_network):
    network = make_network((7, 6, 3))
    stages = inference_stages(network)
    stages[0].weights.zero_()
    stages[0].bias.zero_()
    assert network.synapses[0].weights.abs().sum() > 0
    assert network.layers[0].bias.abs().sum() > 0
