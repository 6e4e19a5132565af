"""The same small network integrated by Brian2, an independent simulator with its own equations, units and integrator."""

import numpy as np
import pytest
import torch

from analogdp.dynamics import Continuous, Euler, Simulation

brian2 = pytest.importorskip("brian2")
# Brian2's parser uses names that pyparsing is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ALPHA, BETA, TAU, DT, STEPS = 0.3, 0.4, 1e-6, 0.1e-6, 80


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brian2_states(weights, biases, x, y, push, pull, output_nudge):
    """Two layers of dyads for one sample, integrated by Brian2's own Euler method; returns [(s+, s-), ...]."""
    brian2.prefs.codegen.target = "numpy"
    brian2.start_scope()
    shared = {"alpha": ALPHA, "beta": BETA, "push": push, "pull": pull, "tau": TAU * brian2.second}
    dynamics = """
        dplus/dt = (plus_target - plus) / tau : 1
        dminus/dt = (minus_target - minus) / tau : 1
        drive : 1
        resting : 1
        label : 1
    """
    hidden = brian2.NeuronGroup(
        len(biases[0]),
        dynamics
        + """
        feedback : 1
        plus_target = tanh(resting + push * feedback) : 1
        minus_target = tanh(resting - pull * feedback) : 1
        """,
        method="euler",
        namespace=shared,
    )
    output = brian2.NeuronGroup(len(biases[1]), dynamics + output_nudge, method="euler", namespace=shared)
    up = brian2.Synapses(
        hidden,
        output,
        "w : 1\ndrive_post = w * (alpha * plus_pre + (1 - alpha) * minus_pre) : 1 (summed)",
        namespace=shared,
    )
    down = brian2.Synapses(output, hidden, "w : 1\nfeedback_post = w * (plus_pre - minus_pre) : 1 (summed)")
    for synapses, matrix in ((up, weights[1].T), (down, weights[1])):
        synapses.connect()
        synapses.w = matrix.numpy().flatten()
    hidden.resting = (weights[0] @ x + biases[0]).numpy()
    output.resting, output.label = biases[1].numpy(), y.numpy()
    network = brian2.Network(hidden, output, up, down)
    for group in (hidden, output, up, down):
        for thing in (group, *group.contained_objects):
            thing.clock.dt = DT * brian2.second
    network.run(STEPS * DT * brian2.second)
    return [(np.array(group.plus), np.array(group.minus)) for group in (hidden, output)]


NUDGES = {
    "dp": """
        plus_target = (resting + drive + push * beta * label) / (1 + push * beta) : 1
        minus_target = (resting + drive - pull * beta * label) / (1 - pull * beta) : 1
    """,
    "dp_transposed": """
        error = alpha * plus + (1 - alpha) * minus - label : 1
        plus_target = resting + drive - push * beta * error : 1
        minus_target = resting + drive + pull * beta * error : 1
    """,
}


@pytest.mark.parametrize("model", NUDGES)
def test_brian2_goes_through_the_same_states_to_1e_12(make_network, model):
    network = make_network((4, 5, 3), neuron={"model": model, "alpha": ALPHA, "beta": BETA, "activation": "tanh"})
    x, y = random(4, seed=1), random(3, seed=2)
    simulation = Simulation(network, Continuous(Euler, DT, STEPS, tolerance=None))
    simulation.present(x.view(1, 1, -1), y.view(1, 1, -1), BETA)
    ours = simulation.settle().state
    push, pull = (ALPHA, 1 - ALPHA) if model == "dp" else (1 - ALPHA, ALPHA)
    weights = [synapse.weights[0] for synapse in network.synapses]
    biases = [layer.bias[0, 0] for layer in network.layers]
    theirs = brian2_states(weights, biases, x, y, push, pull, NUDGES[model])
    for state, (plus, minus) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(state[0, 0, 0], plus, rtol=0, atol=1e-12)
        np.testing.assert_allclose(state[1, 0, 0], minus, rtol=0, atol=1e-12)
    assert (ours[0][0] - ours[0][1]).abs().max() > 1e-3, "the compartments are apart, so feedback was compared too"
