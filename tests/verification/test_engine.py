"""Brian2's process: what it may know, and what becomes of its failures."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analogdp.errors import RunError
from analogdp.verification.comparison import prepare
from analogdp.verification.engine import run_jobs
from analogdp.verification.job import Job, Outcome
from tests.verification.scenarios import small

DECOY = """
import builtins, sys
from analogdp.verification import brian, population, worker
alpha = 0.9
for module in (builtins, brian, population, worker):
    module.alpha = alpha
plain, with_decoy, without_alpha = sys.argv[1:]
worker.main([with_decoy])
try:
    worker.main([without_alpha])
except Exception as error:
    print(error.__cause__ or error)
print("torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def job():
    return prepare(small(neuron={"alpha": 0.2}), steps=20).job


@pytest.fixture(scope="module")
def decoyed(job, tmp_path_factory):
    """A process with an ``alpha`` in every namespace around Brian2: its outcome, and what it said without one of its own."""
    place = tmp_path_factory.mktemp("decoy")
    layers = tuple(
        replace(layer, shared={name: value for name, value in layer.shared.items() if name != "alpha"})
        for layer in job.plan.layers
    )
    jobs = {"plain": job, "decoy": job, "without": replace(job, plan=replace(job.plan, layers=layers))}
    for name, each in jobs.items():
        (place / name).mkdir()
        each.save(place / name)
    folders = [str(place / name) for name in jobs]
    environment = {**os.environ, "TMPDIR": str(place)}
    command = [sys.executable, "-W", "ignore", "-c", DECOY, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Outcome.load(place / "decoy", job.plan), done.stdout, (place / "without" / "result.npz").exists()


def test_an_alpha_in_a_namespace_around_it_changes_nothing(job, decoyed):
    (plain,) = run_jobs([job])
    for ours, theirs in zip(plain.states, decoyed[0].states, strict=True):
        for name, states in ours.items():
            np.testing.assert_array_equal(states, theirs[name])


def test_an_alpha_that_is_missing_is_not_found_elsewhere(decoyed):
    _, said, ran = decoyed
    assert '"alpha"' in said
    assert not ran


def test_the_engine_does_without_torch(decoyed):
    assert decoyed[1].endswith("False\n")


def test_a_failure_comes_back_as_its_last_line_and_leaves_no_files(job, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    layers = tuple(replace(layer, definitions={**layer.definitions, "upward": "plus +"}) for layer in job.plan.layers)
    with pytest.raises(RunError, match=r"^Brian2 failed: \w*Error: .*"):
        run_jobs([replace(job, plan=replace(job.plan, layers=layers))])
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_takes_too_long_is_ended(job):
    with pytest.raises(RunError, match=r"not done after 0\.05 s"):
        run_jobs([job], timeout=0.05)


def test_a_job_is_the_same_after_it_was_a_file(job, tmp_path):
    job.save(tmp_path)
    again = Job.load(tmp_path)
    assert again.plan == job.plan
    assert again.numbers.keys() == job.numbers.keys()
    for name, each in job.numbers.items():
        np.testing.assert_array_equal(again.numbers[name], each)


def test_the_parent_does_not_import_brian2():
    code = "import sys, analogdp.verification.comparison; sys.exit('brian2' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0
