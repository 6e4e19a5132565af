"""Torch models on crossbars: against torch's own answers, and as runs that are resumed."""

import shutil
import warnings

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import analogdp as adp
from analogdp.analysis.gradients import forward
from analogdp.data import load
from analogdp.errors import AnalogdpWarning, InputError, ScenarioError
from analogdp.runs import Interrupted, Observer, load_newest
from analogdp.scenario import Scenario

EXACT = Scenario.model_validate({"synapse": "ideal", "run": {"device": "cpu", "dtype": "float64"}})
RUN = {"device": "cpu"}
SOFT_BOUNDS = {
    "model": "crossbar",
    "device": "reram_sb",
    "weight_range": 4.0,
    "programming": {"method": "write_verify"},
}
QUICK = Scenario.model_validate(
    {
        "data": {"name": "digits", "train_limit": 64, "test_limit": 32},
        "network": {"layers": [64, 12, 10]},
        "synapse": SOFT_BOUNDS,
        "learning": {"epochs": 2, "batch": 32, "optimizer": "pulses"},
        "export": [],
        "run": {**RUN, "checkpoint_every": 1},
    }
)
PERFECT = {"card": "idealized", "upper_spread": 0, "lower_spread": 0}


def on_cells(device, weight_range):
    synapse = {"model": "crossbar", "device": device, "weight_range": weight_range}
    return Scenario.model_validate({"synapse": synapse, "learning": {"optimizer": "pulses"}, "run": RUN})


def stack(*modules):
    torch.manual_seed(4)  # torch's own initialisation, of the modules that are made anew
    model = nn.Sequential(*modules)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    model(torch.rand(40, 1, 8, 8).flatten(1) if not isinstance(modules[0], nn.Conv2d) else torch.rand(40, 1, 8, 8))
    return model.eval()


def dense(*last):
    return stack(nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10), *last)


def images(*first):
    convolutions = (nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Tanh(), nn.AvgPool2d(2))
    more = (nn.Conv2d(3, 4, 2, stride=2), nn.MaxPool2d(2), nn.Tanh(), nn.Flatten())
    return stack(*first, *convolutions, *more, nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 10))


