"""What a scenario's ``data`` section has done to any data set."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from analogdp import data, registry
from analogdp.data import Dataset
from analogdp.data.digits import DigitsSettings
from analogdp.data.preprocessing import prepared, statistics
from analogdp.data.samples import Samples
from analogdp.errors import InputError
from analogdp.network import build
from analogdp.scenario.data import DataSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (50, 3, 4, 5), dtype=np.uint8)
TABLE = RANDOM.normal(1000, 3, (50, 4)) * [1, 2, 1e-3, 0] + [0, 5, 0, 7]


class PicturesSettings(DataSettings):
    name: str = "pictures"

    def sizes(self):
        return 60, 2

    def shape(self):
        return 3, 4, 5

    def samples(self):
        return 40, 10


class TableSettings(DataSettings):
    name: str = "table"

    def sizes(self):
        return 4, 1

    def samples(self):
        return 40, 10

    def regression(self):
        return True


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    for settings in (PicturesSettings, TableSettings):
        member = type(settings.__name__, (), {"Settings": settings})
        monkeypatch.setitem(registry.datasets._members, settings().name, member)


def of_pictures(**keys):
    labels = torch.arange(50) % 2
    images = torch.from_numpy(PICTURES)
    made = Dataset.of_classes("pictures", ("a", "b"), (images[:40], labels[:40]), (images[40:], labels[40:]))
    return prepared(made, PicturesSettings(**keys), 0).to("cpu", torch.float64)


def of_table(**keys):
    inputs, targets = torch.from_numpy(TABLE), torch.from_numpy(TABLE[:, :1] * 2 + 1)
    made = Dataset("table", inputs[:40], targets[:40], None, inputs[40:], targets[40:], None)
    return prepared(made, TableSettings(**keys), 0).to("cpu", torch.float64)


@pytest.mark.parametrize("over", ["train", "all"])
@pytest.mark.parametrize(("how", "scaler"), [("standard", StandardScaler), ("range", MinMaxScaler)])
def test_tables_are_normalised_as_scikit_learn_does_it(how, scaler, over):
    """Equal to 1e-10; the last feature is constant, the others lie 300 standard deviations from zero."""
    made = of_table(normalise=how, normalise_targets=how, normalise_over=over, target_scale=0.1)
    known = slice(40) if over == "train" else slice(None)
    expected = scaler().fit(TABLE[known]).transform(TABLE)
    found = torch.cat((made.train_inputs[:], made.test_inputs[:])).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    targets = scaler().fit(TABLE[known, :1]).transform(TABLE[:, :1]) / 10
    np.testing.assert_allclose(torch.cat((made.train_targets[:], made.test_targets[:])).numpy(), targets, atol=1e-10)


def test_channels_of_pictures_are_normalised_together():
    made = of_pictures(normalise="channels")
    pixels = PICTURES / 255
    mean, std = (function(pixels[:40], axis=(0, 2, 3), keepdims=True) for function in (np.mean, np.std))
    np.testing.assert_allclose(made.test_inputs[:].numpy(), ((pixels[40:] - mean) / std).reshape(10, 60), atol=1e-13)
    assert made.train_inputs.raw.dtype == torch.uint8


def test_statistics_do_not_depend_on_how_samples_are_read(monkeypatch):
    parts = [Samples.of(torch.from_numpy(TABLE)[:33]), Samples.of(torch.from_numpy(TABLE)[33:])]
    whole = statistics(parts, bounds=False, groups=4)
    monkeypatch.setattr("analogdp.data.preprocessing.BLOCK", 7)
    for found, expected in zip(statistics(parts, bounds=False, groups=4), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kept", ["bytes", "floats"])
def test_what_comes_in_at_the_edges_of_a_normalised_picture_is_black(kept):
    images, labels = torch.from_numpy(PICTURES), torch.arange(50) % 2
    images = images if kept == "bytes" else images / 255
    raw = Dataset.of_classes("pictures", ("a", "b"), (images[:40], labels[:40]), (images[40:], labels[40:]))
    made = prepared(raw, PicturesSettings(normalise="standard", crop=100), 0).to("cpu", torch.float64)
    shown, _, _ = made.training(torch.arange(40), Stream(0, "s", dtype=torch.float64))
    pixels = PICTURES[:40].reshape(40, 60) / 255
    black = -pixels.mean(0) / pixels.std(0)
    elsewhere = (shown[0] - torch.from_numpy(black)).abs().amax(1) > 1e-6
    assert elsewhere.sum() <= 2, "a window of 4 x 5 pixels out of 204 x 205 seldom meets the picture"


def test_draws_are_with_replacement_and_the_rest_is_tested_on():
    made = of_table(draw=30, test="rest")
    rows = [np.flatnonzero((row == TABLE).all(1)).item() for row in made.train_inputs[:].numpy()]
    rest = [np.flatnonzero((row == TABLE).all(1)).item() for row in made.test_inputs[:].numpy()]
    assert len(rows) == 30
    assert len(set(rows)) < 30
    assert rest == sorted(set(range(40)) - set(rows))
    np.testing.assert_array_equal(made.train_targets[:].numpy(), TABLE[rows, :1] * 2 + 1)
    np.testing.assert_array_equal(made.test_targets[:].numpy(), TABLE[rest, :1] * 2 + 1)


def test_every_sample_is_drawn_equally_often():
    """100,000 draws of 40 samples: within 4.5 standard deviations of a binomial number."""
    made = of_table(draw=100_000)
    counts = np.unique(made.train_inputs[:].numpy()[:, 0], return_counts=True)[1]
    assert len(counts) == 40
    assert np.abs(counts - 2500).max() < 4.5 * np.sqrt(2500 * 39 / 40)


def test_the_rest_is_normalised_over_the_whole_pool():
    made = of_table(draw=5, test="rest", normalise="standard", normalise_over="all")
    expected = StandardScaler().fit(TABLE[:40]).transform(TABLE[:40])
    for row in (*made.train_inputs[:].numpy(), *made.test_inputs[:].numpy()):
        assert np.abs(expected - row).max(1).min() < 1e-10


def test_what_was_not_drawn_counts_as_all_of_the_data_set_too():
    made = of_table(draw=5, normalise="standard", normalise_over="all")
    expected = StandardScaler().fit(TABLE).transform(TABLE[40:])
    np.testing.assert_allclose(made.test_inputs[:].numpy(), expected, rtol=0, atol=1e-10)


def test_limits_take_the_first_samples_before_any_draw():
    made = of_table(train_limit=10, test_limit=3)
    np.testing.assert_array_equal(made.train_inputs[:].numpy(), TABLE[:10])
    np.testing.assert_array_equal(made.test_inputs[:].numpy(), TABLE[40:43])
    drawn = of_table(train_limit=2, draw=50)
    assert len(np.unique(drawn.train_inputs[:].numpy(), axis=0)) == 2
    assert len(of_table(train_limit=20, draw=2, test="rest", test_limit=6).test_inputs) == 6


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, (40, 10)),
        ({"train_limit": 7, "test_limit": 99}, (7, 10)),
        ({"draw": 500}, (500, 10)),
        ({"train_limit": 30, "draw": 5, "test": "rest"}, (5, 29)),
        ({"draw": 5, "test": "rest", "test_limit": 4}, (5, 4)),
    ],
    ids=str,
)
def test_a_section_knows_at_most_how_many_samples_are_used(keys, expected):
    assert TableSettings(**keys).counts() == expected


def test_test_noise_is_drawn_once_by_the_seed():
    first, again = (of_pictures(test_noise=0.3).test_inputs[:] for _ in range(2))
    exact = PICTURES[40:].reshape(10, 60) / 255
    assert torch.equal(first, again)
    assert (first.numpy() - exact).std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * 600))
    clamped = of_pictures(test_noise=0.3, clamp=True).test_inputs[:]
    assert torch.equal(clamped, first.clamp(0, 1))


def test_training_samples_have_no_noise_until_they_are_shown():
    made = of_pictures(train_noise=0.2)
    rows = torch.arange(40)
    shown, _, _ = made.training(rows, Stream(0, "s", dtype=torch.float64))
    difference = shown[0] - made.train_inputs[:]
    assert difference.std().item() == pytest.approx(0.2, rel=4 / np.sqrt(2 * 2400))
    assert torch.equal(made.test_inputs[:], torch.from_numpy(PICTURES[40:].reshape(10, 60) / 255))


KEYS = {"draw": 300, "test": "rest", "normalise": "standard", "test_noise": 0.1}


def test_the_seed_decides_everything_that_is_drawn():
    first, again, other = (data.load(DigitsSettings(**KEYS), seed) for seed in (1, 1, 2))
    for name in ("train_inputs", "test_inputs", "train_targets", "test_targets"):
        assert torch.equal(getattr(first, name)[:], getattr(again, name)[:])
    assert not torch.equal(first.train_inputs[:], other.train_inputs[:])


def test_without_any_of_it_samples_are_as_they_were():
    plain, kept = data.load(DigitsSettings(), 0), registry.datasets.get("digits").load(DigitsSettings(), 0)
    assert plain.train_inputs.raw is kept.train_inputs.raw or torch.equal(plain.train_inputs[:], kept.train_inputs[:])
    assert plain.train_inputs.index is None


def test_no_samples_left_is_said():
    with pytest.raises(InputError, match="table has no test samples left"):
        of_table(train_limit=1, draw=5, test="rest")


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"name": "table", "flip": True}, "flip", "table has no images of channels, height and width"),
        ({"name": "table", "crop": 2}, "crop", "table has no images"),
        ({"name": "table", "normalise": "channels"}, "normalise", "table has no images"),
        ({"name": "pictures", "target_scale": 0.1}, "target_scale", "the targets of pictures are classes"),
        (
            {"name": "pictures", "normalise_targets": "range"},
            "normalise_targets",
            "the targets of pictures are classes",
        ),
        ({"name": "table", "normalise_over": "all"}, "normalise_over", "nothing is normalised"),
        ({"name": "table", "test": "rest"}, "test", "set draw, too"),
        ({"name": "table", "clamp": True}, "clamp", "there is no noise"),
        ({"name": "table", "clamp": True, "test_noise": 1, "normalise": "standard"}, "clamp", "beyond 0 and 1"),
    ],
    ids=str,
)
def test_an_option_without_a_meaning_is_refused_where_it_stands(keys, place, words):
    layers = (4, 1) if keys["name"] == "table" else (60, 2)
    with pytest.raises(ValueError, match=words) as caught:
        Scenario(data=keys, network={"layers": layers}, learning={"batch": 1})
    assert f"data.{place}: " in str(caught.value)


def test_numbers_are_no_classes_for_a_cross_entropy():
    with pytest.raises(ValueError, match=r"data.name: table has no output for each class"):
        Scenario(data="table", network={"layers": (4, 1), "loss": "cross_entropy"}, learning={"batch": 1})


@pytest.mark.parametrize("mode", ["settle_then_update", "always_on"])
def test_a_batch_of_more_samples_than_there_are_is_refused(mode):
    sections = {"data": {"name": "table", "train_limit": 20}, "network": {"layers": (4, 1)}}
    assert Scenario(**sections, learning={"mode": mode, "batch": 20})
    with pytest.raises(
        ValueError, match=r"learning.batch: 21 is more than there are training samples; allowed: 1 to 20"
    ):
        Scenario(**sections, learning={"mode": mode, "batch": 21})


def trained(scenario, updates, chips=None, begun=None):
    """A trainer after so many updates, of all chips or some, from its beginning or the tensors of another."""
    trainer = registry.trainers.get(scenario.learning.mode)(
        scenario, build(scenario, chips), data.load(scenario.data, 0)
    )
    if begun is not None:
        trainer.restore(begun.tensors())
    for _ in range(updates):
        trainer.advance()
    return trainer


@pytest.fixture(params=["settle_then_update", "always_on"])
def disturbed(request):
    """Three chips that are trained on noisy, moved digits, seven samples at a time."""
    return Scenario(
        data={"name": "digits", "draw": 30, "crop": 1, "flip": True, "train_noise": 0.1, "normalise": "standard"},
        network={"layers": (64, 5, 10)},
        learning={"mode": request.param, "batch": 7},
        chips=3,
        run={"device": "cpu", "dtype": "float64"},
    )


def test_a_run_that_is_resumed_is_shown_the_same_bits(disturbed):
    whole = trained(disturbed, 7)
    resumed = trained(disturbed, 4, begun=trained(disturbed, 3))
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


def test_a_chip_is_shown_the_same_whichever_others_are_simulated(disturbed):
    second = disturbed.model_copy(update={"run": disturbed.run.model_copy(update={"only_chips": (1,)})})
    together, alone = trained(disturbed, 5), trained(second, 5)
    for one, other in zip(together.network.synapses, alone.network.synapses, strict=True):
        torch.testing.assert_close(one.weights[1], other.weights[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "kept", "expected"),
    [
        # 50 samples of 4 numbers and 1 target, each in single and in double precision.
        ({}, None, 50 * (4 + 1) * 12),
        ({}, 1, 50 * (4 + 12)),
        ({}, 0, 50 * 12),
        # The test samples with noise are floats, whatever the others are.
        ({"test_noise": 0.1}, 0, 50 * 12 + 10 * 4 * 12),
    ],
    ids=str,
)
def test_memory_is_what_samples_are_kept_as(keys, kept, expected, monkeypatch):
    monkeypatch.setattr(TableSettings, "input_bytes", kept)
    assert TableSettings(**keys).memory(8) == expected


def test_classes_take_memory_for_their_labels_only():
    assert PicturesSettings().memory(4) == 50 * (60 * 8 + 16)


@pytest.mark.parametrize(
    ("labels", "keys", "words"),
    [
        (torch.full((40,), 3), {}, r"\(40\) all have the label 3; there is nothing to learn: check the labels"),
        (
            torch.arange(40) // 10,
            {"train_limit": 10},
            r"\(10\) all have the label 0; .*train_limit: 10 takes the first",
        ),
        (torch.arange(40) // 39, {"draw": 2}, r"\(2\) all have the label 0; .*draw: 2 has drawn no other; draw more"),
    ],
    ids=["file", "limit", "draw"],
)
def test_training_samples_of_one_class_are_refused_with_what_left_no_other(labels, keys, words):
    images = torch.from_numpy(PICTURES)
    made = Dataset.of_classes("pictures", tuple("abcd"), (images[:40], labels), (images[40:], torch.arange(10) % 4))
    with pytest.raises(InputError, match=words):
        prepared(made, PicturesSettings(**keys), 0)
