import math

import pytest
import torch
from torch import nn

from analogdp.data import load
from analogdp.errors import AnalogdpWarning, InputError
from analogdp.nn import CrossbarConv2d, CrossbarLinear, age, convert, program
from analogdp.scenario import load_scenario
from analogdp.transplant import from_torch


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
        self.first = nn.Linear(8, 8)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(self.inner(x)))


def test_layers_are_replaced_wherever_they_are_with_their_parameters():
    model = Twice()
    parameters = dict(model.named_parameters())
    assert convert(model, "reram_sb") is model
    assert isinstance(model.inner[0], CrossbarConv2d)
    assert isinstance(model.first, CrossbarLinear)
    assert model.first is model.second
    assert all(own is parameters[name] for name, own in model.named_parameters())
    assert model.inner[0].name == "inner.0"


def test_a_model_converted_to_perfect_cells_computes_the_same():
    model, x = Twice().double().eval(), torch.rand(3, 1, 4, 4, dtype=torch.float64)
    before = model(x)
    program(
        convert(model, {"device": {"card": "idealized", "upper_spread": 0, "lower_spread": 0}, "weight_range": 10.0})
    )
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: convert(5), "expected a torch module, not one of class int"),
        (lambda: convert(nn.Linear(3, 2), 5), "^synapse 5: "),
        (lambda: convert(nn.Linear(3, 2), seed="x"), "^seed 'x': "),
        (lambda: convert(convert(nn.Sequential(nn.Linear(3, 2)))), "on crossbars already; convert works in place"),
        (lambda: program(5), "expected a torch module, not one of class int"),
        (lambda: program(CrossbarLinear(3, 2), [1.0]), "expected a tensor, not a list"),
        *((lambda chip=chip: program(CrossbarLinear(3, 2), chip=chip), "^chip ") for chip in (-1, "a", 1.5, True)),
    ],
)
def test_what_is_no_model_seed_or_chip_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.parametrize("take", [convert, from_torch])
def test_a_weight_that_is_computed_is_refused_by_its_place(norm, take):
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), norm(nn.Linear(8, 10)))
    with pytest.raises(
        InputError, match=r"^2 \(\w*Linear\): its weight is computed .*weight_norm.*remove_parametrizations"
    ):
        take(model)


def test_a_layer_alone_is_replaced():
    assert isinstance(convert(nn.Linear(3, 2), "idealized"), CrossbarLinear)


def test_classes_that_build_on_torchs_stay():
    class Special(nn.Linear):
        pass

    model = convert(nn.Sequential(Special(3, 3), nn.Linear(3, 2)))
    assert type(model[0]) is Special


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(1, 2, 3, padding="same"), nn.Conv2d(1, 2, 3, padding_mode="reflect")],
)
def test_a_convolution_that_crossbars_do_not_hold_is_named(layer):
    with pytest.raises(InputError, match=r"^1: a Conv2d with groups="):
        convert(nn.Sequential(nn.ReLU(), layer))


def test_weights_beyond_the_range_of_their_cells_are_warned_of_with_a_range_that_holds_them():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4))
    with torch.no_grad():
        model[0].weight.zero_()
        model[2].weight.copy_(torch.linspace(-0.25, 1, 8).view(4, 2))
    words = (
        r"^layer 2: 37\.50% of the weights, from -0\.25 to 1, lie beyond the range of its cells, -0\.5 to 0\.5; they are "
        r"clipped\. convert\(model, \{'weight_range': 1, \.\.\.\}\) holds all"
    )
    perfect = {"card": "idealized", "upper_spread": 0, "lower_spread": 0}
    for warned in (lambda: convert(model, {"device": perfect, "weight_range": 0.5}), lambda: program(model)):
        with pytest.warns(AnalogdpWarning, match=words) as caught:
            warned()
        assert len(caught) == 1
        assert caught[0].filename == __file__


def test_weights_that_are_lost_among_the_errors_of_their_cells_are_warned_of():
    model = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10))
    with torch.no_grad():
        for layer, width in ((model[0], 0.6), (model[2], 0.05)):
            layer.weight.copy_(torch.linspace(-width, width, layer.weight.numel()).view_as(layer.weight))
    convert(model, {"device": "reram_sb", "weight_range": 1.0})
    with pytest.warns(AnalogdpWarning, match=r"rms weight, 0\.029 \(weight_range 0\.067 holds its weights\)") as caught:
        program(model)
    assert len(caught) == 1
    assert str(caught[0].message).startswith("layer 2: the rms error")


