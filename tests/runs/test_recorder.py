"""Recording while training: the right values at the right times, no influence on the run, and nothing lost by a kill."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import Simulation
from analogdp.errors import RunError
from analogdp.learning import AlwaysOnTrainer, Trainer
from analogdp.network import Network, build
from analogdp.runs import (
    Observer,
    Products,
    RunDirectory,
    execute,
    load_newest,
    new_manifest,
    read_manifest,
    recorder,
)
from analogdp.runs.directory import MANIFEST, SCENARIO
from analogdp.runs.recorder import Recorder, Track
from analogdp.runs.recordings import Recording, read_recordings
from analogdp.scenario.schema import Scenario
from analogdp.scenario.threads import computing_with
from analogdp.streams import Stream

COURSE = importlib.import_module("analogdp.runs.course")
EXECUTE = importlib.import_module("analogdp.runs.execute")  # the function of this name hides the module
RECORDS: list[dict[str, Any]] = [
    {"layer": 1, "units": [5, 0, 11], "samples": 2, "updates": 2},
    {"layer": 2, "what": "down", "units": "all", "every": 3, "updates": 1},
]
NOISY: dict[str, Any] = {
    "noise": {"membrane": 0.02, "nudging": 0.05},
    "mismatch": {"tau": 0.05},
    "dynamics": {"settle": {"at_most": "3 us"}},
    "chips": 2,
}


@pytest.fixture
def make(make_scenario: Callable[..., Scenario]) -> Callable[..., Scenario]:
    """Six updates of a small network, two for each epoch; the second batch of an epoch has one sample less."""

    def small(record: list[dict[str, Any]] | None = None, **sections: Any) -> Scenario:
        learning = {"epochs": 3, "batch": 31, **sections.pop("learning", {})}
        return make_scenario(record=RECORDS if record is None else record, learning=learning, **sections)

    return small


@dataclass(frozen=True)
class Outcome:
    """A run that has ended, and what it left."""

    run: RunDirectory
    network: Network

    @property
    def file(self) -> bytes:
        return self.run.recordings.read_bytes()

    @property
    def recordings(self) -> list[Recording]:
        return read_recordings(self.run.recordings)


@pytest.fixture
def carry_out(tmp_path: Path) -> Callable[[Scenario, str], Outcome]:
    """Runs a scenario, or goes on with it, under a name; in place of a report there is a line of text."""

    def carry(scenario: Scenario, name: str = "run") -> Outcome:
        run, manifest = RunDirectory(tmp_path / name), new_manifest(name, 0, "cpu", 1, tmp_path)
        if not run.path.exists():
            RunDirectory.create(tmp_path, name, {SCENARIO: "", MANIFEST: manifest.to_json()}, run.path)
        network = build(scenario)
        if not read_manifest(run).concluded:
            make_trainer = registry.trainers.get(scenario.learning.mode)
            trainer = make_trainer(scenario, network, load(scenario.data, scenario.seed))
            own = Recorder.of(scenario, network, trainer.updates_per_epoch, run.spools)
            products = Products(list, lambda: run.report.write_text("page") and None)
            with computing_with(1):
                execute(run, trainer, None, Observer(), products, own)
        return Outcome(run, network)

    return carry


def watched(scenario: Scenario, folder: Path) -> tuple[Simulation, list[list[Tensor]], list[Recording]]:
    """Seven steps of a batch of four: the simulation, the states of its layers after every step, and what was recorded."""
    network = build(scenario)
    trainer = Trainer(scenario, network, load(scenario.data, scenario.seed))
    own = Recorder.of(scenario, network, trainer.updates_per_epoch, folder / "spools")
    simulation = trainer.simulation
    simulation.watcher = own.begin(0)
    stream = Stream(1, "test", network.chip_indices, dtype=network.dtype)
    inputs, targets = trainer.dataset.train_inputs[:4][None], trainer.dataset.train_targets[:4][None]
    simulation.present(inputs, targets, 0.5, stream)
    states = [[layer.clone() for layer in simulation.state]]
    for _ in range(7):
        simulation.advance(1)
        states.append([layer.clone() for layer in simulation.state])
    own.write(folder / "recordings.h5")
    return simulation, states, read_recordings(folder / "recordings.h5")


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    ("what", "meaning"),
    [
        ("states", lambda neuron, state: state),
        ("plus", lambda neuron, state: state[:1]),
        ("minus", lambda neuron, state: state[1:]),
        ("up", lambda neuron, state: neuron.upward(state).unsqueeze(0)),
        ("down", lambda neuron, state: neuron.downward(state).unsqueeze(0)),
    ],
)
def test_what_is_recorded_are_the_values_of_the_simulation_at_these_steps(make, tmp_path, what, meaning, every) -> None:
    record = {"layer": 2, "what": what, "units": [9, 2], "samples": 3, "every": every}
    scenario = make([record], mismatch={"alpha": 0.05}, noise={"membrane": 0.02}, chips=2)
    simulation, states, (found,) = watched(scenario, tmp_path)
    neuron = simulation.network.neurons[1]
    expected = [meaning(neuron, layers[1])[:, :, :3, [9, 2]] for layers in states[::every]]
    np.testing.assert_array_equal(found.values, torch.stack(expected).numpy())
    assert found.step[:].tolist() == list(range(0, 8, every))
    np.testing.assert_allclose(found.time, 2e-7 * np.arange(0, 8, every))
    assert (found.units, found.chips, found.shape) == ((9, 2), (0, 1), (2 if what == "states" else 1, 2, 3, 2))


def test_several_records_are_each_taken_at_their_own_steps(make, tmp_path) -> None:
    scenario = make([{"layer": 1, "every": 4}, {"layer": 1, "every": 6}])
    _, _, found = watched(scenario, tmp_path)
    assert [each.step[:].tolist() for each in found] == [[0, 4], [0, 6]]


def test_a_smaller_batch_has_no_number_for_the_samples_it_has_not(make, tmp_path) -> None:
    _, _, (found,) = watched(make([{"layer": 1, "samples": 6}]), tmp_path)
    values = found.values[:]
    assert np.isnan(values[..., 4:, :]).all()
    assert np.isfinite(values[..., :4, :]).all()


def test_a_sweep_is_a_step_without_a_time(make, carry_out) -> None:
    scenario = make([{"layer": 1}], dynamics={"clock": "sweep", "sweeps": 3})
    found = carry_out(scenario).recordings[0]
    assert found.step[:5].tolist() == [0, 1, 2, 3, 0]
    assert np.isnan(found.time[:]).all()


def test_recorded_are_the_first_update_of_every_epoch_or_every_so_many(make, carry_out) -> None:
    first, third = carry_out(make([{"layer": 1}, {"layer": 1, "updates": 3}])).recordings
    assert np.unique(first.update).tolist() == [0, 2, 4]
    assert np.unique(first.presentation).tolist() == [0, 1, 2]
    assert np.unique(third.update).tolist() == [0, 3]
    assert (np.diff(first.presentation) >= 0).all()
    assert first.update[first.rows(1)].tolist() == [2] * len(range(*first.rows(1).indices(len(first.update))))


def test_neither_tests_nor_calibration_are_recorded(make, carry_out) -> None:
    """A settling starts at step 0: there are as many of these as recorded updates."""
    scenario = make([{"layer": 1, "updates": 1}], synapse={"model": "crossbar", "adc": {"range": "calibrated"}})
    found = carry_out(scenario).recordings[0]
    assert (found.step[:] == 0).sum() == 6


@pytest.mark.parametrize("sections", [{}, NOISY, {**NOISY, "synapse": {"model": "crossbar"}}], ids=repr)
def test_a_run_has_the_same_bits_with_and_without_recording(make, carry_out, sections) -> None:
    with_it, without = carry_out(make(**sections), "with"), carry_out(make([], **sections), "without")
    assert len(with_it.recordings[0].values) > 20
    assert with_it.run.journal.read_bytes() == without.run.journal.read_bytes()
    ours, theirs = with_it.network.state_dict(), without.network.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_run_without_records_has_no_trace_of_them(make, carry_out) -> None:
    run = carry_out(make([])).run
    checkpoint = load_newest(run.checkpoints, pytest.fail)
    assert checkpoint is not None
    assert not [name for name in checkpoint.tensors if "recorder" in name]
    assert not run.recordings.exists()


def test_the_file_does_not_depend_on_how_much_is_buffered(make, carry_out, monkeypatch) -> None:
    whole = carry_out(make(**NOISY), "whole")
    monkeypatch.setattr(recorder, "BUFFER_BYTES", 2000)
    assert carry_out(make(**NOISY), "parts").file == whole.file


def test_the_buffer_is_all_that_is_held_in_memory(make, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(recorder, "BUFFER_BYTES", 1000)
    scenario = make([{"layer": 1, "units": [0, 1]}])
    own = Recorder.of(scenario, build(scenario), 2, tmp_path)
    track = own.tracks[0]
    assert track._values.numel() * track._values.element_size() <= 1000
    simulation, _, _ = watched(scenario, tmp_path)
    own.begin(0)
    for _ in range(100):
        own.look(simulation)
    assert len(track.spool) >= 100 - 1000 // 32


class Killed(BaseException):
    """As a signal that nothing can catch would, it ends the process anywhere."""


def dying(function: Callable[..., Any], when: int, after: bool) -> Callable[..., Any]:
    """A function that ends the process at its call number ``when``, before or after it has done its work."""
    calls = itertools.count()

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        doomed = next(calls) == when
        if doomed and not after:
            raise Killed
        result = function(*arguments, **keywords)
        if doomed:
            raise Killed
        return result

    return wrapped


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("place", "name", "when"),
    [
        (Track, "flush", 5),
        (Track, "flush", 12),
        (Recorder, "tensors", 2),
        (COURSE, "save_checkpoint", 2),
        (recorder, "write_recordings", 0),
        (EXECUTE, "change_manifest", 0),
        (EXECUTE, "change_manifest", 1),
        (Recorder, "discard", 0),
    ],
)
def test_a_run_killed_anywhere_ends_with_the_same_recordings(
    make, carry_out, monkeypatch, place, name, when, after
) -> None:
    monkeypatch.setattr(recorder, "BUFFER_BYTES", 1000)
    scenario = make(**NOISY)
    with monkeypatch.context() as patched:
        patched.setattr(place, name, dying(getattr(place, name), when, after))
        with pytest.raises(Killed):
            carry_out(scenario, "killed")
    assert carry_out(scenario, "killed").file == carry_out(scenario, "whole").file


def test_a_torn_row_of_a_killed_process_is_dropped(make, carry_out, tmp_path, monkeypatch) -> None:
    scenario = make(**NOISY)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", dying(Trainer.advance, 3, after=True))
        with pytest.raises(Killed):
            carry_out(scenario, "killed")
    with (tmp_path / "killed" / ".recordings" / "record0.rows").open("ab") as file:
        file.write(b"torn")
    assert carry_out(scenario, "killed").file == carry_out(scenario, "whole").file


def test_a_stream_of_samples_is_recorded_without_gaps_and_goes_on_after_a_kill(make, carry_out, monkeypatch) -> None:
    learning = {"mode": "always_on", "dwell": "1 us", "batch": 20}
    scenario = make([{"layer": 1, "updates": 1}], learning=learning, noise={"membrane": 0.02})
    with monkeypatch.context() as patched:
        patched.setattr(AlwaysOnTrainer, "advance", dying(AlwaysOnTrainer.advance, 4, after=True))
        with pytest.raises(Killed):
            carry_out(scenario, "killed")
    whole = carry_out(scenario, "whole")
    (found,) = whole.recordings
    assert np.diff(found.step).tolist() == [1] * (len(found.step) - 1)
    assert np.unique(found.update).tolist() == list(range(9))
    assert carry_out(scenario, "killed").file == whole.file


def test_a_finished_run_leaves_nothing_but_the_file_with_its_checksum(make, carry_out) -> None:
    run = carry_out(make()).run
    assert not run.spools.exists()
    assert "recordings.h5" in read_manifest(run).checksums


def test_recordings_that_were_removed_while_a_run_rested_are_missed(make, carry_out, tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", dying(Trainer.advance, 3, after=True))
        with pytest.raises(Killed):
            carry_out(make(), "killed")
    (tmp_path / "killed" / ".recordings" / "record0.rows").unlink()
    with pytest.raises(RunError, match=r"record0\.rows has 0 bytes, but \d+ were written before the checkpoint"):
        carry_out(make(), "killed")


def test_a_diverged_run_has_the_traces_of_its_divergence(make, carry_out, tmp_path) -> None:
    wild = {"neuron": {"model": "dp", "alpha": 0.0, "beta": 0.9}, "network": {"gain": 100.0}}
    with pytest.raises(RunError, match="diverged"):
        carry_out(make([{"layer": 1, "units": "all"}], **wild))
    run = RunDirectory(tmp_path / "run")
    assert np.nanmax(np.abs(read_recordings(run.recordings)[0].values)) > 1e3
    assert not run.spools.exists()


def test_a_recorder_without_records_watches_nothing() -> None:
    assert Recorder().begin(0) is None
    assert Recorder().tensors() == {}


def test_the_steps_between_looks_divide_those_of_every_record(make, tmp_path) -> None:
    scenario = make([{"layer": 1, "every": 4}, {"layer": 2, "every": 6}])
    assert Recorder.of(scenario, build(scenario), 2, tmp_path).every == math.gcd(4, 6)
