"""Watching over stability: the numbers of linear theory, warned of once, and the same whether a run was interrupted or not."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

import analogdp as adp
from analogdp import registry
from analogdp.analysis.stability.predict import Prediction, predict
from analogdp.data import load
from analogdp.dynamics import Poisson, Settling
from analogdp.errors import RunError
from analogdp.network import build
from analogdp.runs import Observer, RunDirectory, monitoring
from analogdp.runs.execute import Interrupted
from analogdp.runs.monitoring import Stability
from analogdp.scenario.schema import Scenario

ALPHA, BETA = 0.3, 0.5


def scenario(folder: Path, **sections) -> Scenario:
    base = {
        "data": {"name": "digits", "train_limit": 60, "test_limit": 20},
        "network": {"layers": [64, 8, 10]},
        "neuron": {"model": "dp", "alpha": ALPHA, "beta": BETA, "activation": "identity"},
        "dynamics": {"clock": "sweep", "sweeps": 200, "tolerance": 1e-4},
        "learning": {"batch": 20, "epochs": 2},
        "measure": {"stability": {"every": 2, "samples": 3, "warn": 1.0}},
        "run": {"directory": str(folder), "device": "cpu", "dtype": "float64"},
    }
    return Scenario.model_validate({**base, **sections})


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    return adp.run(scenario(tmp_path_factory.mktemp("runs"), chips=2))


def linear_loop_gain(network, chip: int) -> float:
    """|2 alpha - 1| beta_eff times the largest eigenvalue of W W^T (EQUATIONS: one hidden layer, linear)."""
    weights = network.synapses[1].weights[chip].numpy()
    strength = BETA / ((1 + ALPHA * BETA) * (1 - (1 - ALPHA) * BETA))
    return abs(2 * ALPHA - 1) * strength * np.linalg.eigvalsh(weights @ weights.T)[-1]


def test_the_wanted_batches_of_all_chips_are_analysed(monitored):
    table = pyarrow.parquet.read_table(monitored.directory / "stability.parquet").to_pydict()
    expected = [(update, chip) for update in (0, 2, 4) for chip in (0, 1)]
    assert list(zip(table["update"], table["chip"], strict=True)) == expected
    assert [row["loop_gain"] for row in monitored.stability] == table["loop_gain"]


def test_the_first_rows_are_those_of_the_initial_weights(monitored):
    network = build(monitored.scenario)
    for row in monitored.stability[:2]:
        expected = linear_loop_gain(network, row["chip"])
        # One loop: a sweep multiplies a deviation by minus gamma beta_eff W W^T, and gamma is negative.
        found = (row["loop_gain"], row["growth"], row["eigenvalue_real"], row["approach"])
        assert found == pytest.approx(4 * (expected,), rel=1e-6)
        assert (row["eigenvalue_imag"], row["converged"], row["certified"], row["at_rest"]) == (0, 1, 1, 1)


TANH = {"model": "dp", "alpha": 0.6, "beta": 0.5, "activation": "tanh", "tau": "1 us"}
TIMES = {
    "random clocks": ({"clock": "poisson", "settle": {"at_most": "60 us"}}, {}),
    "unequal neurons": ({"dt": "0.3 us", "settle": {"at_most": "60 us"}}, {"tau": 0.2}),
    "euler steps that are long for fast neurons": (
        {"dt": "1 us", "integrator": "euler", "settle": {"at_most": "60 us"}},
        {"tau": {"std": 0.1, "distribution": "uniform"}},
    ),
}


# Two runs each; loops that turn decide on the last one's approach, and loop gains on those of the others.
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in list(TIMES)[:2]), [*TIMES][2]]
)
def test_rows_are_analyses_of_the_weights_of_their_update(tmp_path, name):
    """Of all samples, two updates later, to 1e-9: what is analysed is the trained network of a run that ended there."""
    dynamics, mismatch = TIMES[name]
    runs = [
        adp.run(
            scenario(
                tmp_path,
                chips=2,
                data={"name": "blobs", "inputs": 8, "classes": 4, "train_limit": 12, "test_limit": 4},
                network={"layers": [8, 6, 5, 4]},
                neuron=TANH,
                dynamics=dynamics,
                mismatch=mismatch,
                learning={"batch": 12, "epochs": epochs},
                measure={"stability": {"every": 1, "samples": 12}},
            )
        )
        for epochs in (2, 3)
    ]
    network, own = runs[0].network, runs[0].scenario
    clock = registry.clocks.get(own.dynamics.clock).build(own.dynamics)
    data = load(own.data, own.seed).to(network.device, network.dtype)
    inputs, labels = (own[:12].unsqueeze(0) for own in (data.train_inputs, data.train_targets))
    found = predict(network, clock, inputs, labels, TANH["beta"])
    lone = left_alone(clock, network)
    for row in (row for row in runs[1].stability if row["update"] == 2):
        chip = row["chip"]
        growth, gain = found.growth[chip].max().item(), found.loop_gain[chip]
        expected = {
            "loop_gain": gain.max().item(),
            "loop_gain_mean": gain.mean().item(),
            "growth": growth,
            "approach": max(gain.max().item(), (growth - lone[chip]) / (1 - lone[chip])),
            "steps_predicted": found.steps[chip].max().item(),
        }
        assert {column: row[column] for column in expected} == pytest.approx(expected, rel=1e-9)
        leading = found.leading[chip, found.growth[chip].argmax()]
        assert (row["eigenvalue_real"], abs(row["eigenvalue_imag"])) == pytest.approx(
            (leading.real.item(), abs(leading.imag.item())), abs=1e-9
        )


def left_alone(clock, network) -> list[float]:
    """What a step leaves of a deviation of the worst neuron of each chip, all loops cut: from its neurons one by one."""
    if isinstance(clock, Poisson):
        return [math.exp(-clock.rate * clock.timestep)] * network.chips
    worst = [0.0] * network.chips
    for layer in network.layers:
        tau = torch.as_tensor(layer.tau).expand(2, network.chips, 1, layer.units)
        for chip in range(network.chips):
            z = clock.timestep / tau[:, chip].numpy()
            left = abs(1 - z) if clock.integrator is registry.integrators.get("euler") else np.exp(-z)
            worst[chip] = max(worst[chip], left.max())
    return worst


def test_steps_are_predicted_as_the_simulation_takes_them(monitored):
    for row in monitored.stability:
        assert row["steps_taken"] == pytest.approx(row["steps_predicted"], rel=0.5)


def test_watching_changes_nothing_else(monitored, tmp_path):
    plain = adp.run(scenario(tmp_path, chips=2, measure={}))
    assert plain.metrics == monitored.metrics
    assert plain.stability == []


class Noting(Observer):
    """Keeps what is said; stops after some updates, as Ctrl-C does."""

    def __init__(self, stop: int = 0) -> None:
        self.stop, self.messages = stop, []

    def advanced(self, progress) -> None:
        if progress.update == self.stop:
            raise KeyboardInterrupt

    def said(self, message: str) -> None:
        self.messages.append(message)


def test_a_run_that_was_interrupted_ends_with_the_same_rows(tmp_path, monitored):
    run = {"directory": str(tmp_path), "device": "cpu", "dtype": "float64", "checkpoint_every": 2}
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        adp.run(scenario(tmp_path, chips=2, run=run), progress=Noting(3))
    (directory,) = tmp_path.iterdir()
    assert len((directory / "stability.jsonl").read_text().splitlines()) == 4
    resumed = adp.resume(directory)
    for name in ("stability.parquet", "stability.jsonl"):
        assert (resumed.directory / name).read_bytes() == (monitored.directory / name).read_bytes()


def foretold(gains: list[float]) -> Prediction:
    """One sample on each chip, of these loop gains."""
    gain = torch.tensor(gains, dtype=torch.float64).unsqueeze(-1)
    yes = torch.ones_like(gain, dtype=torch.bool)
    return Prediction(gain, yes, gain.to(torch.complex128), gain, yes, yes, gain, yes, "dense", ())


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """Watches over two chips whose loop gains are foretold; returns whom it has warned of, and its rows."""

    def make(*gains: list[float], cut: int | None = None) -> list[str]:
        own = scenario(tmp_path, chips=2, measure={"stability": {"every": 1, "warn": 0.8}})
        said: list[str] = []
        stability = Stability(own.measure.stability, own, build(own), RunDirectory(tmp_path), said.append)
        lengths = []
        for update, each in enumerate(gains):
            monkeypatch.setattr(monitoring, "predict", lambda *_, each=each, **__: foretold(each))
            if update == cut:
                stability.cut(lengths[1])
            stability.see(update, torch.zeros(1, 1, 64), torch.zeros(1, 1, 10), None)
            lengths.append(stability.flush())
        return said

    return make


def test_a_chip_is_warned_of_when_it_comes_near_and_again_only_after_it_was_not(watch):
    said = watch([0.5, 0.9], [0.7, 0.95], [0.81, 0.7], [0.9, 0.85])
    assert [message.split("at update ")[1][:9] for message in said] == ["0, chip 1", "2, chip 0", "3, chip 1"]
    assert all("loop gain" in message and "alpha nearer to 1/2" in message for message in said)


def test_what_was_warned_of_before_a_checkpoint_is_remembered_after_it(watch):
    said = watch([0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.9, 0.1], cut=3)
    assert len(said) == 2


def test_steps_taken_are_those_of_the_last_of_the_analysed_samples(tmp_path, monkeypatch):
    """NaN where one had not settled; samples beyond those that are analysed do not count."""
    own = scenario(tmp_path, chips=2, measure={"stability": {"every": 1, "samples": 3}})
    monkeypatch.setattr(monitoring, "predict", lambda *_, **__: foretold([0.5, 0.5]))
    stability = Stability(own.measure.stability, own, build(own), RunDirectory(tmp_path), str)
    after = torch.tensor([[3, 7, 5, 90], [2, -1, 5, 4]])
    settling = Settling((), torch.zeros(0), 90, after.amax(1), after)
    stability.see(0, torch.zeros(1, 4, 64), torch.zeros(1, 4, 10), settling)
    first, second = (row["steps_taken"] for row in stability.journal.rows())
    assert first == 7
    assert math.isnan(second)


def test_growth_counts_from_that_of_a_lone_neuron(tmp_path):
    dynamics = {"dt": "0.1 us", "settle": {"at_most": "40 us"}}
    neuron = {"model": "dp_transposed", "alpha": 0.0, "tau": "1 us", "activation": "tanh"}
    (row,) = adp.run(
        scenario(tmp_path, neuron=neuron, dynamics=dynamics, learning={"batch": 60, "epochs": 1})
    ).stability
    assert row["growth"] == pytest.approx(math.exp(-0.1))
    assert row["approach"] == pytest.approx(0, abs=1e-6)


def test_a_warning_is_told_logged_and_reported(tmp_path):
    observer = Noting()
    measure = {"stability": {"every": 1, "samples": 2, "warn": 0.01}}
    run = adp.run(scenario(tmp_path, measure=measure, learning={"batch": 60, "epochs": 1}), progress=observer)
    (message,) = observer.messages
    assert "comes near to where stability ends: at update 0, chip 0" in message
    assert message in (run.directory / "log.txt").read_text()
    page = (run.directory / "report.html").read_text()
    assert "Stability of inference" in page
    assert "at update 0 (chip 0)" in page
    assert (run.directory / "plots" / "stability.png").stat().st_size > 5_000


def test_a_divergence_tells_what_was_last_found(tmp_path):
    learning = {"batch": 20, "epochs": 3, "optimizer": "sgd", "rate": 2.0}
    measure = {"stability": {"every": 1, "samples": 2}}
    with pytest.raises(RunError, match=r"diverged.*Its stability was last analysed at update \d+, chip 0, loop gain"):
        adp.run(scenario(tmp_path, learning=learning, measure=measure))
    (directory,) = tmp_path.iterdir()
    assert "last analysed" in adp.open_run(directory).manifest.reason


def test_streams_of_samples_are_analysed_though_nobody_waits_for_them(tmp_path):
    learning = {"mode": "always_on", "batch": 20, "epochs": 1}
    run = adp.run(scenario(tmp_path, dynamics={"clock": "continuous"}, learning=learning))
    assert [row["update"] for row in run.stability] == [0, 2]
    assert all(math.isnan(row["steps_taken"]) and 0 < row["growth"] < 1 for row in run.stability)


def test_delays_that_are_left_out_of_account_are_told(tmp_path):
    dynamics = {"dt": "0.5 us", "axons": {"delay": "1 us"}}
    observer = Noting()
    adp.run(scenario(tmp_path, dynamics=dynamics, learning={"batch": 60, "epochs": 1}), progress=observer)
    assert observer.messages == ["measure.stability leaves dynamics.axons.delay out of account"]


@pytest.mark.slow  # 110 updates of up to 100 sweeps
def test_the_example_warns_while_samples_settle_and_then_diverges(tmp_path):
    observer = Noting()
    with pytest.raises(RunError, match="last analysed at update"):
        adp.run(adp.load_scenario("scenarios/stability-monitor.yaml"), out=tmp_path / "run", progress=observer)
    rows = {row["update"]: row for row in adp.open_run(tmp_path / "run").stability}
    (message,) = observer.messages
    warned = int(message.split("at update ")[1].split(",")[0])
    unstable = next(update for update, row in rows.items() if row["growth"] > 1)
    assert warned < unstable < max(rows)
    settled = [row for update, row in rows.items() if update < unstable]
    assert all(row["steps_taken"] == pytest.approx(row["steps_predicted"], rel=0.4) for row in settled)
    assert math.isnan(rows[unstable]["steps_taken"])