@pytest.mark.parametrize("make", [dense, images, lambda: images(nn.Unflatten(1, (1, 8, 8)))])
def test_the_imported_network_answers_as_the_model(make):
    model = make().double()
    imported = adp.from_torch(model, EXACT)
    x = torch.rand(9, 64, dtype=torch.float64)
    shown = x.view(9, 1, 8, 8) if isinstance(model[0], nn.Conv2d) else x
    torch.testing.assert_close(forward(imported.network, x.unsqueeze(0))[0], model(shown), rtol=0, atol=1e-12)
    found = imported.evaluate()
    # The network has settled to its tolerance, not to rounding.
    assert found.accuracy == (pytest.approx(found.torch_accuracy, abs=0.01),)
    assert found.loss == (pytest.approx(found.torch_loss, rel=1e-2),)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_file_with_a_scenario_gives_the_same_network(suffix, tmp_path):
    model, path = dense().double(), tmp_path / f"model.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(model.state_dict(), path)
    scenario = adp.from_torch(model, EXACT).scenario
    imported = adp.from_torch(path, scenario)
    x = torch.rand(9, 64, dtype=torch.float64)
    torch.testing.assert_close(forward(imported.network, x.unsqueeze(0))[0], model(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(imported.torch_model(x), model(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("last", [nn.Softmax, nn.LogSoftmax])
def test_the_loss_of_a_model_that_is_sure_of_its_classes_is_that_of_its_drives(last):
    plain = dense()
    with torch.no_grad():
        plain[3].weight.mul_(3e3)
    normal = nn.Sequential(*plain, nn.Sequential(last(dim=1))).eval()
    found = adp.from_torch(normal, EXACT).evaluate()
    data = load(EXACT.data, EXACT.seed)
    assert (normal[:-1](data.test_inputs[:]).softmax(1) == 0).any()
    expected = nn.functional.cross_entropy(plain(data.test_inputs[:]), data.test_labels)
    assert found.torch_loss == pytest.approx(expected.item(), rel=1e-5)


def test_how_far_outputs_are_from_rest_is_told():
    model = dense().double()
    rough, fine = (
        adp.from_torch(model, EXACT, **{"dynamics.settle.tolerance": tolerance}).evaluate()
        for tolerance in (1e-2, 1e-10)
    )
    assert fine.from_rest[0] < 1e-7
    assert rough.from_rest[0] > 1e-4
    noisy = adp.from_torch(model, EXACT, **{"noise.membrane": 0.1}).evaluate()
    assert noisy.from_rest[0] < 1e-3
    assert fine.loss == (pytest.approx(fine.torch_loss, rel=1e-6),)


def test_batch_normalisation_of_a_state_dict_is_folded_with_the_epsilon_that_is_told():
    model = stack(nn.Linear(64, 12), nn.BatchNorm1d(12, eps=0.1), nn.ReLU(), nn.Linear(12, 10)).double()
    scenario = adp.from_torch(model, EXACT).scenario
    x = torch.rand(9, 64, dtype=torch.float64)
    usual, told = (
        adp.from_torch(model.state_dict(), scenario),
        adp.from_torch(model.state_dict(), scenario, epsilon=0.1),
    )
    torch.testing.assert_close(forward(told.network, x.unsqueeze(0))[0], model(x), rtol=0, atol=1e-12)
    assert told.notes == ("batch normalisation 1 was folded into 0.weight with the epsilon that was given, 0.1",)
    model[1].eps = 1e-5
    torch.testing.assert_close(forward(usual.network, x.unsqueeze(0))[0], model(x), rtol=0, atol=1e-12)
    assert usual.notes[0].startswith(
        "batch normalisation 1 was folded into 0.weight with epsilon 1e-05, which a state_dict does not tell"
    )


@pytest.mark.parametrize(
    ("model", "epsilon", "words"),
    [
        (nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10)), 1e-3, "the model's batch normalisations tell their own"),
        (nn.Linear(64, 10).state_dict(), 1e-3, "there is no batch normalisation"),
        (nn.Linear(64, 10).state_dict(), -1e-3, "-0.001 is none"),
    ],
)
def test_an_epsilon_that_nothing_needs_is_refused(model, epsilon, words):
    scenario = adp.from_torch(nn.Linear(64, 10), EXACT).scenario
    with pytest.raises(InputError, match=f"epsilon: {words}"):
        adp.from_torch(model, scenario, epsilon=epsilon)


@pytest.mark.parametrize(("missing", "notes"), [((), 0), (("2.bias",), 1), (("0.bias", "2.bias"), 0)])
def test_a_bias_that_one_layer_alone_has_not_is_noted(missing, notes):
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    state = {name: own for name, own in model.state_dict().items() if name not in missing}
    imported = adp.from_torch(state, EXACT, **{"network.layers": [64, 8, 10]})
    assert imported.notes == ("2.weight comes without a bias, which is taken to be 0",) * notes


def test_an_imported_network_shows_its_layers_in_a_line_each():
    lines = repr(adp.from_torch(nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)), EXACT)).splitlines()
    assert lines[0] == "Imported(scenario: 64-8-10, 1 chip)"
    assert [line.split(":")[0] for line in lines[1:]] == ["  layer 1", "  layer 2"]


def test_a_softmax_is_left_out_and_cross_entropy_taken():
    imported = adp.from_torch(dense(nn.Softmax(dim=1)), EXACT)
    assert imported.scenario.network.loss == "cross_entropy"
    assert any("4 (Softmax) was left out" in note for note in imported.notes)
    found = imported.evaluate()
    assert found.loss == (pytest.approx(found.torch_loss, rel=1e-2),)


def test_errors_tell_what_clipping_and_programming_did():
    model = dense()
    with torch.no_grad():
        model[3].weight.copy_(torch.linspace(-1, 1, 120).view(10, 12))
    told = r"layer 2: 50\.00% of the weights, from -1 to 1, lie beyond the range of its cells, -0\.5 to 0\.5"
    words = told + ".*'synapse.weight_range': 1}"
    with pytest.warns(AnalogdpWarning, match=words) as caught:
        imported = adp.from_torch(model, on_cells(PERFECT, 0.5))
    assert len([own for own in caught if own.category is AnalogdpWarning]) == 1
    first, second = imported.errors
    assert (first.layer, second.layer, second.clipped) == (1, 2, 0.5)
    assert second.range == pytest.approx((-0.5, 0.5))
    assert second.weight_range == pytest.approx(1)
    assert second.wanted == pytest.approx((-1, 1))
    assert second.rms < 1e-6
    # Of ramps from -1 to 1, half of which is clipped to 0.5.
    assert second.rms_wanted == pytest.approx((1 / 6) ** 0.5, rel=0.01)
    with pytest.warns(
        AnalogdpWarning, match=r"^layer 1: the rms error of what its cells hold, .* is above half"
    ) as caught:
        rough = adp.from_torch(model, on_cells("reram_sb", 6.0))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    held = rough.network.synapses[0].weights[0].double()
    assert rough.errors[0].rms == pytest.approx((held - rough._wanted[0].weights).square().mean().sqrt().item())
    assert rough.errors[0].rms > 0.05
    assert rough.errors[0].rms_wanted == pytest.approx(rough._wanted[0].weights.square().mean().sqrt().item())


