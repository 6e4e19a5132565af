from itertools import pairwise

import pytest
import torch

from analogdp.errors import InputError
from analogdp.network import Field
from analogdp.neurons import CrossEntropy, Hopfield, LeastSquares
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(seed=1, name="layer", chips=(0, 1), dtype=torch.float64)
MISMATCH = {"gain": 0.1, "offset": 0.1}
EP, CHL, COUPLED = "equilibrium_propagation", "contrastive_hebbian_learning", "coupled_learning"


def neurons(output="proximal", beta=0.5, loss=None, activation="tanh", **mismatch):
    settings = Hopfield.Settings(beta=beta, output=output, activation=activation)
    return Hopfield.build(settings, loss or LeastSquares(), MismatchSettings(**mismatch), 6, STREAM)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scenario(neuron=None, mode=EP, **sections):
    return Scenario.model_validate({"neuron": {"model": "hopfield", **(neuron or {})}, "learning": mode, **sections})


def energy(states, x, network, activation):
    """sum of G(s) - s (W s_below + b), with G the integral of the inverse of tanh, or s^2 / 2."""
    below, total = [x, *states[:-1]], 0.0
    for k, (own, synapse, layer) in enumerate(zip(states, network.synapses, network.layers, strict=True)):
        squares = own.square().sum() / 2
        entropy = (own * torch.atanh(own) + torch.log1p(-own.square()) / 2).sum() if activation == "tanh" else squares
        total = total + (squares if k == len(states) - 1 else entropy)
        total = total - (own * (below[k] @ synapse.weights[0].T + layer.bias[0])).sum()
    return total


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_settled_states_are_stationary_points_of_the_energy(make_network, activation):
    network = make_network(
        (5, 7, 6, 3), network={"gain": 0.3}, neuron={"model": "hopfield", "activation": activation}, learning=EP
    )
    field, x = Field(network, batch=4), random(1, 4, 5)
    field.clamp(x, None, 0.0)
    state = field.new_state()
    for _ in range(300):
        state.copy_(field(state))
    states = [layer[0, 0].clone().requires_grad_() for layer in field.layout.views(state)]
    slopes = torch.autograd.grad(energy(states, x[0], network, activation), states)
    for own, slope in zip(states, slopes, strict=True):
        moving = own != 0 if activation == "relu" else torch.ones_like(own, dtype=torch.bool)
        assert slope[moving].abs().max() < 1e-12
        assert (slope[~moving] >= 0).all(), "rectified neurons rest at a bound that the energy falls towards"


def test_the_energy_falls_from_step_to_step(make_network):
    network = make_network((5, 7, 6, 3), neuron={"model": "hopfield", "activation": "tanh"}, learning=EP)
    field, x = Field(network, batch=1), random(1, 1, 5)
    field.clamp(x, None, 0.0)
    state, energies = field.new_state(), []
    for _ in range(200):
        state.lerp_(field(state), 0.1)
        energies.append(float(energy([layer[0, 0] for layer in field.layout.views(state)], x[0], network, "tanh")))
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(energies))
    assert energies[-1] < energies[0] - 0.1


@pytest.mark.parametrize("loss", [LeastSquares(), CrossEntropy()])
@pytest.mark.parametrize("nudging", [0.5, -0.5])
@pytest.mark.parametrize("output", ["proximal", "explicit"])
def test_nudged_outputs_rest_where_the_nudge_is_the_gradient_there(loss, nudging, output):
    neuron, a, y = neurons(output, loss=loss), random(2, 3, 6), torch.softmax(random(1, 3, 6, seed=1), -1)
    s = (a,)
    for _ in range(1 if output == "proximal" else 60):
        s = neuron.output_target(a, y, nudging, s)
    torch.testing.assert_close(s[0], a - nudging * loss.gradient(s[0], y), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("nudging", "share"), [(1.0, 1.0), (0.3, 0.3)])
