"""Real processes, killed at random moments by SIGKILL, against one that nobody disturbed."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from analogdp import api
from analogdp.runs import RunDirectory, load_newest, read_manifest
from analogdp.scenario import Scenario

KILLS = 4

# Processes fork from a server that has torch loaded already: a second saved for each.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["analogdp.api", "analogdp.exports", "analogdp.reports", "analogdp.data.digits", "sklearn.datasets"]
)

NOISY: dict[str, Any] = {
    "mismatch": {"tau": 0.05, "alpha": 0.02},
    "noise": {"membrane": 0.01, "nudging": 0.05},
    "chips": 2,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "ideal": {"learning": {"optimizer": "adam"}},
    "crossbar": {"synapse": {"model": "crossbar", "device": "reram_sb", "tile": "32x8"}, **NOISY},
}


@pytest.fixture(params=VARIANTS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """Twelve updates of a small network, with a checkpoint in the middle of every epoch."""
    sections = {**VARIANTS[request.param]}
    learning = {"epochs": 4, "batch": 500, **sections.pop("learning", {})}
    network = {"layers": [64, 16, 10]}
    run = {"device": "cpu", "threads": 1, "checkpoint_every": 2}
    return Scenario.model_validate({"name": "tiny", "learning": learning, "network": network, "run": run, **sections})


def start(function: Callable[..., object], *arguments: object, **keywords: object) -> BaseProcess:
    process = PROCESSES.Process(target=function, args=arguments, kwargs=keywords)
    process.start()
    return process


def outcome(path: Path) -> dict[str, object]:
    """Everything that an interruption must not change."""
    run = RunDirectory.open(path)
    checkpoint = load_newest(run.checkpoints, pytest.fail)
    assert checkpoint is not None
    assert read_manifest(run).status == "finished"
    exports = {name: (path / name).read_bytes() for name in read_manifest(run).exports}
    bits = {name: (str(value.dtype), value.numpy().tobytes()) for name, value in checkpoint.tensors.items()}
    return {
        "update": checkpoint.update,
        "tensors": bits,
        "rows": pyarrow.parquet.read_table(run.metrics).to_pylist(),
        **exports,
    }


def run_with_kills(scenario: Scenario, path: Path, moments: random.Random, whole_runs: list[float]) -> int:
    """Start a run and resume it until it is finished, killing it whenever a random moment comes first.

    Args:
        whole_runs: durations of runs without a kill, in seconds; the moments lie within the shortest, and one more is added
            if this run gets through.
    """
    kills = 0
    while True:
        begun = time.monotonic()
        # A kill before the directory was there leaves nothing to resume.
        attempt = start(api.resume, path) if path.exists() else start(api.run, scenario, out=path)
        attempt.join(moments.uniform(0, min(whole_runs)))
        if attempt.exitcode is not None:
            assert attempt.exitcode == 0
            if not kills:
                whole_runs.append(time.monotonic() - begun)
            return kills
        attempt.kill()
        attempt.join()
        kills += path.exists()


@pytest.mark.slow
def test_a_run_killed_several_times_ends_with_the_same_bits(scenario: Scenario, tmp_path: Path) -> None:
    start(int).join()  # waits for the server, so that the next process is as quick as the later ones
    begun = time.monotonic()
    undisturbed = start(api.run, scenario, out=tmp_path / "undisturbed")
    undisturbed.join()
    whole_runs = [time.monotonic() - begun]
    assert undisturbed.exitcode == 0
    expected = outcome(tmp_path / "undisturbed")

    moments, kills = random.Random(scenario.synapse.model), 0
    for trial in itertools.count():
        kills += run_with_kills(scenario, tmp_path / f"killed-{trial}", moments, whole_runs)
        assert outcome(tmp_path / f"killed-{trial}") == expected
        if kills >= KILLS:
            break
