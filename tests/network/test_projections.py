"""What lies between layers against torch.nn and autograd."""

import pytest
import torch

from analogdp.network import Field
from analogdp.network import convolution as rooms
from tests.network.images import image_network, random, torch_twin

CONVOLUTIONS = {
    "plain": {"conv": 3},
    "strided": {"conv": 3, "kernel": 2, "stride": 2},
    "leaving pixels out": {"conv": 2, "kernel": 3, "stride": 3, "padding": 1},
    "padded": {"conv": 2, "kernel": 5, "padding": 2},
    "as large as the image": {"conv": 4, "kernel": 5},
    "max of drives": {"conv": 3, "padding": 1, "pool": {}},
    "overlapping average of drives": {"conv": 3, "pool": {"kind": "average", "size": 3, "stride": 1}},
    "quadratic mean of drives": {"conv": 3, "padding": 1, "pool": {"kind": "quadratic_mean"}},
    "max of activities": {"conv": 3, "pool": {"of": "activity", "size": 2, "stride": 1}},
    "average of activities": {"conv": 3, "padding": 1, "pool": {"of": "activity", "kind": "average"}},
    "quadratic mean of activities": {"conv": 3, "pool": {"of": "activity", "kind": "quadratic_mean"}},
}
SYNAPSES = {"ideal": {}, "crossbar": {"synapse": {"model": "crossbar", "device": "idealized"}}}


def make(layer, chips=1, **sections):
    """A network that begins and goes on with such a layer of images of 5 x 6."""
    return image_network(["2x6x5", layer, {"conv": 2, "kernel": 1}, 3], chips=chips, **sections)


