from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from analogdp.scenario import load_scenario
from analogdp.scenario.settings import ProblemList
from analogdp.scenario.weights import match, shapes_in, weight_shape
from analogdp.scenario.wiring import Wiring, wire

DENSE = wire([4, 3, 2])
IMAGES = wire(
    load_scenario("quickstart", ["network.layers=[1x8x8, {conv: 3}, {conv: 5, stride: 2}, 10]"]).network.layers
)


def shapes(model):
    return {name: tuple(values.shape) for name, values in model.state_dict().items()}


def problems(found, wirings=DENSE, **options):
    with pytest.raises(ProblemList) as caught:
        match(found, wirings, True, **options)
    return "\n".join(map(str, caught.value.problems))


def test_numbers_tell_the_order_of_layers_whatever_the_order_of_the_file():
    sizes = [4] * 12
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))
    found = match(dict(sorted(shapes(model).items())), wire(sizes), True)
    assert [own.weight for own in found] == [f"{number}.weight" for number in range(11)]


def test_images_come_before_layers_of_units_whatever_their_groups_are_called():
    features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 5, 3, stride=2))
    model = nn.ModuleDict({"classifier": nn.Linear(20, 10), "features": features})
    found = match(shapes(model), IMAGES, True)
    assert [own.weight for own in found] == ["features.0.weight", "features.3.weight", "classifier.weight"]
    assert found[0].normalisation["running_var"] == "features.1.running_var"


def test_a_layer_alone_has_no_names_of_modules():
    assert match(shapes(nn.Linear(4, 3)), wire([4, 3]), True)[0] == ("weight", "bias", None)


def test_an_ordered_state_dict_needs_no_numbers():
    model = nn.ModuleDict({"zeta": nn.Linear(3, 3), "alpha": nn.Linear(3, 3)})
    assert match(shapes(model), wire([3, 3, 3]), True, ordered=True)[0].weight == "zeta.weight"


def test_layers_that_only_their_order_tells_apart_need_numbers():
    model = nn.ModuleDict({"zeta": nn.Linear(3, 3), "alpha": nn.Linear(3, 3)})
    assert "zeta.weight: as large as alpha.weight" in problems(shapes(model), wire([3, 3, 3]))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"0.weight": (5, 4), "0.bias": (5,), "2.weight": (2, 3)}, "0.weight: shape 5 x 4, and the network has 3 x 4"),
        ({"0.weight": (3, 4), "0.bias": (4,), "2.weight": (2, 3)}, "0.bias: shape 4, and the network has 3 there"),
        ({"0.weight": (3, 4)}, "1 layers of weights (0.weight), and the network has 2"),
        ({}, "0 layers of weights (none)"),
        (
            {"0.weight": (3, 4), "1.weight": (3,), "1.bias": (3,), "2.weight": (2, 3)},
            "1.weight: shape 3 is not of a weight",
        ),
        ({"0.weight": (3, 4), "0.mask": (3, 4), "2.weight": (2, 3)}, "0.mask: shape 3 x 4 is not of"),
        (
            {"0.running_mean": (3,), "0.running_var": (3,), "1.weight": (3, 4)},
            "0.running_mean: batch normalisation follows no",
        ),
        ({"0.weight": (3, 4, 1), "2.weight": (2, 3)}, "0.weight: shape 3 x 4 x 1 is not of"),
    ],
)
def test_what_does_not_fit_is_named_with_what_was_found_and_wanted(found, words):
    assert words in problems(found)


def test_a_bias_needs_a_network_with_biases():
    with pytest.raises(ProblemList, match=r"0\.bias: comes with a bias"):
        match({"0.weight": (3, 4), "0.bias": (3,)}, wire([4, 3]), False)


def test_weights_have_torchs_shapes():
    assert [weight_shape(wiring) for wiring in (*IMAGES[:2], Wiring((4,), (3,)))] == [
        (3, 1, 3, 3),
        (5, 3, 3, 3),
        (3, 4),
    ]


def test_a_file_of_another_kind_is_refused(tmp_path):
    pickle, broken = tmp_path / "model.pt", tmp_path / "model.safetensors"
    torch.save({}, pickle)
    broken.write_bytes(b"\xff" * 40)
    for path, words in (
        (pickle, "is no .safetensors file"),
        (broken, "damaged"),
        (tmp_path / "none.safetensors", "no such"),
    ):
        with pytest.raises(ValueError, match=words):
            shapes_in(path)


def test_a_relative_path_in_a_scenario_file_is_beside_that_file(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file({"weight": torch.zeros(10, 64)}, folder / "mine.safetensors")
    (folder / "base.yaml").write_text("name: x\nnetwork: {layers: [64, 10], weights: mine.safetensors}\n")
    (tmp_path / "child.yaml").write_text("extends: folder/base.yaml\n")
    monkeypatch.chdir(tmp_path)
    assert load_scenario("child.yaml").network.weights.resolve() == folder / "mine.safetensors"
    save_file({"weight": torch.zeros(10, 64)}, tmp_path / "other.safetensors")
    assert (
        str(load_scenario("child.yaml", ["network.weights=other.safetensors"]).network.weights) == "other.safetensors"
    )
