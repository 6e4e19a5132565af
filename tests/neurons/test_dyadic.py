import pytest
import torch

from analogdp.neurons import CrossEntropy, DualPropagation, DualPropagationTransposed, LeastSquares, by_name
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

ALPHAS = [0.0, 0.25, 0.5, 1.0]
STREAM = Stream(seed=1, name="layer", chips=(0, 1), dtype=torch.float64)


def dyads(model, alpha=0.3, beta=0.6, loss=None, units=6, activation="tanh", **mismatch):
    settings = model.Settings(alpha=alpha, beta=beta, activation=activation)
    return model.build(settings, loss or LeastSquares(), MismatchSettings(**mismatch), units, STREAM)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("model", "push", "pull"), [(DualPropagation, 0, 1), (DualPropagationTransposed, 1, 0)])
def test_hidden_compartments_follow_equations_2_and_19(model, push, pull, alpha):
    gains = (alpha, 1 - alpha)
    neuron, a, d = dyads(model, alpha), random(2, 3, 6), random(2, 3, 6, seed=1)
    plus, minus = neuron.target(a, d, torch.zeros(2, 2, 3, 6))
    torch.testing.assert_close(plus, torch.tanh(a + gains[push] * d), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(minus, torch.tanh(a - gains[pull] * d), rtol=1e-14, atol=1e-14)


def test_messages_are_the_weighted_mean_and_the_difference():
    neuron, state = dyads(DualPropagation, alpha=0.3), random(2, 2, 3, 6)
    torch.testing.assert_close(neuron.upward(state), 0.3 * state[0] + 0.7 * state[1], rtol=1e-14, atol=1e-14)
    assert torch.equal(neuron.downward(state), state[0] - state[1])
    torch.testing.assert_close(neuron.learning_signal(state), (state[0] - state[1]) / 0.6, rtol=1e-14, atol=0)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_nudged_dp_outputs_are_those_of_equation_3_and_their_difference_has_beta_eff(alpha):
    beta, a, y = 0.6, random(2, 3, 6), random(1, 3, 6, seed=1)
    plus, minus = dyads(DualPropagation, alpha, beta).output_target(a, y, beta, torch.zeros(2, 2, 3, 6, dtype=a.dtype))
    pull = 1 - alpha
    torch.testing.assert_close(plus, (a + alpha * beta * y) / (1 + alpha * beta), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(minus, (a - pull * beta * y) / (1 - pull * beta), rtol=1e-13, atol=1e-14)
    effective = beta / ((1 + alpha * beta) * (1 - pull * beta))
    torch.testing.assert_close(plus - minus, effective * (y - a), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("loss", [LeastSquares(), CrossEntropy()])
def test_nudged_transposed_outputs_keep_their_mean_at_the_drive(loss, alpha):
    """Equation 22: s_bar = a whatever the gradient is taken at, and delta = -beta l'(s_bar)."""
    neuron, a, state = dyads(DualPropagationTransposed, alpha, loss=loss), random(2, 3, 6), random(2, 2, 3, 6, seed=2)
    y = torch.softmax(random(1, 3, 6, seed=1), -1)
    target = neuron.output_target(a, y, 0.6, state)
    torch.testing.assert_close(neuron.upward(target), a, rtol=1e-13, atol=1e-14)
    gradient = loss.gradient(neuron.upward(state), y)
    torch.testing.assert_close(neuron.downward(target), -0.6 * gradient, rtol=1e-12, atol=1e-14)


def test_linearised_dp_takes_the_gradient_at_the_drive():
    settings = DualPropagation.Settings(alpha=0.3, beta=2.0, output="linearised")
    neuron = DualPropagation.build(settings, CrossEntropy(), MismatchSettings(), 6, STREAM)
    a, y = random(2, 3, 6), torch.softmax(random(1, 3, 6, seed=1), -1)
    plus, minus = neuron.output_target(a, y, 2.0, random(2, 2, 3, 6, seed=2))
    gradient = torch.softmax(a, -1) - y
    torch.testing.assert_close(plus, a - 0.3 * 2 * gradient, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(minus, a + 0.7 * 2 * gradient, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("model", [DualPropagation, DualPropagationTransposed])
def test_free_outputs_rest_at_their_drive(model):
    a = random(2, 3, 6)
    target = dyads(model).output_target(a, None, 0.0, random(2, 2, 3, 6, seed=1))
    assert torch.equal(torch.stack(target), torch.stack((a, a)))


@pytest.mark.parametrize("model", [DualPropagation, DualPropagationTransposed])
@pytest.mark.parametrize("mismatch", [{}, {"alpha": 0.1, "gain": 0.1, "offset": 0.1}], ids=["nominal", "mismatched"])
def test_results_are_the_same_with_and_without_a_buffer(model, mismatch):
    neuron, a, d, state = dyads(model, **mismatch), random(2, 3, 6), random(2, 3, 6, seed=1), random(2, 2, 3, 6, seed=2)
    y, out = random(1, 3, 6, seed=3), torch.empty(2, 2, 3, 6, dtype=torch.float64)
    parts = out.unbind()
    for top_down in (d, None):
        neuron.target(a, top_down, state, out=parts)
        assert torch.equal(out, torch.stack(neuron.target(a, top_down, state)))
    expected = torch.stack(neuron.output_target(a, y, 0.6, state))
    neuron.output_target(a, y, 0.6, state, out=parts)
    assert torch.equal(out, expected)
    neuron.output_target(a, y, 0.6, state, out=state.unbind())
    assert torch.equal(state, expected), "in place, as a sweep jumps"


def test_gain_multiplies_the_transfer_function_and_offset_adds_to_the_drive_of_each_compartment():
    neuron, a, d = (
        dyads(DualPropagation, gain={"std": 0.1, "compartments": 0.1}, offset={"compartments": 0.2}),
        random(2, 3, 6),
        random(2, 3, 6, seed=1),
    )
    assert neuron.gain.shape == neuron.offset.shape == (2, 2, 1, 6)
    plus, minus = neuron.target(a, d, torch.zeros(2, 2, 3, 6))
    torch.testing.assert_close(
        plus, neuron.gain[0] * torch.tanh(a + 0.3 * d + neuron.offset[0]), rtol=1e-13, atol=1e-14
    )
    torch.testing.assert_close(
        minus, neuron.gain[1] * torch.tanh(a - 0.7 * d + neuron.offset[1]), rtol=1e-13, atol=1e-14
    )
    assert not torch.equal(neuron.offset[0], neuron.offset[1])


@pytest.mark.parametrize("label", [None, random(1, 3, 6, seed=3)], ids=["free", "nudged"])
def test_gain_and_offset_reach_the_outputs_too(label):
    neuron = dyads(DualPropagation, gain={"std": 0.1, "compartments": 0.1}, offset=0.2)
    plain, a, state = dyads(DualPropagation), random(2, 3, 6), random(2, 2, 3, 6, seed=2)
    expected = neuron.gain * (torch.stack(plain.output_target(a, label, 0.6, state)) + neuron.offset)
    found = torch.stack(neuron.output_target(a, label, 0.6, state))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)


def test_alpha_mismatch_draws_push_pull_and_mixing_separately_around_their_nominal_values():
    settings = DualPropagation.Settings(alpha=0.3)
    neuron = DualPropagation.build(settings, LeastSquares(), MismatchSettings(alpha=0.02), 20_000, STREAM)
    for values, nominal in ((neuron.push, 0.3), (neuron.pull, 0.7), (neuron.mix, 0.3)):
        assert values.shape == (2, 1, 20_000)
        assert values.mean().item() == pytest.approx(nominal, abs=5 * 0.02 / 200)
        assert values.std().item() == pytest.approx(0.02, rel=0.03)
    deviations = torch.stack([neuron.push[0, 0], neuron.pull[0, 0], neuron.mix[0, 0]])
    correlation = torch.corrcoef(deviations) - torch.eye(3)
    assert correlation.abs().max() < 5 / 20_000**0.5


@pytest.mark.parametrize(
    ("alpha", "beta", "sections", "limit"),
    [
        (0.2, 1.3, {}, r"s- .* below 1\.25"),
        (0.2, 1.1, {"mismatch": {"alpha": 0.05}}, r"s- .* below 1, 4 standard deviations"),
        (0.2, 1.1, {"noise": {"nudging": 0.05}}, r"s- .* below 1\.042, 4 standard deviations"),
        (1.0, 5.5, {"network": {"loss": "cross_entropy"}}, r"s\+ .* below 5"),
        (0.0, 1.0, {"network": {"loss": "cross_entropy"}}, r"s- .* below 1,"),
    ],
)
def test_a_beta_without_a_solution_for_the_outputs_is_refused_with_the_limit(alpha, beta, sections, limit):
    with pytest.raises(ValueError, match=limit):
        Scenario.model_validate({"neuron": {"model": "dp", "alpha": alpha, "beta": beta}, **sections})


def test_least_squares_has_no_upper_limit_where_nothing_is_pulled():
    scenario = Scenario.model_validate({"neuron": {"model": "dp", "alpha": 1.0, "beta": 50}})
    assert scenario.neuron.beta == 50


def test_such_a_beta_is_fine_linearised_or_transposed():
    for neuron in ({"model": "dp", "output": "linearised"}, {"model": "dp_transposed"}):
        scenario = Scenario.model_validate({"neuron": {**neuron, "alpha": 0.2, "beta": 1.3}})
        assert scenario.neuron.beta == 1.3


def test_activation_by_name_and_by_section_are_the_same():
    assert DualPropagation.Settings(activation="tanh") == DualPropagation.Settings(activation={"name": "tanh"})
    assert repr(by_name("tanh")) == "tanh"
