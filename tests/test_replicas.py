"""Runs that are trained together, against the same runs alone."""

import os
import signal

import pyarrow.parquet
import pytest
import torch

from analogdp import api, replicas
from analogdp.dynamics import Diverged
from analogdp.errors import InputError, ScenarioError
from analogdp.learning.together import TrainersTogether, program
from analogdp.learning.trainer import Trainer
from analogdp.runs import Interrupted, RunDirectory, load_newest
from analogdp.runs.course import Observer
from analogdp.runs.together import train_together
from analogdp.scenario.schema import Scenario
from analogdp.scenario.threads import computing_with
from analogdp.scenario.variations import vary

CROSSBAR = {
    "synapse": {"model": "crossbar", "device": "ecram_mo", "dac": {"bits": 8}, "adc": {"bits": 8}},
    "noise": {"membrane": 0.01, "nudging": 0.05},
    "mismatch": {"tau": 0.05, "alpha": 0.02},
    "chips": 2,
    "dynamics": {"clock": "continuous", "dt": 0.5e-6, "settle": {"tolerance": None, "at_most": 4e-6}},
}


@pytest.fixture(autouse=True)
def _one_thread():
    with computing_with(1):
        yield


@pytest.fixture
def make(tmp_path):
    """A small scenario in double precision."""

    def scenario(**sections):
        data = {
            "name": "small",
            "data": {"name": "digits", "test_fraction": 0.9},
            "network": {"layers": [64, 8, 10]},
            "dynamics": {"clock": "sweep"},
            "learning": {"epochs": 2, "batch": 60},
            "run": {"directory": tmp_path / "runs", "device": "cpu", "threads": 1},
            "export": (),
        }
        data["run"] |= sections.pop("run", {"dtype": "float64"})
        return Scenario.model_validate(data | sections)

    return scenario


def state(directory):
    return load_newest(directory / "checkpoints", print).tensors


def train(scenarios, folder, observer=None, left=()):
    """Train scenarios together in directories of their own; those that leave are added to ``left``."""
    runs = [
        RunDirectory.open(folder / str(number))
        if (folder / str(number)).exists()
        else api.new_directory(scenario, "cpu", folder / str(number), folder)
        for number, scenario in enumerate(scenarios)
    ]
    datasets = {scenario.seed: api.load_data(scenario.data, scenario.seed) for scenario in scenarios}

    def gather(leave):
        def tell(number, error):
            left.append((number, error)) if isinstance(left, list) else None
            leave(number, error)

        return TrainersTogether(scenarios, datasets, tell)

    train_together(runs, gather, None, observer or Observer(), folder)
    return runs


def alone(scenario):
    """The state that a scenario's own trainer ends in, and its evaluations."""
    trainer, _, _ = api._prepare(scenario)
    rows = trainer.evaluate()
    while trainer.update < trainer.total_updates:
        trainer.advance()
        if trainer.update % trainer.updates_per_epoch == 0:
            rows += trainer.evaluate()
    return trainer.tensors(), rows


def assert_same(own, wanted, tolerance):
    assert own.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = max(1e-30, float(value.double().abs().max()) if value.numel() else 0.0)
        assert float((own[name].double() - value.double()).abs().max()) <= tolerance * scale, name


