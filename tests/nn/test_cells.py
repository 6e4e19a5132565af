"""Layers on crossbars: against torch's own, numpy on the cells' conductances, and finite differences."""

import copy
import io

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from analogdp.errors import InputError, ScenarioError
from analogdp.nn import CrossbarConv2d, CrossbarLinear, convert, program

PERFECT = {"card": "idealized", "upper_spread": 0, "lower_spread": 0}
IDEAL = {"device": PERFECT, "weight_range": 10.0}
NOISY = {"device": {"card": "reram_sb", "read_noise": 0.02}}
CONVERTED = {**IDEAL, "tile": "4x3", "dac": {"bits": 5}, "adc": {"bits": 6}}


def linear(synapse=None, **options):
    return CrossbarLinear(6, 5, synapse=synapse, dtype=torch.float64, **options)


def convolution(synapse=None, **options):
    return CrossbarConv2d(2, 3, 3, stride=2, padding=1, synapse=synapse, dtype=torch.float64, **options)


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def twin(layer):
    """Torch's own layer with the same parameters."""
    if isinstance(layer, CrossbarLinear):
        own = nn.Linear(6, 5, dtype=torch.float64)
    else:
        own = nn.Conv2d(2, 3, 3, stride=2, padding=1, dtype=torch.float64)
    own.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    return own


CASES = [(linear, (7, 6)), (linear, (2, 3, 6)), (linear, (6,)), (convolution, (4, 2, 7, 6)), (convolution, (2, 7, 6))]


@pytest.mark.parametrize(("make", "shape"), CASES)
@pytest.mark.parametrize("state", ["training", "ideal", "programmed"])
def test_on_perfect_cells_a_layer_is_torchs(make, shape, state):
    layer, x = make(IDEAL), inputs(*shape)
    layer.train(state == "training")
    if state == "programmed":
        layer.program()
    torch.testing.assert_close(layer(x), twin(layer)(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("make", "shape"), [(linear, (2, 6)), (convolution, (1, 2, 4, 4))])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_finite_differences_where_cells_are_perfect(make, shape, training):
    layer = make(IDEAL).train(training)
    # Products are linear in either factor, so a long step has no error but that of rounding.
    x = inputs(*shape).requires_grad_()

    def read(weight, bias, own):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (own,))

    assert torch.autograd.gradcheck(read, (layer.weight, layer.bias, x), eps=1e-3, atol=1e-6)


def test_a_programmed_layer_reads_the_conductances_of_its_cells():
    layer, x = linear({"device": "reram_sb"}).eval().program(chip=3), inputs(7, 6)
    table = layer.crossbar.conductances()
    weights = table.scale * (table.plus[0].numpy() - table.minus[0].numpy())
    expected = x.numpy() @ weights.T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=0, atol=1e-12)
    assert np.abs(weights - layer.weight.detach().numpy()).max() > 0.01


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pull", [1, -1])
def test_weights_beyond_the_range_are_clipped_and_have_only_gradients_that_lead_back(training, pull):
    layer = linear({"device": PERFECT, "weight_range": 0.25}).train(training)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 30).view(5, 6))
    (pull * layer(torch.eye(6, dtype=torch.float64))).sum().backward()
    # Descent goes against the gradient: weights above the range come down by a positive one.
    expected = torch.where(pull * layer.weight < -0.25, 0.0, pull * torch.ones_like(layer.weight))
    assert torch.equal(layer.weight.grad, expected)
    read = (layer(torch.eye(6, dtype=torch.float64)) - layer.bias).T
    torch.testing.assert_close(read, layer.weight.clamp(-0.25, 0.25), rtol=0, atol=1e-12)


def test_a_weight_that_was_driven_out_of_the_range_is_trained_back():
    layer = CrossbarLinear(4, 1, False, {"device": PERFECT, "weight_range": 1.0}, dtype=torch.float64).eval()
    with torch.no_grad():
        layer.weight.fill_(1.3)
    wanted, x = torch.tensor([[0.2, -0.3, 0.5, 0.1]], dtype=torch.float64), inputs(64, 4)
    optimizer = torch.optim.SGD(layer.parameters(), 0.2)
    for _ in range(100):
        optimizer.zero_grad()
        (layer(x) - x @ wanted.T).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), wanted, rtol=0, atol=1e-6)


