"""Ablations that are run: what they leave, how they go on, and what they say of runs that fail."""

import json

import numpy as np
import pytest
import torch

import analogdp
from analogdp import api, registry
from analogdp.ablation import PICTURE, RESULTS, Campaign, ablate
from analogdp.analysis.ablation import Ablation
from analogdp.data import Dataset
from analogdp.errors import InputError
from analogdp.runs import Interrupted
from analogdp.scenario.data import DataSettings

NOISES = {"membrane": 0.05, "nudging": 0.1}
SHORT = {"epochs": 1, "batch": 30, "optimizer": "sgd", "rate": 0.1}


class RipplesSettings(DataSettings):
    name: str = "ripples"

    def sizes(self):
        return 8, 2

    def samples(self):
        return 20, 10


@registry.datasets.register("ripples")
class Ripples:
    """A regression."""

    Settings = RipplesSettings

    @staticmethod
    def load(settings, seed):
        inputs = torch.rand(30, 8, generator=torch.Generator().manual_seed(seed))
        targets = torch.sin(3 * inputs[:, :2])
        return Dataset("ripples", inputs[:20], targets[:20], None, inputs[20:], targets[20:], None)


class Notes(Campaign):
    def __init__(self):
        self.begun, self.ended, self.started_runs = [], [], []

    def run_begins(self, variant, seed):
        self.begun.append((variant, seed))

    def run_ended(self, variant, outcome):
        self.ended.append((variant, outcome.seed, outcome.status))

    def started(self, directory, update, total_updates, updates_per_epoch):
        self.started_runs.append(directory.name)


@pytest.fixture
def scenario(make_scenario, tmp_path):
    def make(**sections):
        settings = {"noise": NOISES, "learning": SHORT, "seed": 3, **sections}
        return make_scenario((64, 10), name="some", run={"directory": str(tmp_path / "runs")}, **settings)

    return make


def test_every_run_is_kept_and_its_results_are_paired(scenario, tmp_path):
    notes = Notes()
    found = analogdp.ablate(scenario(chips=2), seeds=2, only=["nudging_noise"], progress=notes)
    folder = tmp_path / "runs" / "some-ablation-1"
    assert found.directory == folder
    variants = ("full", "ideal", "without-nudging_noise")
    assert notes.begun == [(name, seed) for name in variants for seed in (3, 4)]
    assert notes.ended == [(*run, "finished") for run in notes.begun]
    values = {
        name: np.array(
            [
                [row["test_accuracy"] for row in analogdp.open_run(folder / f"{name}-seed{seed}").final]
                for seed in (3, 4)
            ]
        )
        for name in variants
    }
    difference = values["without-nudging_noise"] - values["full"]
    cost = found.cost(found.variant("without-nudging_noise"))
    assert (cost.mean, cost.pairs) == (pytest.approx(difference.mean()), 4)
    assert cost.error == pytest.approx(difference.mean(1).std(ddof=1) / np.sqrt(2))
    assert Ablation.read(folder / RESULTS) == found.model_copy(update={"directory": None})
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert api.open_run(folder / "ideal-seed4").scenario.noise.membrane == 0


def test_what_is_done_is_not_done_again(scenario, tmp_path):
    first = ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "out")
    again = Notes()
    more = ablate(scenario(), seeds=1, only=["nudging_noise"], out=tmp_path / "out", progress=again)
    assert again.started_runs == ["without-nudging_noise-seed3"]
    assert more.variants[:2] == first.variants[:2]


def test_an_interrupted_ablation_goes_on(scenario, tmp_path):
    whole = ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "whole")

    class Impatient(Notes):
        def advanced(self, progress):
            if len(self.begun) == 2:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"repeat it with --out .*/out"):
        ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "out", progress=Impatient())
    assert not (tmp_path / "out" / RESULTS).exists()
    notes = Notes()
    found = ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "out", progress=notes)
    assert notes.started_runs == ["ideal-seed3", "without-membrane_noise-seed3"]
    assert found.variants == whole.variants


def test_a_regression_is_compared_by_its_loss(make_scenario, tmp_path):
    sections = {"data": {"name": "ripples"}, "network": {"layers": (8, 2)}, "noise": {"membrane": 0.1}}
    learning, run = {"epochs": 1, "batch": 20}, {"device": "cpu"}
    regression = analogdp.Scenario.model_validate({**sections, "learning": learning, "run": run})
    found = ablate(regression, seeds=1, out=tmp_path / "out")
    assert found.metric == "test_loss"
    full, other = (
        api.open_run(tmp_path / "out" / f"{name}-seed0").final[0]["test_loss"]
        for name in ("full", "without-membrane_noise")
    )
    assert found.cost(found.variant("without-membrane_noise")).mean == pytest.approx(full - other)


def test_a_variant_that_cannot_be_simulated_is_said_to_be_refused(scenario, tmp_path, monkeypatch):
    run = api.run

    def picky(own, **arguments):
        if own.noise.membrane == 0:
            raise InputError("too long a step")
        return run(own, **arguments)

    monkeypatch.setattr(api, "run", picky)
    found = ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "out")
    assert found.variant("without-membrane_noise").trouble == "refused: too long a step"
    assert found.cost(found.variant("without-membrane_noise")) is None
    with pytest.raises(InputError, match="too long a step"):
        ablate(scenario(noise={"nudging": 0.1}), seeds=1, out=tmp_path / "other")


def test_a_variant_that_diverges_is_said_to(scenario, tmp_path):
    # The weights of this rate leave the bounds at once, with noise or without.
    diverging = scenario(learning={**SHORT, "rate": 1000.0, "epochs": 3})
    for _ in range(2):
        found = ablate(diverging, seeds=1, only=["membrane_noise"], out=tmp_path / "out")
        assert [each.outcomes[0].status for each in found.variants] == ["diverged"] * 3
        assert found.cost(found.variant("ideal")) is None


def test_a_directory_of_something_else_is_refused(scenario, tmp_path):
    ablate(scenario(), seeds=1, only=["membrane_noise"], out=tmp_path / "out")
    with pytest.raises(InputError, match="out is the ablation of another scenario"):
        ablate(scenario(seed=4), seeds=1, out=tmp_path / "out")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="runs exists, but is no ablation"):
        ablate(scenario(), seeds=1, out=tmp_path / "runs")
    with pytest.raises(InputError, match=r"note\.txt is a file"):
        ablate(scenario(), seeds=1, out=tmp_path / "runs" / "note.txt")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seeds": 0}, "seeds: 0 is out of range; allowed: 1 to 1000"),
        ({"jobs": 65}, "jobs: 65 is out of range"),
        ({"only": ["wires"]}, "this scenario has no wires"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(scenario, tmp_path, arguments, said):
    with pytest.raises(InputError, match=said):
        ablate(scenario(), **arguments)
    assert not (tmp_path / "runs").exists()


def test_seeds_beyond_the_largest_are_refused(scenario):
    with pytest.raises(InputError, match="take fewer, or a smaller seed"):
        ablate(scenario(seed=2**63 - 2), seeds=3)


@pytest.mark.slow
def test_several_processes_find_the_same(tmp_path):
    sections = {"network": {"layers": (64, 10)}, "noise": {"membrane": 0.05}, "learning": {"epochs": 1, "batch": 500}}
    digits = analogdp.Scenario.model_validate({**sections, "run": {"device": "cpu"}})
    one, two = (ablate(digits, seeds=1, out=tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    texts = [json.loads((tmp_path / name / RESULTS).read_text()) for name in ("1", "2")]
    assert texts[0] == texts[1]
    assert one.variants == two.variants