CASES = {
    "sweep": ({}, {"seed": [0, 3], "neuron.alpha": [0.0, 0.3], "learning.rate": [0.001, 0.02]}),
    "beta": ({"neuron": {"model": "dp", "alpha": 0.3}}, {"seed": [0, 1], "neuron.beta": [0.1, 0.5]}),
    "momentum": (
        {"learning": {"epochs": 1, "batch": 60, "optimizer": "momentum"}},
        {"learning.bias_rate": [0.01, 0.1]},
    ),
    "settling": ({"dynamics": {"clock": "continuous", "dt": 0.5e-6}}, {"seed": [0, 1], "neuron.alpha": [0.2, 0.5]}),
    "poisson": ({"dynamics": {"clock": "poisson", "settle": {"at_most": 4e-6}}}, {"seed": [0, 1]}),
    "crossbar": (CROSSBAR, {"seed": [0, 1], "learning.rate": [0.05, 0.2]}),
    "feedback": ({"feedback": "kolen_pollack"}, {"seed": [0, 1], "learning.rate": [0.01, 0.02]}),
    "augmented": ({"data": {"name": "digits", "test_fraction": 0.9, "train_noise": 0.1}}, {"seed": [0, 1]}),
    "stabilised": (
        {
            "synapse": "pair",
            "neuron": {"model": "dp"},
            "learning": {"epochs": 1, "batch": 60, "rule": "dual_weight_stabilised"},
        },
        {"seed": [0, 1]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_runs_trained_together_end_with_the_weights_and_evaluations_of_runs_alone(make, tmp_path, case):
    sections, choices = CASES[case]
    scenarios = [variation.scenario for variation in vary(make(**sections), choices)]
    assert len({program(scenario) for scenario in scenarios}) == 1, "all are one group"
    for scenario, run in zip(scenarios, train(scenarios, tmp_path), strict=True):
        tensors, rows = alone(scenario)
        assert_same(state(run.path), tensors, 1e-12)
        kept = api.open_run(run.path).metrics
        assert [row.keys() for row in kept] == [row.keys() for row in rows]
        for own, wanted in zip(kept, rows, strict=True):
            assert own == pytest.approx(wanted, rel=1e-12)


def test_single_precision_ends_within_a_millionth(make, tmp_path):
    scenarios = [
        own.scenario for own in vary(make(run={"dtype": "float32"}), {"seed": [0, 1], "neuron.alpha": [0.2, 0.5]})
    ]
    for scenario, run in zip(scenarios, train(scenarios, tmp_path), strict=True):
        assert_same(state(run.path), alone(scenario)[0], 1e-6)


class Interrupting(Observer):
    """Asks the process to stop after a number of updates."""

    def __init__(self, update):
        self.at = update

    def advanced(self, progress):
        if progress.update == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("goes_on", ["together", "alone"])
def test_interrupted_runs_go_on_together_or_alone_and_end_the_same(make, tmp_path, goes_on):
    scenarios = [own.scenario for own in vary(make(), {"seed": [0, 1], "learning.rate": [0.001, 0.01]})]
    with pytest.raises(Interrupted):
        train(scenarios, tmp_path, Interrupting(4))
    if goes_on == "together":
        train(scenarios, tmp_path)
    else:
        assert api.open_run(tmp_path / "0").status == "interrupted"
        assert api.resume(tmp_path / "0").status == "finished"
    for number, scenario in enumerate(scenarios if goes_on == "together" else scenarios[:1]):
        assert_same(state(tmp_path / str(number)), alone(scenario)[0], 1e-12)


@pytest.mark.parametrize("damping", ["none", "contraction"])
def test_a_run_that_diverges_leaves_the_others_which_end_as_they_would_alone(make, tmp_path, monkeypatch, damping):
    """It diverges with its samples presented: dampings have looked at the weights."""
    scenario = make(neuron={"model": "dp", "damping": damping}, dynamics={"clock": "sweep", "sweeps": 3})
    scenarios = [own.scenario for own in vary(scenario, {"seed": [0, 1, 2]})]
    settle = Trainer._settle

    def settle_or_diverge(trainer, inputs, targets, stream):
        settled, seeds = settle(trainer, inputs, targets, stream), trainer._stream.seed
        if trainer.update == 4 and isinstance(seeds, tuple) and 1 in seeds:
            raise Diverged(1, None, 1, 0, seeds.index(1))
        return settled

    left = []
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_settle", settle_or_diverge)
        runs = train(scenarios, tmp_path, left=left)
    assert [number for number, _ in left] == [1]
    assert load_newest(runs[1].checkpoints, print).update == 3, "the end of the last epoch"
    assert "to go on alone" in runs[1].log.read_text()
    for number in (0, 2):
        assert_same(state(runs[number].path), alone(scenarios[number])[0], 1e-12)


@pytest.mark.parametrize(
    "sections",
    [
        {"learning": {"mode": "always_on", "epochs": 1}, "dynamics": {"clock": "continuous"}},
        {"record": [{"layer": 1}]},
    ],
    ids=["always on", "recorded"],
)
def test_what_has_to_be_trained_alone_is(make, sections):
    assert program(make(**sections)) is None


@pytest.mark.parametrize(
    ("path", "values"),
    [("network.gain", [0.5, 1.0]), ("learning.batch", [10, 20]), ("neuron.tau", [1e-6, 2e-6]), ("chips", [1, 2])],
)
def test_runs_that_differ_in_anything_else_are_different_programs(make, path, values):
    assert len({program(own.scenario) for own in vary(make(dynamics={"clock": "continuous"}), {path: values})}) == 2


def test_sweeps_in_random_order_are_only_shared_by_runs_of_one_seed(make):
    scenario = make(dynamics={"clock": "sweep", "order": "random"})
    assert len({program(own.scenario) for own in vary(scenario, {"seed": [0, 1]})}) == 2
    assert len({program(own.scenario) for own in vary(scenario, {"neuron.alpha": [0.0, 1.0]})}) == 1


def test_seeds_that_leave_other_numbers_of_samples_to_test_run_as_each_alone(make, tmp_path):
    scenario = make(data={"name": "digits", "draw": 100, "test": "rest"})
    found = replicas.replicate(scenario, {"seed": [0, 1, 2]}, out=tmp_path / "out")
    sizes = {len(api.load_data(scenario.data, seed).test_inputs) for seed in range(3)}
    assert len(sizes) > 1
    for own in found:
        for row, wanted in zip(own.result.metrics, alone(own.result.scenario)[1], strict=True):
            assert row == pytest.approx(wanted, rel=1e-12)


def test_replicas_leave_ordinary_runs_and_tables_and_are_not_done_again(make, tmp_path):
    scenario, out = make(), tmp_path / "out"
    found = replicas.replicate(scenario, {"seed": [0, 1], "neuron.alpha": [0.5]}, out=out)
    assert [own.result.status for own in found] == ["finished", "finished"]
    assert all(own.result.report is not None for own in found)
    for own, wanted in zip(found[0].result.metrics, api.run(found[0].result.scenario).metrics, strict=True):
        assert own == pytest.approx(wanted)
    (line,) = found.summary
    assert f"test_accuracy: {line['test_accuracy']:.5g}" in repr(found)
    accuracies = torch.tensor([own.result.accuracy for own in found], dtype=torch.float64)
    assert line["test_accuracy"] == pytest.approx(float(accuracies.mean()))
    assert line["test_accuracy_spread"] == pytest.approx(float(accuracies.std()))
    assert pyarrow.parquet.read_table(out / replicas.TABLE).column("seed").to_pylist() == [0, 1]
    times = [own.result.manifest.ended for own in found]
    again = replicas.replicate(scenario, {"seed": [0, 1], "neuron.alpha": [0.5]}, out=out)
    assert [own.result.manifest.ended for own in again] == times
    with pytest.raises(InputError, match="another scenario"):
        replicas.replicate(make(network={"layers": [64, 9, 10]}), {"seed": [0, 1], "neuron.alpha": [0.5]}, out=out)


@pytest.mark.parametrize("tabulated", [True, False], ids=["done", "interrupted"])
def test_a_folder_of_other_choices_is_refused_and_its_tables_stay(make, tmp_path, tabulated):
    out = tmp_path / "out"
    replicas.replicate(make(), {"seed": [0, 1]}, out=out)
    tables = [out / name for name in (replicas.TABLE, replicas.SUMMARY)]
    if not tabulated:
        for table in tables:
            table.unlink()
    before = [table.read_bytes() for table in tables if tabulated]
    with pytest.raises(InputError, match=r"replicas of other choices.*choose another directory \(--out\)"):
        replicas.replicate(make(), {"seed": [1, 2]}, out=out)
    assert [table.read_bytes() for table in tables if table.exists()] == before
    assert not (out / "seed2").exists()


def test_more_runs_than_the_memory_takes_are_refused_with_how_many_it_takes(make, monkeypatch):
    scenario = make()
    needed = sum(replicas.memory_parts(scenario).values())
    monkeypatch.setattr(replicas, "available_memory", lambda device: needed * 1)
    with pytest.raises(InputError, match="1 do"):
        replicas.replicate(scenario, {"seed": [0, 1]}, together=2)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"neuron.alfa": [1]}, "did you mean 'alpha'"),
        ({"neuron.alpha": [0.5, 2.0]}, "neuron.alpha: 2.0 is out of range"),
        ({"seed": ["x"]}, "seed: expected a whole number"),
        ({"seed": []}, "no values"),
        ({"seed": [1, 1]}, "given twice"),
        ({"seed": 3}, "several values"),
        ({"seed": range(100_000)}, "too many"),
        ({}, "nothing varies"),
    ],
)
def test_choices_that_cannot_be_made_are_refused(make, choices, message):
    with pytest.raises((InputError, ScenarioError), match=message):
        replicas.replicate(make(), choices)


def test_a_rate_of_the_biases_that_was_the_default_follows_that_of_the_weights(make):
    (own,) = vary(make(), {"learning.rate": [0.03]})
    assert own.scenario.learning.bias_rate == 0.03
    explicit = make(learning={"epochs": 1, "rate": 0.01, "bias_rate": 0.2})
    (own,) = vary(explicit, {"learning.rate": [0.03]})
    assert own.scenario.learning.bias_rate == 0.2