def test_the_range_is_that_of_the_cells_whose_sides_may_be_unequal():
    layer = linear({"device": "reram_sb", "weight_range": 0.25}).eval()
    device = layer.settings.device.device()
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 30).view(5, 6))
    read = (layer(torch.eye(6, dtype=torch.float64)) - layer.bias).T
    # Half the range of a cell stands for the range of weights.
    ends = [0.5 * (end - device.zero) / (device.high - device.low) for end in (device.low, device.high)]
    assert ends[1] > -1.5 * ends[0]
    torch.testing.assert_close(read, layer.weight.clamp(*ends), rtol=0, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_the_cells_that_were_read(training):
    layer, x = linear({"device": "reram_sb", "weight_range": 5.0}).train(training), inputs(7, 6).requires_grad_()
    if not training:
        layer.program(chip=2)
    before, slope = layer.draws.clone(), inputs(7, 5)
    (layer(x) * slope).sum().backward()
    layer.draws.copy_(before)
    cells = (layer(torch.eye(6, dtype=torch.float64)) - layer.bias).T.detach()
    assert (cells - layer.weight).abs().max() > 0.1
    torch.testing.assert_close(x.grad, slope @ cells, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.weight.grad, slope.T @ x.detach(), rtol=0, atol=1e-12)


def test_readings_in_training_and_in_evaluation_have_noise_of_their_own():
    layer, x = linear({**IDEAL, "device": {**PERFECT, "read_noise": 0.02}}).program(), inputs(7, 6)
    exact, noise = twin(layer)(x), []
    for training in (True, False):
        layer.draws.zero_()
        noise.append(layer.train(training)(x) - exact)
    assert all((own != 0).all() for own in noise)
    assert (noise[0] - noise[1]).abs().min() > 0


@pytest.mark.parametrize("make", [linear, convolution])
def test_gradients_go_straight_through_converters_and_noise(make):
    shape = (7, 6) if make is linear else (4, 2, 7, 6)
    plain, rough = (make(synapse).train() for synapse in (IDEAL, CONVERTED))
    gradients = []
    for layer in (plain, rough):
        x = inputs(*shape).requires_grad_()
        weights = torch.linspace(-1, 1, layer(x).numel(), dtype=torch.float64)
        (layer(x).flatten() * weights).sum().backward()
        gradients.append((layer.weight.grad, x.grad))
    assert not torch.equal(plain(x), rough(x))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_step_of_training_sees_other_cells_and_a_seed_gives_the_same_ones():
    one, again, other = linear(NOISY, seed=1), linear(NOISY, seed=1), linear(NOISY, seed=2)
    x = inputs(7, 6)
    first, second = one(x), one(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, again(x))
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_layers_of_other_names_have_other_cells():
    one, other = linear(NOISY, name="one"), linear(NOISY, name="other")
    other.load_state_dict(one.state_dict())
    x = inputs(7, 6)
    assert not torch.equal(one(x), other(x))


def test_a_draw_touches_no_generator_of_torchs():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    layer = linear(NOISY)
    layer(inputs(7, 6))
    layer.program().eval()(inputs(7, 6))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [linear, convolution])
def test_initial_weights_are_spread_as_torchs(make):
    layer = CrossbarLinear(100, 200) if make is linear else CrossbarConv2d(4, 700, 5)
    bound = 0.1
    assert layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert layer.bias.abs().max() <= bound


@pytest.mark.parametrize("programmed", [True, False])
def test_a_checkpoint_goes_on_with_the_same_bits(programmed, tmp_path):
    layer, x = linear(NOISY, seed=4), inputs(7, 6)
    layer(x)
    if programmed:
        layer.program().eval()(x)
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    resumed = linear(NOISY, seed=4)
    resumed.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    layer.train(not programmed)
    resumed.train(not programmed)
    assert all(torch.equal(layer(x), resumed(x)) for _ in range(3))


def test_a_checkpoint_from_before_programming_makes_an_ideal_layer():
    layer, x = linear(NOISY).eval(), inputs(7, 6)
    state, before = copy.deepcopy(layer.state_dict()), layer(x)
    layer.program()
    layer.load_state_dict(state)
    assert torch.equal(layer(x), before)


def test_torchs_own_state_dict_loads():
    own, layer, x = nn.Linear(6, 5, dtype=torch.float64), linear(IDEAL).eval(), inputs(7, 6)
    layer.load_state_dict(own.state_dict())
    torch.testing.assert_close(layer(x), own(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "synapse", [{"device": "reram_sb"}, {"device": "reram_sb", "wires": {"word_line": 50}, "tile": "4x4"}]
)
def test_a_programmed_layer_that_is_converted_or_copied_has_the_same_cells(synapse):
    layer, x = linear(synapse).eval().program(chip=3), inputs(7, 6)
    before = layer(x)
    torch.testing.assert_close(layer.float().double()(x), before, rtol=0, atol=1e-5)
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    again = linear(synapse).eval()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(again(x), layer(x))


def test_wires_lower_what_is_read():
    x = torch.ones(1, 6, dtype=torch.float64)
    layer = linear({**IDEAL, "wires": {"word_line": 1e3, "bit_line": 1e3}}).train()
    with torch.no_grad():
        layer.weight.fill_(0.5)
    drive = layer(x) - layer.bias
    assert (drive < 2.999).all()
    assert (drive > 0).all()


def test_calibrated_converters_are_fitted_to_typical_inputs_layer_after_layer():
    synapse = {**IDEAL, "adc": {"bits": 8, "range": "calibrated", "percentile": 100}}
    model = convert(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double(), synapse)
    x = inputs(50, 6)
    with pytest.raises(InputError, match="calibrated need typical inputs"):
        program(model)
    assert program(model, x).training
    model.eval()
    hidden = model[0](x) - model[0].bias
    assert model[0].crossbar.reader.adc.limits[0].item() == pytest.approx(hidden.abs().max().item(), rel=0.01)
    last = (model[1](model[0](x)) @ model[2].weight.T).abs().max().item()
    assert model[2].crossbar.reader.adc.limits[0].item() == pytest.approx(last, rel=0.01)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linear({"device": "reram_sb", "tiles": "4x4"}), "tiles"),
        (lambda: linear("no_such_card"), "no_such_card"),
        (lambda: linear({"adc": {"bits": 99}}), "adc.bits"),
    ],
)
def test_a_wrong_section_is_refused_as_in_a_scenario(make, words):
    with pytest.raises(ScenarioError, match=words):
        make()


def test_padding_in_words_is_refused():
    with pytest.raises(InputError, match="padding 'same'"):
        CrossbarConv2d(1, 2, 3, padding="same")
