"""The shapes of networks, and what cannot be one."""

from itertools import product

import jsonschema
import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d

from analogdp.errors import ScenarioError
from analogdp.scenario import Scenario, load_scenario
from analogdp.scenario.architectures import layers_of
from analogdp.scenario.layers import ConvolutionSettings, ImageShape, PoolSettings, in_a_line
from analogdp.scenario.loading import dump_scenario, json_schema
from analogdp.scenario.wiring import wire

DIGITS = {"run": {"device": "cpu"}}
CONVOLUTIONAL = ["1x8x8", {"conv": 3, "padding": 1, "pool": {"of": "activity", "kind": "average"}}, {"dense": 5}, 10]


@pytest.mark.parametrize(("size", "stride", "padding"), list(product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2))))
@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (2, 1), (3, 2)])
def test_shapes_are_those_of_torchs_convolutions_and_pools(size, stride, padding, pool):
    image = torch.zeros(1, 2, 11, 9)
    drives = conv2d(image, torch.zeros(3, 2, size, size), stride=stride, padding=padding)
    if min(drives.shape[2:]) < pool[0]:
        pytest.skip("nothing to pool")
    pooled = avg_pool2d(drives, *pool)
    for of in ("drive", "activity"):
        settings = PoolSettings(size=pool[0], stride=pool[1], of=of)
        layer = ConvolutionSettings(conv=3, kernel=size, stride=stride, padding=padding, pool=settings)
        first, second = wire([ImageShape(2, 11, 9), layer, 4])
        assert first.drives == drives.shape[1:]
        assert first.above == (pooled if of == "drive" else drives).shape[1:]
        assert (first.fan_in, first.lines, first.positions) == (2 * size**2, 3, drives[0, 0].numel())
        assert second.read == pooled.shape[1:]
        assert (second.fan_in, second.lines, second.positions) == (pooled.numel(), 4, 1)


def test_a_network_of_dense_layers_is_plain_whatever_its_input():
    wirings = wire([ImageShape(1, 8, 8), 20, 10])
    assert all(wiring.plain for wiring in wirings)
    assert [wiring.fan_in for wiring in wirings] == [64, 20]


@pytest.mark.parametrize(
    "network", [{"layers": CONVOLUTIONAL}, {"architecture": "mlp-30-20"}, {"layers": (64, 20, 10)}]
)
def test_a_resolved_scenario_loads_again_unchanged(network, tmp_path):
    path = tmp_path / "resolved.yaml"
    scenario = Scenario(network=network, **DIGITS)
    path.write_text(dump_scenario(scenario))
    again = load_scenario(path)
    assert again == scenario
    assert dump_scenario(again) == dump_scenario(scenario)
    assert again.sizes == scenario.sizes


def test_null_layers_make_room_for_an_architecture(tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text("network: {layers: [64, 20, 10]}")
    scenario = load_scenario(path, ["network.layers=null", "network.architecture=mlp-32"])
    assert scenario.network.layers == (64, 32, 10)
    jsonschema.validate({"network": {"layers": None, "architecture": "mlp-32"}}, json_schema())


@pytest.mark.parametrize("kind", ["max", "average", "quadratic_mean"])
def test_a_bare_kind_of_pool_has_its_defaults(kind):
    layers = ["1x8x8", {"conv": 3, "pool": kind}, 10]
    assert Scenario(network={"layers": layers}, **DIGITS).network.layers[1].pool == PoolSettings(kind=kind)
    jsonschema.validate({"network": {"layers": layers}}, json_schema())


def test_the_architecture_mlp_alone_has_no_hidden_layer():
    assert Scenario(network={"architecture": "mlp"}, **DIGITS).network.layers == (64, 10)


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ([64, 32, 10], "64-32-10"),
        (["1x8x8", {"conv": 6, "pool": "max"}, 32, 10], "1x8x8 - conv 6 (3x3), max 2 - 32 - 10"),
        (
            ["1x8x8", {"conv": 3, "padding": 1, "stride": 2, "pool": {"of": "activity", "kind": "quadratic_mean"}}, 10],
            "1x8x8 - conv 3 (3x3), stride 2, padding 1, quadratic mean 2 of activities - 10",
        ),
        ([64, {"dense": 5}, 10], "64 - 5 - 10"),
    ],
)
def test_layers_in_a_line_tell_images_from_units(layers, line):
    assert in_a_line(Scenario(network={"layers": layers}, **DIGITS).network.layers) == line