def test_clamped_outputs_go_that_share_of_the_way_to_the_label(nudging, share):
    a, y = random(2, 3, 6), random(1, 3, 6, seed=1)
    (target,) = neurons("clamped").output_target(a, y, nudging, (a,))
    torch.testing.assert_close(target, a + share * (y - a), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("mismatch", [{}, MISMATCH], ids=["nominal", "mismatched"])
@pytest.mark.parametrize("output", ["proximal", "explicit", "clamped"])
def test_results_are_the_same_with_and_without_a_buffer(output, mismatch):
    neuron, a, d, state = (
        neurons(output, **mismatch),
        random(2, 3, 6),
        random(2, 3, 6, seed=1),
        random(1, 2, 3, 6, seed=2),
    )
    y, out = random(1, 3, 6, seed=3), torch.empty(1, 2, 3, 6, dtype=torch.float64)
    for top_down in (d, None):
        neuron.target(a, top_down, state, out=out.unbind())
        assert torch.equal(out[0], neuron.target(a, top_down, state)[0])
    expected = neuron.output_target(a, y, 0.5, state)[0].clone()
    neuron.output_target(a, y, 0.5, state.unbind(), out=state.unbind())
    assert torch.equal(state[0], expected), "in place, as a sweep jumps"


def test_gain_and_offset_belong_to_the_transfer_function_and_to_the_free_outputs():
    neuron, a, d, y = neurons(**MISMATCH), random(2, 3, 6), random(2, 3, 6, seed=1), random(1, 3, 6, seed=2)
    assert neuron.gain.shape == neuron.offset.shape == (2, 1, 6)
    (hidden,) = neuron.target(a, d, (a,))
    torch.testing.assert_close(hidden, neuron.gain * torch.tanh(a + d + neuron.offset), rtol=1e-13, atol=1e-14)
    (output,) = neuron.output_target(a, y, 0.5, (a,))
    free = neuron.gain * (a + neuron.offset)
    torch.testing.assert_close(output, (free + 0.5 * y) / 1.5, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("mode", "beta", "output"), [(EP, 0.5, "proximal"), (CHL, 1.0, "clamped"), (COUPLED, 0.1, "clamped")]
)
def test_defaults_follow_the_way_of_learning(mode, beta, output):
    resolved = scenario(mode=mode)
    assert (resolved.neuron.beta, resolved.neuron.output) == (beta, output)
    assert Scenario.model_validate(resolved.model_dump(mode="json")) == resolved


@pytest.mark.parametrize(
    ("neuron", "sections", "message"),
    [
        ({}, {"mode": "settle_then_update"}, "takes errors from one presentation, which neuron.model: hopfield cannot"),
        ({}, {"mode": "always_on"}, "use contrastive_hebbian_learning or coupled_learning or equilibrium_propagation"),
        ({"output": "clamped"}, {}, "use proximal or explicit"),
        ({"output": "explicit"}, {"mode": COUPLED}, "use clamped"),
        ({"beta": 1.5}, {"mode": COUPLED}, "beyond the label; allowed: up to 1"),
        (
            {"output": "explicit", "beta": 1.5},
            {"dynamics": "sweep", "mode": {"mode": EP, "variant": "positive"}},
            "below 1,",
        ),
        ({"beta": 6}, {"network": {"loss": "cross_entropy"}, "mode": {"mode": EP, "variant": "positive"}}, "up to 5"),
        ({}, {"feedback": "random"}, "same weights in both directions"),
        ({}, {"noise": {"asymmetry": 0.1}}, "no asymmetry of nudging"),
        ({}, {"mismatch": {"alpha": 0.1}}, "no push, pull and mixing"),
    ],
)
def test_what_contradicts_hopfield_neurons_is_refused(neuron, sections, message):
    with pytest.raises(ValueError, match=message):
        scenario(neuron, **sections)


@pytest.mark.parametrize("output", [True, False])
def test_equations_name_what_they_use(output):
    neuron = neurons(**MISMATCH)
    equations = neuron.equations(neuron.Settings(beta=0.5), output)
    assert set(equations.parameters) == {"activity_gain", "activity_offset"}
    assert {"upward", "downward", "activity_target"} <= set(equations.definitions)


def test_a_proximal_output_without_closed_form_has_no_equation():
    neuron = neurons(loss=CrossEntropy())
    with pytest.raises(InputError, match=r"neuron\.output=explicit"):
        neuron.equations(neuron.Settings(beta=0.5), output=True)
