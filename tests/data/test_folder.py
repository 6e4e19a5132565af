"""Pictures in folders."""

import numpy as np
import pytest
import torch
from PIL import Image

from analogdp import data
from analogdp.data.folder import FolderSettings
from analogdp.errors import InputError
from analogdp.scenario import Scenario

CLASSES = ("ant", "bee", "cat")


def paint(path, colour, size=(8, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def apart(tmp_path):
    """Training and test pictures in folders of their own: two and one of each class, in three formats."""
    for number, name in enumerate(CLASSES):
        paint(tmp_path / "train" / name / "a.png", (50 * number, 10, 20))
        paint(tmp_path / "train" / name / "b.BMP", (50 * number, 30, 40))
        paint(tmp_path / "test" / name / "c.ppm", (50 * number, 50, 60))
        (tmp_path / "train" / name / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def together(tmp_path):
    """Ten pictures of each class, told by their brightness."""
    for number, name in enumerate(CLASSES):
        for each in range(10):
            paint(tmp_path / name / f"{each}.png", (10 * number + each,) * 3)
    return tmp_path


def load(directory, seed=0, **keys):
    return data.load(FolderSettings(directory=directory, **{"size": (4, 5), **keys}), seed=seed)


def test_every_folder_is_a_class_and_classes_take_turns(apart):
    loaded = load(apart)
    assert loaded.classes == CLASSES
    assert loaded.train_labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert loaded.test_labels.tolist() == [0, 1, 2]


def test_pictures_are_bytes_by_colour_row_and_column(apart):
    loaded = load(apart)
    raw = loaded.train_inputs.raw.reshape(6, 3, 4, 5)
    assert raw.dtype == torch.uint8
    assert raw[:, :, 0, 0].tolist() == [
        [0, 10, 20],
        [50, 10, 20],
        [100, 10, 20],
        [0, 30, 40],
        [50, 30, 40],
        [100, 30, 40],
    ]
    assert torch.equal(raw, raw[:, :, :1, :1].expand_as(raw))
    assert loaded.shape == (3, 4, 5)


def test_validation_pictures_stand_in_for_test_pictures(apart):
    (apart / "test").rename(apart / "val")
    assert load(apart).test_labels.tolist() == [0, 1, 2]


def test_grey_pictures_have_one_channel(apart):
    loaded = load(apart, mode="grey")
    # The luma of ITU-R 601, which Pillow uses, of (100, 50, 60).
    assert loaded.test_inputs.raw[2, 0].item() == pytest.approx(0.299 * 100 + 0.587 * 50 + 0.114 * 60, abs=1)
    assert loaded.shape == (1, 4, 5)


@pytest.fixture
def striped(tmp_path):
    """Pictures of 4 x 12 pixels, white in the middle third and black on both sides."""
    stripes = np.zeros((4, 12, 3), np.uint8)
    stripes[:, 4:8] = 255
    for name in CLASSES:
        for part in ("train", "test"):
            (tmp_path / part / name).mkdir(parents=True)
            Image.fromarray(stripes).save(tmp_path / part / name / "a.png")
    return tmp_path


def test_a_picture_of_the_wanted_size_is_kept_as_it_is(striped):
    raw = load(striped, size=(4, 12)).train_inputs.raw[0].reshape(3, 4, 12)
    assert raw[0].tolist() == [[0] * 4 + [255] * 4 + [0] * 4] * 4


# Scaling blends neighbours, also those just outside of what is kept.
@pytest.mark.parametrize(("size", "darkest"), [((4, 4), 255), ((2, 2), 190), ((8, 8), 190), ((1, 1), 160)])
def test_the_middle_of_a_picture_is_kept(striped, size, darkest):
    assert load(striped, size=size).train_inputs.raw.min() >= darkest


def test_the_seed_divides_pictures_that_lie_together(together):
    first, again, other = (load(together, seed) for seed in (1, 1, 2))
    assert torch.equal(first.test_inputs[:], again.test_inputs[:])
    assert not torch.equal(first.test_inputs[:], other.test_inputs[:])


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_every_class_is_divided_by_the_wanted_fraction(together, fraction):
    loaded = load(together, test_fraction=fraction)
    assert torch.bincount(loaded.test_labels).tolist() == [10 * fraction] * 3
    raw = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:]))[:, 0] * 255
    assert sorted(raw.round().int().tolist()) == list(range(30))


