import pytest
import torch

from analogdp.network import Field


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_targets_follow_the_equations_written_out(make_network, model):
    """The whole field against one line of algebra for each layer, with alpha = 0.3 and tanh."""
    network = make_network((5, 4, 6, 3), neuron={"model": model, "alpha": 0.3, "beta": 0.4, "activation": "tanh"})
    field = Field(network, batch=2)
    x, y, state = random(1, 2, 5), random(1, 2, 3, seed=1), random(field.layout.size, seed=2)
    field.clamp(x, y, 0.4)
    one, two, three = field.layout.views(field(state))
    push, pull = (0.3, 0.7) if model == "dp" else (0.7, 0.3)
    (w0, w1, w2), (b0, b1, b2) = [s.weights[0] for s in network.synapses], [layer.bias[0] for layer in network.layers]
    (p1, m1), (p2, m2), (p3, m3) = field.layout.views(state)
    a1, a2, a3 = x @ w0.T + b0, (0.3 * p1 + 0.7 * m1) @ w1.T + b1, (0.3 * p2 + 0.7 * m2) @ w2.T + b2
    d1, d2 = (p2 - m2) @ w1, (p3 - m3) @ w2
    for got, a, d in ((one, a1, d1), (two, a2, d2)):
        torch.testing.assert_close(got, torch.tanh(torch.stack((a + push * d, a - pull * d))), rtol=1e-12, atol=1e-13)
    if model == "dp":
        expected = torch.stack(((a3 + 0.12 * y) / 1.12, (a3 - 0.28 * y) / 0.72))
    else:
        error = 0.4 * (0.3 * p3 + 0.7 * m3 - y)
        expected = torch.stack((a3 - push * error, a3 + pull * error))
    torch.testing.assert_close(three, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(field.prediction(field.output_drive), a3, rtol=1e-12, atol=1e-13)


def test_chips_do_not_touch_each_other(make_network):
    network = make_network(chips=3, mismatch={"alpha": 0.1, "offset": 0.1})
    field = Field(network, batch=2)
    field.clamp(random(1, 2, 64), random(1, 2, 10, seed=1), 0.5)
    state = random(field.layout.size, seed=2)
    before = field(state).clone()
    for view in field.layout.views(state):
        view[:, 1] += 1.0
    after = field(state)
    for old, new in zip(field.layout.views(before), field.layout.views(after), strict=True):
        assert torch.equal(old[:, [0, 2]], new[:, [0, 2]])
        assert not torch.equal(old[:, 1], new[:, 1])


def test_new_samples_forget_what_was_sent_for_the_old_ones(make_network):
    field = Field(make_network(), batch=2)
    field.clamp(random(1, 2, 64), random(1, 2, 10, seed=1), 0.5)
    field(random(field.layout.size, seed=2))
    field.clamp(random(1, 2, 64), None, 0.0)
    layer = field.parts(field.new_state())[0]
    field.read_bottom_up(0)
    field.write_target(0, layer, layer)
    assert torch.equal(layer[0], layer[1]), "no message from above is left"


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_targets_as_a_function_are_those_that_the_buffers_get_and_can_be_differentiated(make_network, model):
    network = make_network((6, 5, 4, 3), chips=2, neuron={"model": model, "beta": 0.3}, mismatch={"gain": 0.1})
    field = Field(network, batch=2)
    field.clamp(random(1, 2, 6), random(1, 2, 3, seed=1), 0.3)
    state = random(field.layout.size, seed=2)
    expected = field(state).clone()
    flat = state.clone().requires_grad_()
    targets = field.targets(field.layout.views(flat))
    for one, other in zip(targets, field.layout.views(expected), strict=True):
        assert torch.equal(torch.stack(list(one)), other)
    targets[1][0].sum().backward()
    assert flat.grad.abs().sum() > 0
