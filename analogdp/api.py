"""Running scenarios from Python; the command line does the same through these functions."""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from analogdp import registry
from analogdp.analysis import Aging, EnergyReport, History, account
from analogdp.data import Dataset
from analogdp.data import load as load_data
from analogdp.dynamics import Diverged
from analogdp.errors import InputError, RunError, ScenarioError
from analogdp.exports import export_all, exporter
from analogdp.exports.base import one_chip
from analogdp.exports.torch_module import torch_module
from analogdp.files import write_text
from analogdp.learning.base import unprefixed
from analogdp.network import Network, build, resolve_device
from analogdp.reports import write_report
from analogdp.runs import (
    Journal,
    Learner,
    Manifest,
    Observer,
    Products,
    Row,
    RunDirectory,
    change_manifest,
    execute,
    last_evaluation,
    load_newest,
    mean_and_spread,
    new_manifest,
    read_manifest,
    status_now,
    versions,
)
from analogdp.runs.course import speaker
from analogdp.runs.directory import MANIFEST
from analogdp.runs.log import Log
from analogdp.runs.manifest import now
from analogdp.runs.measured import MeasuredLearner
from analogdp.runs.origin import as_kept, origin_files
from analogdp.runs.recorder import Recorder
from analogdp.runs.recordings import Recording, read_recordings
from analogdp.scenario import Scenario, load_scenario
from analogdp.scenario.estimate import refuse_if_too_large
from analogdp.scenario.threads import computing_with, threads_for


