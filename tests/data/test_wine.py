"""Wines and their quality."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp import data
from analogdp.data.wine import FEATURES, WineSettings
from analogdp.errors import InputError
from analogdp.scenario.schema import Scenario

HEADING = ";".join(f'"{name}"' for name in (*FEATURES, "quality"))


def wines(qualities, first):
    return [[first + number, *range(10), quality] for number, quality in enumerate(qualities)]


@pytest.fixture
def folder(tmp_path):
    """Ten white and five red wines; the first feature numbers them."""
    rows = {"white": wines([3, 4, 5, 6, 9] * 2, 0), "red": wines([5, 6, 7, 5, 8], 100)}
    for colour, own in rows.items():
        text = "\n".join([HEADING, *(";".join(map(str, row)) for row in own)])
        (tmp_path / f"winequality-{colour}.csv").write_text(text)
    return tmp_path


@pytest.mark.parametrize(("colour", "numbers"), [("white", [*range(10)]), ("red", [*range(100, 105)])])
def test_every_wine_is_either_trained_or_tested_on(folder, colour, numbers):
    loaded = data.load(WineSettings(directory=folder, colour=colour, test_fraction=0.2), 0)
    parts = loaded.train_inputs[:], loaded.test_inputs[:]
    assert sorted(torch.cat(parts)[:, 0].tolist()) == numbers
    assert len(loaded.test_inputs) == len(numbers) // 5
    assert loaded.train_labels is None
    assert loaded.classes is None


def test_the_quality_is_the_target(folder):
    loaded = data.load(WineSettings(directory=folder), 0)
    rows = loaded.train_inputs[:][:, 0].long()
    assert torch.equal(loaded.train_targets[:][:, 0], torch.tensor([3.0, 4, 5, 6, 9] * 2)[rows])


@pytest.mark.parametrize(("colour", "classes"), [("white", "3456789"), ("red", "345678"), ("both", "3456789")])
def test_qualities_can_be_classes(folder, colour, classes):
    settings = WineSettings(directory=folder, colour=colour, task="classes", test_fraction=0.5)
    loaded = data.load(settings, 0)
    assert loaded.classes == tuple(classes)
    assert settings.sizes() == (11, len(classes)) == (loaded.train_inputs.features, loaded.train_targets.features)
    labels = torch.cat((loaded.train_labels, loaded.test_labels)) + 3
    expected = {"white": [3, 4, 5, 6, 9] * 2, "red": [5, 6, 7, 5, 8]}
    wanted = [quality for name in settings.colours for quality in expected[name]]
    assert sorted(labels.tolist()) == sorted(wanted)


def test_a_quality_that_nobody_gave_is_no_class(folder):
    path = folder / "winequality-red.csv"
    path.write_text(path.read_text().replace(";8", ";11"))
    with pytest.raises(InputError, match="no whole number from 3 to 8"):
        data.load(WineSettings(directory=folder, colour="red", task="classes"), 0)


def test_a_missing_file_is_named_with_where_to_put_it(folder):
    (folder / "winequality-red.csv").unlink()
    with pytest.raises(InputError, match=r"there is no winequality-red.csv in .*; put winequality-white.csv and"):
        data.load(WineSettings(directory=folder, colour="both"), 0)


def test_another_file_is_refused(folder):
    (folder / "winequality-white.csv").write_text("a;b\n1;2\n")
    with pytest.raises(InputError, match="has no column 'fixed acidity'"):
        data.load(WineSettings(directory=folder), 0)


def test_a_scenario_keeps_the_folder_outright(folder, monkeypatch):
    monkeypatch.setenv("ANALOGDP_DATA", str(folder.parent))
    (folder.parent / "wine-quality").symlink_to(folder)
    made = Scenario(data="wine_quality", network={"layers": (11, 5, 1)})
    assert (made.data.directory, made.data.test_fraction) == (folder, 0.2)


@pytest.mark.skipif("ANALOGDP_DATA" not in os.environ, reason="ANALOGDP_DATA names no folder with the real files")
def test_the_real_wines_are_those_of_the_paper():
    """Cortez et al. 2009, Table 1: 4898 and 1599 wines; means of alcohol 10.4 and 10.4 %, of white pH 3.19."""
    if not (Path(os.environ["ANALOGDP_DATA"]) / "wine-quality").is_dir():
        pytest.skip("no wine-quality")
    loaded = {colour: data.load(WineSettings(colour=colour), 0) for colour in ("white", "red", "both")}
    inputs = {name: torch.cat((own.train_inputs[:], own.test_inputs[:])).numpy() for name, own in loaded.items()}
    assert [len(own) for own in inputs.values()] == [4898, 1599, 6497]
    np.testing.assert_allclose([inputs[name][:, 10].mean() for name in ("white", "red")], 10.4, atol=0.12)
    assert inputs["white"][:, 8].mean() == pytest.approx(3.19, abs=0.005)
    assert WineSettings(colour="both").samples() == tuple(
        map(len, (loaded["both"].train_inputs, loaded["both"].test_inputs))
    )