@pytest.mark.filterwarnings("ignore:layer 1.*above half:analogdp.errors.AnalogdpWarning")
def test_training_goes_on_in_place_and_resumes_bit_by_bit_without_the_users_file(tmp_path):
    class Stop(Observer):
        def advanced(self, progress):
            if progress.update == 3:
                raise KeyboardInterrupt

    path = tmp_path / "mine.safetensors"
    save_file(dense().state_dict(), path)
    imported = adp.from_torch(path, QUICK)
    whole = imported.train(out=tmp_path / "whole")
    assert imported.evaluate().accuracy == (whole.metrics[0]["test_accuracy"],)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        imported.train(out=tmp_path / "parts", progress=Stop())
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "parts", moved)
    imported.scenario.network.weights.unlink()
    path.unlink()
    resumed = adp.resume(moved)
    one, other = (load_newest(run.directory / "checkpoints", print).tensors for run in (whole, resumed))
    assert all(torch.equal(own, other[name]) for name, own in one.items())
    assert resumed.scenario.network.weights == moved / "initial_weights.safetensors"
    assert (adp.open_run(moved).metrics) == whole.metrics


def test_what_a_run_gives_comes_back(tmp_path):
    result = adp.run(QUICK, out=tmp_path / "run")
    model = result.to_torch()
    back = adp.from_torch(model, EXACT)
    x = torch.rand(9, 64)
    torch.testing.assert_close(forward(back.network, x.double().unsqueeze(0))[0].float(), model(x), rtol=0, atol=1e-5)
    (path,) = adp.export(result, "safetensors", tmp_path / "model.safetensors")
    alone = adp.from_torch(path, synapse="ideal", **{"learning.optimizer": "adam"})
    assert alone.scenario.learning.batch == 32
    assert torch.equal(alone.network.synapses[0].weights, back.network.synapses[0].weights.float())


@pytest.mark.parametrize(
    ("model", "scenario", "changes", "error", "words"),
    [
        ({"0.weight": torch.zeros(10, 64)}, None, {}, InputError, "does not tell what its layers do"),
        ({"0.weight": torch.zeros(10, 32)}, "quickstart", {}, InputError, "1 layers of weights"),
        (nn.Linear(32, 10), None, {}, ScenarioError, "the first layer has 32 units, but digits has 64 inputs"),
        (nn.Linear(64, 10), None, {"network.bias": False}, InputError, "network.bias: the model tells that"),
        (
            nn.Linear(64, 10),
            None,
            {"network": {"layers": [64, 10]}},
            InputError,
            "network.layers: the model tells that",
        ),
        (nn.Linear(64, 10), None, {"synapse.devize": 1}, ScenarioError, "devize"),
        (
            nn.Linear(64, 10),
            EXACT,
            {"neuron": "hopfield", "learning": {"mode": "equilibrium_propagation"}},
            ScenarioError,
            "settle under what comes from above",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 10)),
            None,
            {"data": "wine_quality"},
            InputError,
            "takes images",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused(model, scenario, changes, error, words):
    with pytest.raises(error, match=words):
        adp.from_torch(model, scenario, **changes)


def test_numbers_that_are_none_are_refused():
    model = dense()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"model: 0\.weight holds numbers that are infinite or none"):
        adp.from_torch(model)


def test_data_of_ones_own_can_be_tested_with():
    imported = adp.from_torch(dense(), EXACT)
    data, test = load(imported.scenario.data, 0), (torch.zeros(5, 64), torch.zeros(5))
    some = type(data).of_classes("mine", data.classes, (data.train_inputs, data.train_labels), test)
    assert imported.evaluate(some).accuracy[0] in (0.0, 1.0)


def test_the_range_that_a_warning_names_holds_all_of_cells_with_unequal_sides():
    model, base = dense(), on_cells("ecram_mo", "1/sqrt(fan_in)")
    with pytest.warns(AnalogdpWarning, match=r"weight_range") as caught:
        adp.from_torch(model, base)
    wide = float(str(caught[0].message).partition("'synapse.weight_range': ")[2].partition("}")[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imported = adp.from_torch(model, base, **{"synapse.weight_range": wide})
    lowest, highest = imported.errors[0].range
    assert abs(lowest) != pytest.approx(highest)


def test_the_model_stays_as_it_was():
    model = dense().train()
    imported = adp.from_torch(model, EXACT)
    assert model.training
    assert not imported.torch_model.training