class Result:
    """A run and what it left.

    Attributes:
        directory: the run directory.
        scenario: what was simulated.
        manifest: versions, seed, device, status and checksums.
    """

    def __init__(self, run: RunDirectory, scenario: Scenario, network: Network | None = None) -> None:
        self._run = run
        self.directory = run.path
        self.scenario = scenario
        self.manifest: Manifest = read_manifest(run)
        self._update: int | None = None
        if network is not None:
            self.network = network

    @property
    def status(self) -> str:
        """``finished``, ``diverged``, ``running``, ``interrupted`` or ``failed``."""
        return status_now(self._run, self.manifest)

    @cached_property
    def metrics(self) -> list[Row]:
        """All evaluations: one row per evaluation and chip."""
        return Journal(self._run.journal).rows()

    @cached_property
    def network(self) -> Network:
        """The network as the newest checkpoint has it.

        Raises:
            RunError: there is no good checkpoint.
            InputError: the run's device is not there.
        """
        network = build(_as_recorded(self.scenario, self.manifest))
        checkpoint = load_newest(self._run.checkpoints, _ignore)
        if checkpoint is None:
            raise RunError(f"{self.directory} has no checkpoint yet; go on with: analogdp resume {self.directory}")
        network.load_state_dict(unprefixed("network", checkpoint.tensors))
        self._update = checkpoint.update
        return network

    def to_torch(
        self, chip: int | None = None, *, force: bool = False, lossy: Sequence[str] = ()
    ) -> torch.nn.Sequential:
        """The trained network as torch's own modules, which answer as it does without nudging, noise and converters.

        Effective weights, with batch normalisation folded into them, and mismatch of neurons. Inputs are ``(batch, ...)``.

        Args:
            chip: which one; None: the only one.
            force: take the newest checkpoint of a run that is not finished, or diverged.
            lossy: ``["messages"]`` leaves out what free neurons whose compartments differ send down, which is refused otherwise.

        Raises:
            InputError: no such chip, not a finished run, or neurons whose free activity is no function of what comes from below.
            RunError: there is no checkpoint yet.
        """
        if problems := exporter("safetensors", chip=chip, lossy=lossy).settings.contradictions(self.scenario):
            raise ScenarioError(problems)
        if not force:
            self.refuse_unfinished("; force=True takes its newest checkpoint")
        return torch_module(one_chip(self.network, self.scenario, chip))

    @property
    def accuracy(self) -> float | None:
        """Test accuracy at the last evaluation with all noise, mean over chips; None for regression."""
        return self._mean("test_accuracy")

    @property
    def accuracy_noise_free(self) -> float | None:
        """Test accuracy at the last evaluation without noise in time, mean over chips; None for regression."""
        return self._mean("test_accuracy_noise_free")

    @property
    def final(self) -> list[Row]:
        """The rows, one per chip, of the last evaluation."""
        return last_evaluation(self.metrics)

    @property
    def report(self) -> Path | None:
        """The HTML report, if it was written."""
        return self._run.report if self._run.report.is_file() else None

    @property
    def exports(self) -> list[Path]:
        """Files that the scenario's exporters wrote."""
        return [self.directory / name for name in self.manifest.exports]

    @cached_property
    def recordings(self) -> list[Recording]:
        """The traces, one recording for each ``record`` of the scenario; read from the file as they are asked for.

        Raises:
            InputError: the run has not ended yet, or the file is damaged.
        """
        return read_recordings(self._run.recordings) if self.scenario.record else []

    @cached_property
    def alignment(self) -> list[Row]:
        """Angles between wanted weight changes and minus the gradient: ``update``, ``chip``, ``layer``, ``angle`` in degrees.

        One row for each measured batch, layer of weights (1 is the lowest) and chip; none unless the scenario measures them.
        """
        return Journal(self._run.alignment_journal).rows()

    @cached_property
    def stability(self) -> list[Row]:
        """How far the nudged network was from settling no longer, a row for each analysed batch and chip.

        See ``docs/formats.md`` for the columns; none unless the scenario measures it.
        """
        return Journal(self._run.stability_journal).rows()

    @cached_property
    def energy(self) -> EnergyReport | None:
        """What the chip would take and has taken, part by part; None until the run has ended.

        Raises:
            InputError: the file is damaged.
        """
        return EnergyReport.read(self._run.energy)

    @property
    def aging(self) -> Aging | None:
        """How the network does over time, as :func:`age` found; None if the run has not been aged.

        Raises:
            InputError: the file is damaged.
        """
        return Aging.read(self._run.aging)

    @property
    def unfinished(self) -> dict[str, Any] | None:
        """What ``network`` is of a run that diverged, or has not come to its end; None of a finished one.

        The run's ``directory``, ``status`` and ``reason``, the ``update`` and ``epoch`` after which the newest checkpoint was
        written, and how many ``epochs`` the scenario has.

        Raises:
            RunError: there is no good checkpoint.
        """
        if self.manifest.status == "finished" and self.manifest.concluded:
            return None
        self.network  # noqa: B018 - whose checkpoint tells the update
        epochs = [row["epoch"] for row in self.metrics if self._update is not None and row["update"] <= self._update]
        facts = {"directory": str(self.directory), "status": self.status, "reason": self.manifest.reason}
        return {
            **facts,
            "update": self._update,
            "epoch": max(epochs, default=0),
            "epochs": self.scenario.learning.epochs,
        }

    def refuse_unfinished(self, way_out: str = "") -> None:
        """Nothing for a finished run.

        Raises:
            InputError: the run has not come to its end, or to a bad one; ``way_out`` ends the message.
        """
        if self.manifest.status == "diverged":
            raise InputError(f"{self.directory} diverged, and is no trained network: {self.manifest.reason}{way_out}")
        if not self.manifest.concluded:
            go_on = f"go on with: analogdp resume {self.directory}"
            raise InputError(f"{self.directory} has not come to its end ({self.status}); {go_on}{way_out}")

    def _mean(self, column: str) -> float | None:
        found = mean_and_spread(self.final, column)
        return None if found is None else found[0]

    def _facts(self) -> dict[str, str]:
        facts = {"directory": str(self.directory), "scenario": self.scenario.name, "status": self.status}
        if self.manifest.reason:
            facts["reason"] = self.manifest.reason
        if self.metrics:
            facts["epoch"] = f"{self.final[0]['epoch']} of {self.scenario.learning.epochs}"
            for label, column in (("test accuracy", "test_accuracy"), ("without noise", "test_accuracy_noise_free")):
                if found := mean_and_spread(self.final, column):
                    facts[label] = f"{found[0]:.2%}" + (f" ± {found[1]:.2%}" if len(self.final) > 1 else "")
        facts |= {"report": str(self.report or "-"), "exports": ", ".join(path.name for path in self.exports) or "-"}
        return facts

    def __repr__(self) -> str:
        return f"Result({', '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self._facts().items()
        )
        return f"<table>{''.join(rows)}</table>"


def run(
    scenario: Scenario, *, out: Path | str | None = None, progress: Observer | None = None, source: Path | None = None
) -> Result:
    """Train the network of a scenario and keep everything in a new run directory.

    Args:
        scenario: what to simulate, from :func:`analogdp.load_scenario` or made in Python.
        out: the run directory, which must not exist; by default the next number under ``scenario.run.directory``.
        progress: is told how the run goes.
        source: the scenario's file, to record the git revision of its folder; by default the working directory's.

    Raises:
        InputError: the scenario cannot be run here; nothing was written.
        RunError: the run could not be finished; what it reached is kept, and the message says where.
    """
    observer = progress or Observer()
    refuse_if_too_large(scenario)
    placed = placed_scenario(scenario, threads=threads_for(scenario))
    folder = source.resolve().parent if source else Path.cwd()
    with computing_with(threads_for(placed)):
        trainer, network, data = _prepare(placed)
        made = new_directory(scenario, placed.run.device, Path(out) if out else None, folder)
        with made.locked():
            return _carry_out(made, as_kept(scenario, made), trainer, network, data, observer)


