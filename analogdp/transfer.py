"""Networks out of the simulator in the formats that others read, and what was measured of a chip back into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analogdp import registry
from analogdp.api import Result, open_run, placed_scenario
from analogdp.data import Dataset
from analogdp.data import load as load_data
from analogdp.dynamics import Clock, Diverged, Simulation
from analogdp.errors import InputError, RunError
from analogdp.exports import export_network, exporter
from analogdp.exports.base import one_chip
from analogdp.files import refuse_existing
from analogdp.imports import Measured, Missing, WeightErrors, read_measured, replace_cells
from analogdp.imports.measured import only_chip
from analogdp.learning import evaluation
from analogdp.network import Network, build
from analogdp.scenario import Scenario
from analogdp.scenario.threads import computing_with
from analogdp.streams import Stream


@dataclass(frozen=True)
class Score:
    """How one chip does on the test set, with all noise of its scenario.

    Attributes:
        chip: its index.
        loss: mean over samples.
        accuracy: share of samples that are classified correctly; None for regression.
    """

    chip: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False)
class WithConductances:
    """A trained network of one chip whose cells conduct what was measured of them.

    Attributes:
        network: with the measured cells, which can be read but not written.
        scenario: of the run.
        measured: what was read.
        before: the chip as simulated.
        after: with the measured cells, and the same random numbers.
        layers: what became of the weights of each measured crossbar.
    """

    network: Network
    scenario: Scenario
    measured: Measured
    before: Score
    after: Score
    layers: tuple[WeightErrors, ...]

    def __repr__(self) -> str:
        told = [f"  {own.name}: {own.rms:.3g} rms error of weights of {own.rms_weight:.3g} rms" for own in self.layers]
        scores = f"{_told(self.before)} simulated, {_told(self.after)} measured"
        return "\n".join((f"WithConductances({self.measured.source}, chip {self.after.chip}: {scores})", *told))


def export(
    run: Result | Path | str, kind: str | Mapping[str, Any], out: Path | str, *, force: bool = False, **options: Any
) -> list[Path]:
    """Write the trained network of a run in a format that others read.

    Args:
        run: a finished run, or its directory.
        kind: the name of a format, see ``analogdp models``; or a section with its options, as in a scenario's ``export``.
        out: the file or folder, which must not exist.
        force: export what is there of a run that is not finished, or diverged: its newest checkpoint. A sidecar ``<out>.json``
            says so under ``run``.
        options: of the format.

    Returns:
        What was written.

    Raises:
        InputError: no such run, or not a finished one; an unknown format or option; a network that the format cannot hold; a
            target that exists. Nothing was written.
        RunError: there is no good checkpoint; or the target cannot be written, as on a full disk, and nothing is left of it.
    """
    form, path = exporter(kind, **options), Path(out)
    refuse_existing(path, "an export")
    result = _opened(run)
    if not force:
        result.refuse_unfinished("; --force (force=True) exports its newest checkpoint")
    network, unfinished = result.network, result.unfinished
    about = None if unfinished is None else {"run": unfinished}
    try:
        return export_network(network, result.scenario, form, path, about=about)
    except OSError as error:
        raise RunError(f"{error.filename or path} cannot be written: {error.strerror or error}") from error


def evaluate(run: Result | Path | str) -> tuple[Score, ...]:
    """Test the trained network of a finished run once more, with noise of its own.

    Returns:
        A score for each chip.

    Raises:
        InputError: no such run, or not a finished one.
        RunError: the network diverged.
    """
    result, scenario = _finished(run)
    with computing_with(result.manifest.threads):
        return _scores(scenario, result.network, load_data(scenario.data, scenario.seed))


def with_conductances(
    run: Result | Path | str, source: Path | str | Measured, *, missing: Missing = "refuse", chip: int | None = None
) -> WithConductances:
    """Test the trained network of a finished run with conductances that were measured on a chip in place of its cells.

    Everything else is the run's: neurons and their mismatch, wires, converters with their ranges, read noise, data, and the
    scale between siemens and weights. Measured cells keep their conductance, within the range of their device or not.

    Args:
        run: a finished run, or its directory.
        source: a folder of CSV files or an HDF5 file, see ``docs/exports.md``; or what was read of it.
        missing: what becomes of cells that were not measured: ``refuse`` them, take what the ``trained`` network held, or leave
            them ``open``, at 0 S.
        chip: which one of a source with several. It takes the place of the run's chip of that index, or of its only one.

    Raises:
        InputError: no such run, or not a finished one; no such source, or one of other shapes; values that are no
            conductances, or none of such a device; missing cells that nobody said what to do with.
        RunError: the network diverged.

    Warns:
        AnalogdpWarning: conductances are far from the range of their device, as with a wrong unit.
    """
    result, scenario = _finished(run)
    measured = source if isinstance(source, Measured) else read_measured(source, chip)
    only_chip(measured.source, [measured.chip], chip)
    own = _chip(scenario.simulated_chips, measured)
    with computing_with(result.manifest.threads):
        before = one_chip(result.network, scenario, own)
        after = build(scenario, (own,))
        after.load_state_dict(before.state_dict())
        layers = replace_cells(after, measured, missing)
        data = load_data(scenario.data, scenario.seed)
        (trained,), (found,) = (_scores(scenario, network, data) for network in (before, after))
    return WithConductances(after, scenario, measured, trained, found, layers)


def _scores(scenario: Scenario, network: Network, data: Dataset) -> tuple[Score, ...]:
    """Of every chip; a chip's noise is the same whatever its cells are."""
    clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    simulation = Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau, compiled=scenario.run.compile)
    stream = Stream(scenario.seed, "evaluate", network.chip_indices, network.device, network.dtype)
    placed = data.to(network.device, network.dtype)
    try:
        test = evaluation.evaluate(simulation, placed.test_inputs, placed.test_targets, placed.test_labels, stream)
    except Diverged as error:
        raise RunError(f"the network diverged: {error}") from error
    accuracies = [None] * network.chips if test.accuracy is None else test.accuracy.tolist()
    return tuple(map(Score, network.chip_indices, test.loss.tolist(), accuracies))


def _chip(chips: tuple[int, ...], measured: Measured) -> int:
    """The chip of the run that was measured: the only one, whatever the source calls it, or the one of the same index."""
    own = chips[0] if len(chips) == 1 else measured.chip
    if own not in chips:
        raise InputError(
            f"{measured.source} is of chip {own}, which the run does not have; chips: {', '.join(map(str, chips))}"
        )
    return own


def _opened(run: Result | Path | str) -> Result:
    if isinstance(run, Result):
        return run
    if not isinstance(run, str | Path):
        raise InputError(f"{run!r} is no run; give its directory, or what adp.run or adp.open_run returned")
    return open_run(run)


def _finished(run: Result | Path | str) -> tuple[Result, Scenario]:
    """A run that has come to a good end, and its scenario where it was computed."""
    result = _opened(run)
    result.refuse_unfinished()
    manifest = result.manifest
    return result, placed_scenario(result.scenario, device=manifest.device, threads=manifest.threads)


def _told(score: Score) -> str:
    return f"loss {score.loss:.4g}" if score.accuracy is None else f"accuracy {score.accuracy:.2%}"