def test_classes_can_be_chosen(together):
    loaded = load(together, classes=("cat", "ant"))
    assert loaded.classes == ("cat", "ant")
    assert torch.equal(loaded.train_inputs.raw[:, 0] < 10, loaded.train_labels == 1)
    assert torch.bincount(loaded.train_labels).tolist() == [8, 8]


def test_limits_take_pictures_of_all_classes(apart):
    assert load(apart, train_limit=3).train_labels.tolist() == [0, 1, 2]


def scenario_of(directory, first=60):
    section = {"name": "folder", "directory": str(directory), "size": [4, 5]}
    return Scenario(data=section, network={"layers": (first, 3)}, learning={"batch": 2})


def test_a_scenario_names_the_classes_it_has_found(together, monkeypatch):
    monkeypatch.chdir(together)
    section = scenario_of(".").data
    assert section.classes == CLASSES
    assert section.directory == together
    assert section.samples() == (24, 6)
    assert section.test_fraction == 0.2


@pytest.mark.parametrize("kind", ["apart", "together"])
def test_a_resolved_scenario_resolves_to_itself(kind, request):
    scenario = scenario_of(request.getfixturevalue(kind))
    assert Scenario.model_validate(scenario.model_dump(mode="json")) == scenario


def test_a_layer_that_does_not_fit_the_pictures_is_told(apart):
    with pytest.raises(ValueError, match="the first layer has 61 units, but folder has 60 inputs"):
        scenario_of(apart, 61)


def remove(path):
    for each in path.iterdir():
        each.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda place: remove(place / "train" / "bee"), "train/bee has no pictures; put some there"),
        (
            lambda place: remove(place / "test" / "bee") or (place / "test" / "bee").rmdir(),
            "there is no folder .*test/bee",
        ),
        (lambda place: (place / "test").rename(place / "trial"), "has a folder train, but none called test or val"),
        (lambda place: paint(place / "test" / "dog" / "a.png", 0), "test has the folder dog, but .*train has not"),
        (lambda place: (place / "train" / "ant" / "a.png").write_bytes(b"x"), "ant/a.png cannot be read as a picture"),
        (
            lambda place: (place / "train" / "ant" / "z.png").symlink_to("a.png") or cut(place),
            "ant/a.png cannot be read",
        ),
        (lambda place: paint(place / "train" / "ant" / "a.png", 999, mode="I;16"), "a.png has more than 8 bits"),
    ],
)
def test_what_is_wrong_with_the_folders_is_said(apart, spoil, words):
    spoil(apart)
    with pytest.raises(InputError, match=words):
        load(apart)


def cut(place):
    path = place / "train" / "ant" / "a.png"
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("names", "words"),
    [((), "has no folders"), (("ant",), "has only the folder ant"), ((".hidden", "ant"), "has only the folder ant")],
)
def test_one_class_is_not_enough(tmp_path, names, words):
    for name in names:
        paint(tmp_path / name / "a.png", 0)
    with pytest.raises(InputError, match=f"{words}.*the pictures of each class"):
        load(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*none; name another by data.directory"):
        load(tmp_path / "none")


def test_pictures_that_are_divided_already_are_not_divided_again(apart):
    with pytest.raises(InputError, match=r"has a folder train; leave data.test_fraction away"):
        load(apart, test_fraction=0.3)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"size": [4, 0]}, "0 is out of range"),
        ({"size": [4]}, "size"),
        ({"size": [4, 5], "classes": ["ant", "ant"]}, "names a folder twice"),
        ({"size": [4, 5], "classes": ["ant"]}, "classes"),
        ({"size": [4, 5], "mode": "cmyk"}, "mode"),
        ({}, "size"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(apart, keys, words):
    with pytest.raises(ValueError, match=words):
        FolderSettings(directory=apart, **keys)