def new_directory(scenario: Scenario, device: str, target: Path | None, folder: Path) -> RunDirectory:
    """A directory for a run that begins now, with the threads of this moment.

    Args:
        scenario: what is simulated.
        device: where, by its full name.
        target: the directory, which must not exist; None: the next number under ``scenario.run.directory``.
        folder: whose git revision is recorded.

    Raises:
        InputError: the directory exists.
        RunError: it cannot be made.
    """
    manifest = new_manifest(scenario.name, scenario.seed, device, torch.get_num_threads(), folder)
    files = {**origin_files(scenario), MANIFEST: manifest.to_json()}
    try:
        return RunDirectory.create(scenario.run.directory, scenario.name, files, target)
    except OSError as error:
        place = target or f"in {scenario.run.directory}"
        raise RunError(f"cannot make a run directory {place}: {error.strerror or error}") from error


def resume(directory: Path | str, *, progress: Observer | None = None) -> Result:
    """Go on with an interrupted run, which ends with the same bits as an uninterrupted one; leave a finished one alone.

    Raises:
        InputError: no run, or one that another process works on.
        RunError: the run diverged, or cannot be finished now either.
    """
    observer = progress or Observer()
    made = RunDirectory.open(directory)
    with made.locked():
        manifest = read_manifest(made)
        scenario = load_scenario(made.scenario)
        if manifest.concluded and manifest.status == "diverged":
            raise RunError(
                f"{made.path} diverged and would again: {manifest.reason}; change the scenario and start it anew"
            )
        if manifest.concluded:
            observer.said(f"{made.path} is finished; nothing to do")
            return Result(made, scenario)
        if different := [name for name, value in versions().items() if manifest.versions.get(name) != value]:
            observer.said(f"other versions than at the start ({', '.join(different)}): the last bits may differ")
        placed = _as_recorded(scenario, manifest)
        refuse_if_too_large(placed)
        with computing_with(manifest.threads):
            trainer, network, data = _prepare(placed)
            change_manifest(made, resumed=[*manifest.resumed, now()])
            return _carry_out(made, scenario, trainer, network, data, observer)


def open_run(directory: Path | str) -> Result:
    """A run that is there already, in whatever state.

    Raises:
        InputError: the directory is not that of a run.
    """
    made = RunDirectory.open(directory)
    return Result(made, load_scenario(made.scenario))


def _carry_out(
    made: RunDirectory, scenario: Scenario, trainer: Learner, network: Network, data: Dataset, observer: Observer
) -> Result:
    learner = MeasuredLearner(trainer, scenario, network, data, made, speaker(Log(made.log), observer))

    def export() -> list[Path]:
        for own in learner.series.values():
            own.write()
        _write_account(made, scenario, trainer, network, data)
        return export_all(network, scenario, made.path)

    def report() -> None:
        write_report(made.path)

    recorder = Recorder.of(scenario, network, trainer.updates_per_epoch, made.spools)
    execute(made, learner, scenario.run.checkpoint_every, observer, Products(export, report), recorder)
    return Result(made, scenario, network)


def _write_account(made: RunDirectory, scenario: Scenario, trainer: Learner, network: Network, data: Dataset) -> None:
    """Keep what the chip took; a network that diverges has none."""
    epochs, more = divmod(trainer.update, trainer.updates_per_epoch)
    samples = epochs * len(data.train_inputs) + more * scenario.learning.batch
    history = History.of(Journal(made.journal).rows(), samples)
    with suppress(Diverged):
        write_text(made.energy, account(network, scenario, data, history).to_json())


def _prepare(scenario: Scenario) -> tuple[Learner, Network, Dataset]:
    data = load_data(scenario.data, scenario.seed)
    network = build(scenario)
    return registry.trainers.get(scenario.learning.mode)(scenario, network, data), network, data


def placed_scenario(scenario: Scenario, **changes: Any) -> Scenario:
    """The scenario with its device named outright, and with other changes of its ``run`` section.

    Raises:
        InputError: the device is not there.
    """
    device = resolve_device(changes.pop("device", scenario.run.device))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"run.device: {device} is not there; this machine has {torch.cuda.device_count()} CUDA devices"
        )
    settings = scenario.run.model_copy(update={"device": str(device), **changes})
    return scenario.model_copy(update={"run": settings})


def _as_recorded(scenario: Scenario, manifest: Manifest) -> Scenario:
    """The scenario on the device and with the threads that the run started with."""
    return placed_scenario(scenario, device=manifest.device, threads=manifest.threads)


def _ignore(message: str) -> None:
    """For questions whose answers nobody waits for."""
