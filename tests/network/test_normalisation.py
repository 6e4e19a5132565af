"""Batch normalisation against torch's."""

import pytest
import torch

from analogdp.data import Dataset
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.network.normalisation import BatchNormalisation
from analogdp.scenario import Scenario
from tests.network.images import image_scenario, random, torch_twin

LAYERS = [
    "2x6x6",
    {"conv": 3, "padding": 1, "normalise": "batch", "pool": {}},
    {"dense": 5, "normalise": "batch"},
    3,
]
BATCH = 6


@pytest.mark.parametrize("together", [True, False])
def test_normalised_drives_and_what_they_pass_back_are_torchs(together):
    own = BatchNormalisation(random(2, 3))
    for name, seed in (("gain", 1), ("offset", 2), ("mean", 3), ("variance", 4)):
        getattr(own, name).copy_(random(2, 3, seed=seed).abs() + 0.1)
    drives, messages = random(2, 4, 3, 5), random(2, 4, 3, 5, seed=9)
    normal, context = own(drives, together)
    back = own.back(messages, context, together)
    for chip in range(2):
        shown = drives[chip].clone().requires_grad_()
        expected = torch.nn.functional.batch_norm(
            shown, own.mean[chip].clone(), own.variance[chip].clone(), own.gain[chip], own.offset[chip], together
        )
        torch.testing.assert_close(normal[chip], expected.detach(), rtol=1e-12, atol=1e-13)
        (gradient,) = torch.autograd.grad(expected, shown, messages[chip])
        torch.testing.assert_close(back[chip], gradient, rtol=1e-10, atol=1e-12)


def trainer_of(**sections):
    learning = {"optimizer": "sgd", "rate": 1.0, "batch": BATCH, "epochs": 4, **sections.pop("learning", {})}
    sections = {"neuron": "backpropagation", "dynamics": "sweep", "learning": learning, **sections}
    scenario = image_scenario(LAYERS, **sections)
    inputs, targets = random(BATCH, 72, seed=5), random(BATCH, 3, seed=6)
    data = Dataset("random", inputs, targets, None, inputs, targets, None)
    return Trainer(scenario, build(scenario), data), inputs, targets


@pytest.mark.parametrize("chips", [1, 2])
def test_weights_gains_offsets_and_statistics_change_as_torchs(chips):
    trainer, inputs, targets = trainer_of(chips=chips)
    network = trainer.network
    twins = [torch_twin(network, chip) for chip in range(chips)]
    trainer.advance()
    for chip, twin in enumerate(twins):
        ((twin(inputs) - targets).square().sum(1).mean() / 2).backward()
        torch.optim.SGD(twin.parameters(), lr=1.0).step()
        for number, (part, synapse) in enumerate(zip(twin, network.synapses, strict=True)):
            torch.testing.assert_close(
                synapse.weights[chip], part.weights.weight.detach().flatten(1), rtol=1e-9, atol=1e-12
            )
            if number < 2:
                own, theirs = network.normalisations[str(number)], part.normalisation
                pairs = ("gain", "weight"), ("offset", "bias"), ("mean", "running_mean"), ("variance", "running_var")
                for mine, name in pairs:
                    torch.testing.assert_close(
                        getattr(own, mine)[chip], getattr(theirs, name).detach(), rtol=1e-9, atol=1e-12
                    )
        twin.eval()
        trainer.simulation.present(inputs.unsqueeze(0))
        prediction = trainer.simulation.settle().prediction[chip]
        torch.testing.assert_close(prediction, twin(inputs).detach(), rtol=1e-9, atol=1e-11)


def test_a_single_number_leaves_the_running_statistics_as_they_are():
    own, drives = BatchNormalisation(random(2, 3)), random(2, 1, 3, 1)
    own.learn(random(2, 1, 3, 1, seed=1), own(drives, True)[1])
    assert torch.equal(own.mean, torch.zeros_like(own.mean))
    assert torch.equal(own.variance, torch.ones_like(own.variance))


def test_a_restored_trainer_goes_on_with_the_same_bits():
    (whole, *_), (resumed, *_) = (trainer_of(learning={"optimizer": "adam", "rate": 0.01}) for _ in range(2))
    whole.advance()
    whole.advance()
    resumed.restore({name: tensor.clone() for name, tensor in whole.tensors().items()})
    for trainer in (whole, resumed):
        trainer.advance()
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"neuron": "dp_transposed", "dynamics": "sweep"}, "neurons of model dp_transposed settle every sample by"),
        ({"neuron": "backpropagation", "dynamics": {"clock": "sweep", "order": "odd_even"}}, "only in sweeps"),
        ({"neuron": "backpropagation", "dynamics": "sweep", "learning": {"batch": 1}}, "batch of 2 or more"),
    ],
)
def test_what_cannot_be_normalised_is_refused_at_its_layer(sections, reason):
    with pytest.raises(ValueError, match=rf"layers\.1\.normalise: .*{reason}.*layers\.2\.normalise: .*{reason}"):
        image_scenario(LAYERS, **sections)


ONE_POSITION = {"dense": [8, {"dense": 5, "normalise": "batch"}, 3], "pixel": [{"conv": 5, "normalise": "batch"}, 3]}


def with_samples(used, layer, **sections):
    """A layer of one position that is trained on so many of the samples, in batches of six."""
    learning = {"batch": BATCH, **sections.pop("learning", {})}
    data = {"name": "blobs", "inputs": 9, "classes": 3, **used}
    return Scenario.model_validate(
        {
            "data": data,
            "network": {"layers": ["1x3x3", *ONE_POSITION[layer]]},
            "neuron": "backpropagation",
            "dynamics": "sweep",
            "learning": learning,
        }
    )


@pytest.mark.parametrize(("layer", "place"), [("dense", 2), ("pixel", 1)])
@pytest.mark.parametrize(
    ("used", "way_out"), [({"train_limit": 25}, "train_limit: 24"), ({"train_limit": 20, "draw": 31}, "draw: 30")]
)
def test_a_last_batch_of_one_sample_is_refused_where_a_sample_is_one_number(layer, place, used, way_out):
    with pytest.raises(ValueError, match=rf"layers\.{place}\.normalise: batches of 6 leave one of .*data\.{way_out}"):
        with_samples(used, layer)


@pytest.mark.parametrize(
    ("used", "learning"), [({"train_limit": 24}, {}), ({"train_limit": 26}, {}), ({"train_limit": 25}, {"batch": 5})]
)
def test_other_last_batches_are_accepted(used, learning):
    assert with_samples(used, "dense", learning=learning)


def test_one_sample_of_many_positions_is_accepted():
    data = {"name": "blobs", "inputs": 16, "classes": 3, "train_limit": 25}
    layers = ["1x4x4", {"conv": 5, "kernel": 3, "normalise": "batch"}, 3]
    sections = {"neuron": "backpropagation", "dynamics": "sweep", "learning": {"batch": BATCH}}
    assert Scenario.model_validate({"data": data, "network": {"layers": layers}, **sections})
