import pytest
import torch
from torch import nn

from analogdp.data import load
from analogdp.errors import InputError
from analogdp.nn import CrossbarConv2d, CrossbarLinear, convert, program
from analogdp.scenario import load_scenario


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


@pytest.mark.parametrize("change", [convert, program])
def test_a_model_without_layers_to_work_on_is_refused(change):
    with pytest.raises(InputError, match="Sequential has no"):
        change(nn.Sequential(nn.ReLU()))


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