def test_lenet5_and_vgg16_have_the_published_numbers_of_weights():
    """LeNet-5 with full connections, 61 470 weights without biases; VGG16 of 224 x 224: 138 344 128 (configuration D)."""

    def weights(name, shape, outputs):
        return sum(own.fan_in * own.lines for own in wire(layers_of(name, shape, outputs)))

    assert weights("lenet5", (1, 28, 28), 10) == 150 + 2400 + 48000 + 10080 + 840
    assert weights("vgg16", (3, 224, 224), 1000) == 138_344_128


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("layers: [64, {conv: 3}, 10]", "network.layers.1: a convolution needs an image below it, not 64 units"),
        ("layers: [1x8x8, 20, {conv: 3}, 10]", "network.layers.2: a convolution needs an image below it, not 20"),
        ("layers: [1x8x8, {conv: 3, kernel: 9}, 10]", "network.layers.1.kernel: 9 is larger than its image of 8 x 8"),
        ("layers: [1x8x8, {conv: 3, pool: {size: 7}}, 10]", "network.layers.1.pool.size: 7 is larger than its image"),
        (
            "layers: [1x8x8, {conv: 3, pool: {size: 7, of: activity}}, 10]",
            "network.layers.1.pool.size: 7 is larger than its image of 6 x 6; allowed: up to 6",
        ),
        ("layers: [1x8x8, {conv: 3, stride: 0}, 10]", "network.layers.1.stride: 0 is out of range; allowed: 1 to"),
        ("layers: [1x8x8, {conv: 3}]", "network.layers.1: the last layer, the output, is a number of units"),
        ("layers: [64, 1x8x8, 10]", "network.layers.1: 1x8x8 is a shape, which only the first layer"),
        ("layers: [8x8, 5, 10]", "network.layers.0: expected units, a shape such as 1x28x28, or a section"),
        ("layers: [{dense: 5}, 10]", "network.layers.0: the first layer is the input: a number, or a shape"),
        ("layers: [1x8x8, {conv: 3, kernal: 3}, 10]", "unknown key 'kernal'; did you mean 'kernel'"),
        ("layers: [1x8x8, {conv: 3}, 7]", "network.layers: the last layer has 7 units, but digits has 10 outputs"),
        ("layers: [2x8x8, {conv: 3}, 10]", "network.layers: the first layer has 128 units, but digits has 64 inputs"),
        ("layers: [4x4x4, {conv: 3}, 10]", "network.layers.0: 4x4x4 is not the shape of digits, 1x8x8"),
        ("architecture: mlp-5, layers: [64, 3, 10]", "leave layers away (--set network.layers=null) or this"),
        (
            "architecture: mlp-32-x",
            "unknown architecture 'mlp-32-x': hidden sizes are whole numbers from 1, such as mlp",
        ),
        ("layers: [1x8x8, {conv: 3, pool: maxx}, 10]", "network.layers.1.pool.kind: "),
        ("architecture: lenet", "network.architecture: unknown architecture 'lenet': did you mean 'lenet5'"),
        ("architecture: lenet5", "network.architecture: lenet5 needs images of at least 12 x 12, not 8 x 8"),
    ],
)
def test_what_is_no_network_is_refused_where_it_stands(network, message, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(f"network: {{{network}}}")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("layers", [CONVOLUTIONAL])
def test_layers_of_images_are_not_compiled(layers):
    with pytest.raises(ValueError, match=r"run\.compile: layers with convolutions, pools or normalisation"):
        Scenario(network={"layers": layers}, run={"device": "cpu", "compile": True})