CASES = [
    *(("ideal", "at once", chips, batch) for chips, batch in ((1, 1), (1, 4), (3, 1), (3, 4))),
    ("crossbar", "at once", 3, 4),
    ("crossbar", "in parts", 3, 4),
]


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize(("synapse", "windows", "chips", "batch"), CASES)
def test_reads_and_weight_changes_are_those_of_autograd(name, synapse, windows, chips, batch, monkeypatch):
    monkeypatch.setattr(rooms, "MOST_NUMBERS", 2**26 if windows == "at once" else 50)
    network = make(CONVOLUTIONS[name], chips, **SYNAPSES[synapse])
    for number, (projection, layer) in enumerate(zip(network.projections, network.layers, strict=True)):
        passage, wiring = projection.passage(batch), projection.wiring
        message = random(chips, batch, wiring.inputs, seed=number)
        above = random(chips, batch, wiring.outputs, seed=9)
        drives = passage.up(message, layer.bias, None, None, None)
        down = passage.down(above, None, None, None)
        post, pre = passage.rows(above, message)
        change, sums = passage.sums(above, message)
        for chip in range(chips):
            twin = torch_twin(network, chip, torch.nn.Identity)[number]
            own = message[chip].clone().requires_grad_()
            expected = twin(own)
            below, by_weights, by_bias = torch.autograd.grad(
                expected, (own, twin.weights.weight, twin.weights.bias), above[chip]
            )
            close = {"rtol": 1e-10, "atol": 1e-11}
            torch.testing.assert_close(drives[chip], expected.detach(), **close)
            torch.testing.assert_close(down[chip], below, **close)
            torch.testing.assert_close(post[chip].T @ pre[chip], by_weights.flatten(1), **close)
            torch.testing.assert_close(change[chip], by_weights.flatten(1), **close)
            torch.testing.assert_close(post[chip].sum(0), by_bias, **close)
            torch.testing.assert_close(sums[chip, 0], by_bias, **close)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_ideal_weights_and_a_read_of_all_windows_give_the_same(name):
    network = make(CONVOLUTIONS[name], chips=2)
    projection = network.projections[0]
    whole = projection.passage(3)
    windows = rooms.Unrolled(projection.wiring, projection.synapse, None, 3)
    images = random(6, *projection.wiring.read)
    torch.testing.assert_close(whole._weights.up(images), windows.up(images), rtol=1e-12, atol=1e-13)
    messages = random(6, *projection.wiring.drives)
    torch.testing.assert_close(whole._weights.down(messages), windows.down(messages), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("synapse", SYNAPSES)
def test_a_chip_reads_the_same_bits_alone_and_among_others(synapse):
    layer = CONVOLUTIONS["padded"]
    together, alone = make(layer, 3, **SYNAPSES[synapse]), make(layer, 3, run={"only_chips": (1,)}, **SYNAPSES[synapse])
    message = random(3, 4, 60)
    every, one = (own.projections[0].passage(4) for own in (together, alone))
    drives = every.up(message, None, None, None, None)
    assert torch.equal(drives[1:2], one.up(message[1:2], None, None, None, None))
    assert torch.equal(every.sums(drives, message)[0][1:2], one.sums(drives[1:2], message[1:2])[0])


def test_noise_of_a_read_differs_from_position_to_position():
    """Ones for one position's numbers alone change this position's drives alone."""
    device = {"card": "idealized", "read_noise": 0.1, "read_time": "1 us"}
    network = make({"conv": 3, "kernel": 2}, synapse={"model": "crossbar", "device": device})
    projection = network.projections[0]
    passage = projection.passage(2)
    assert projection.noise_up.total == 20 * 3
    message, noise = random(1, 2, 60), torch.zeros(1, 2, 60, dtype=torch.float64)
    noise[0, 1, 7 * 3 : 8 * 3] = 1.0
    quiet = passage.up(message, None, None, None, None)
    moved = (passage.up(message, None, None, noise, None) - quiet).view(2, 3, 20)
    assert (moved[1, :, 7] != 0).all()
    moved[1, :, 7] = 0
    assert torch.equal(moved, torch.zeros_like(moved))


def test_cells_take_the_first_numbers_of_a_sample_and_converters_the_last():
    """Cells hardly fluctuate, converters do: a position's drives change by its own numbers of converters."""
    device = {"card": "idealized", "read_noise": 1e-9, "read_time": "1 us"}
    synapse = {"model": "crossbar", "device": device, "adc": {"bits": 8, "noise": 1.0}}
    projection = make({"conv": 3, "kernel": 2}, synapse=synapse).projections[0]
    passage, numbers = projection.passage(2), projection.synapse.forward_noise
    cells, converters = 20 * numbers.cells, 20 * numbers.converters
    assert projection.noise_up.total == cells + converters
    message, noise = random(1, 2, 60), torch.zeros(1, 2, cells + converters, dtype=torch.float64)
    quiet = passage.up(message, None, None, noise, None).clone()
    own = cells + 7 * numbers.converters
    noise[0, 1, own : own + numbers.converters] = 1.0
    moved = (passage.up(message, None, None, noise, None) - quiet).view(2, 3, 20)
    assert (moved[1, :, 7] > 1e-4).all()
    moved[1, :, 7] = 0
    assert torch.equal(moved, torch.zeros_like(moved))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_targets_as_a_function_are_those_that_the_buffers_get(name):
    network = make(CONVOLUTIONS[name], chips=2, neuron={"activation": "tanh", "beta": 0.3})
    field = Field(network, batch=2)
    field.clamp(random(1, 2, 60), random(1, 2, 3, seed=1), 0.3)
    state = random(field.layout.size, seed=2)
    expected = field(state).clone()
    field(random(field.layout.size, seed=3))
    for one, other in zip(field.targets(field.layout.views(state)), field.layout.views(expected), strict=True):
        assert torch.equal(torch.stack(list(one)), other)


@pytest.mark.parametrize("name", ["max of drives", "quadratic mean of activities", "quadratic mean of drives"])
def test_the_jacobian_of_targets_is_that_of_their_differences(name):
    network = make(CONVOLUTIONS[name], neuron={"activation": "tanh", "beta": 0.3})
    field = Field(network, batch=1)
    field.clamp(random(1, 1, 60), random(1, 1, 3, seed=1), 0.3)
    state, direction = random(field.layout.size, seed=2), random(field.layout.size, seed=3)

    flat = state.clone().requires_grad_()
    targets = torch.cat([torch.stack(list(own)).flatten() for own in field.targets(field.layout.views(flat))])
    weights = random(*targets.shape, seed=4)
    (slopes,) = torch.autograd.grad(targets @ weights, flat)
    differences = (field(state + 1e-6 * direction).clone() - field(state - 1e-6 * direction)) / 2e-6
    assert float(slopes @ direction) == pytest.approx(float(differences @ weights), rel=1e-6)