def test_programming_with_typical_inputs_leaves_statistics_and_modes_as_they_are():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    convert(model, {"adc": {"bits": 8, "range": "calibrated"}, "weight_range": 2.0, "device": "ecram_mo"})
    model[3].eval()
    statistics = {name: values.clone() for name, values in model.named_buffers() if "running" in name}
    program(model, torch.rand(9, 3))
    assert all(torch.equal(values, model.get_buffer(name)) for name, values in statistics.items())
    assert [module.training for module in model] == [True, True, True, False]


FORGETFUL = {"device": {"card": "capacitor", "lifetime": "1 day"}, "weight_range": 1.0}


@pytest.mark.parametrize("times", [[43200], ["6 hour", "6 hour"]])
def test_programmed_cells_lose_what_their_lifetime_says(times):
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 3, bias=False)).double().eval()
    program(convert(model, FORGETFUL))
    x = torch.rand(4, 6, dtype=torch.float64)
    fresh = model(x)
    for after in times:
        assert age(model, after) is model
    torch.testing.assert_close(model(x), fresh * math.exp(-1), rtol=1e-9, atol=1e-12)
    again = convert(nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 3, bias=False)).double().eval(), FORGETFUL)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x), model(x))


def test_a_seed_gives_the_same_drift():
    one, same, other = (CrossbarLinear(6, 5, synapse="pcm_joshi", seed=seed, dtype=torch.float64) for seed in (1, 1, 2))
    eye, lost = torch.eye(6, dtype=torch.float64), []
    for layer in (one, same, other):
        fresh = layer.eval().program().crossbar.weights.clone()
        age(layer, "1 day")
        assert not torch.equal(layer.crossbar.weights, fresh)
        lost.append(layer(eye))
    assert torch.equal(lost[0], lost[1])
    assert not torch.equal(lost[0], lost[2])


@pytest.mark.parametrize(
    ("model", "after", "words"),
    [
        (lambda: nn.Linear(3, 2), "1 day", "Linear has no programmed layers"),
        (lambda: CrossbarLinear(3, 2), "1 day", "CrossbarLinear has no programmed layers"),
        (lambda: CrossbarLinear(3, 2).program(), "1 day", "cells of reram_sb do not change in time"),
        (lambda: CrossbarLinear(3, 2, synapse=FORGETFUL).program(), "1 fortnite", "after: unknown unit 'fortnite'"),
        (lambda: CrossbarLinear(3, 2, synapse=FORGETFUL).program(), -1.0, "after: -1 s is no time"),
        (lambda: CrossbarLinear(3, 2, synapse=FORGETFUL).program(), None, "after: "),
    ],
)
def test_what_cannot_grow_older_is_refused(model, after, words):
    with pytest.raises(InputError, match=words):
        age(model(), after)


@pytest.mark.parametrize("change", [convert, program])
def test_a_model_without_layers_to_work_on_is_refused(change):
    with pytest.raises(InputError, match="Sequential has no"):
        change(nn.Sequential(nn.ReLU()))


@pytest.mark.filterwarnings("ignore:layer:analogdp.errors.AnalogdpWarning")
def test_training_on_noisy_cells_loses_less_when_programmed():
    """Digits on the strongly varying cells of reram_sb, six chips: 17 % are lost without, and less than half of that with."""
    synapse = {"device": "reram_sb", "weight_range": "8/sqrt(fan_in)"}
    data = load(load_scenario("quickstart").data, 0)
    inputs, labels = data.train_inputs[:], data.train_labels
    lost = []
    for aware in (False, True):
        model = nn.Sequential(
            CrossbarLinear(64, 24, synapse=synapse, seed=3, name="0"),
            nn.ReLU(),
            CrossbarLinear(24, 10, synapse=synapse, seed=3, name="2"),
        )
        model.train(aware)  # Not in training, and not programmed: the clipped weights.
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        order = torch.Generator().manual_seed(1)
        for _ in range(10):
            for rows in torch.randperm(len(inputs), generator=order).split(128):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
                optimizer.step()
        model.eval()
        accuracy = [_accuracy(model, data)] + [_accuracy(program(model, chip=chip), data) for chip in range(6)]
        lost.append(accuracy[0] - sum(accuracy[1:]) / 6)
    assert lost[0] > 0.1
    assert lost[1] < lost[0] / 2


@torch.no_grad()
def _accuracy(model, data):
    return (model(data.test_inputs[:]).argmax(1) == data.test_labels).double().mean().item()
