"""Phase diagrams: where in the plane of two settings inference is stable, as measured in the simulator and as predicted."""

from __future__ import annotations

import html
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow
import pyarrow.parquet

from analogdp import api
from analogdp.analysis.stability.diagram import KINDS, Cell, Progress, Surveyor, Trained, refuse_unless_analysable
from analogdp.analysis.stability.grid import Axis, AxisLike, axis_of, points
from analogdp.analysis.stability.predict import Where
from analogdp.errors import InputError, RunError
from analogdp.files import atomic_path, write_text
from analogdp.reports.phase_diagram import Picture, diagram_page, draw_diagram
from analogdp.reports.pictures import save_picture
from analogdp.runs.checkpoints import load_newest
from analogdp.runs.directory import SCENARIO, RunDirectory
from analogdp.scenario import Scenario, dump_scenario, load_scenario
from analogdp.scenario.estimate import refuse_if_too_large
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.threads import computing_with, threads_for

TABLE, PICTURE, PAGE = "diagram.parquet", "diagram.png", "diagram.html"
OF_A_RUN = ("seed", "data", "network", "synapse", "feedback", "chips")
"""What trained weights were trained with, and points cannot change."""


@dataclass(frozen=True)
class PhaseDiagram:
    """What was found out.

    Attributes:
        scenario: what the points differ from in two settings.
        x, y: these, with their values.
        cells: one for each point, x varying fastest; see :class:`analogdp.analysis.stability.diagram.Cell`.
        ignored: settings that predictions leave out of account.
        directory: of the table, the pictures and the scenario; None if it was not kept.
        weights: whose they are, if trained ones were taken; or empty.
    """

    scenario: Scenario
    x: Axis
    y: Axis
    cells: tuple[Cell, ...]
    ignored: tuple[str, ...]
    directory: Path | None = None
    weights: str = ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each point: the two settings by their paths, then all else of its cell."""
        return [
            {self.x.path: cell.x, self.y.path: cell.y, **{k: v for k, v in asdict(cell).items() if k not in ("x", "y")}}
            for cell in self.cells
        ]

    @property
    def shares(self) -> dict[str, float]:
        """Which share of the points is what."""
        counts = Counter(cell.outcome for cell in self.cells)
        return {kind: counts[kind] / len(self.cells) for kind in KINDS if counts[kind]}

    @property
    def critical(self) -> list[tuple[float, float | None, float | None]]:
        """For each value of x: the largest y up to which all points are stable, as measured and as predicted.

        None where the first point is not; refused points do not count.
        """
        width, found = len(self.x.values), []
        for column, value in enumerate(self.x.values):
            cells = [cell for cell in self.cells[column::width] if cell.settled is not None]
            measured = _last(cells, [(cell.settled or 0) + (cell.approaching or 0) > 1 - 1e-9 for cell in cells])
            predicted = _last(cells, [cell.predicted_stable == 1 for cell in cells])
            found.append((value, measured, predicted))
        return found

    def to_parquet(self, path: Path | str) -> None:
        """Write the rows as a table, atomically."""
        columns = {name: [row[name] for row in self.rows] for name in self.rows[0]}
        facts = {
            "scenario": self.scenario.name,
            "x": self.x.label,
            "y": self.y.label,
            "predicted_without": ", ".join(self.ignored),
            "theory": self.picture.theory,
            "weights": self.weights,
        }
        with atomic_path(Path(path)) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(columns).replace_schema_metadata(facts), temporary)

    def __repr__(self) -> str:
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in self.shares.items())
        return f"PhaseDiagram({self.y.path} over {self.x.path}, {len(self.cells)} points: {shares})"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(kind)}</th><td>{share:.1%}</td></tr>" for kind, share in self.shares.items()
        )
        where = (
            "" if self.directory is None else f"<tr><th>directory</th><td>{html.escape(str(self.directory))}</td></tr>"
        )
        return f"<table><caption>{html.escape(self.y.label)} over {html.escape(self.x.label)}</caption>{cells}{where}</table>"

    @property
    def picture(self) -> Picture:
        """What pictures show."""
        noisy = self.scenario.noise != NoiseSettings() or self.scenario.synapse.noisy_reads
        return Picture(self.scenario.name, self.x, self.y, self.cells, self.ignored, noisy, self.weights)


def stability(
    scenario: Scenario | str,
    x: AxisLike,
    y: AxisLike,
    *,
    samples: int = 8,
    networks: int = 1,
    run: api.Result | Path | str | None = None,
    at: Where = "free",
    together: int | None = None,
    out: Path | str | None = None,
    keep: bool = True,
    progress: Progress | None = None,
) -> PhaseDiagram:
    """A phase diagram of nudged inference over two settings of a scenario of dyads.

    Points that the scenario does not allow are refused cells of the diagram. What can lie side by side is simulated together.

    Args:
        scenario: what all else is taken from, or its file or name; of a ``run`` the run's own, with other settings as you like.
        x, y: the settings with their values, such as ``("neuron.alpha", [0, 0.5, 1])``: numbers, SI, or text with units.
        samples: of the test set, with their labels, that each network is nudged by.
        networks: random ones at each point, with seeds from the scenario's own on.
        run: whose trained weights are taken, from its newest checkpoint, in place of random ones.
        at: where predictions linearise: at the ``free`` state, which is quick, or at ``rest``, where nudged networks rest.
        together: most networks simulated side by side; results do not depend on it.
        out: directory for the results, which must not exist; by default the next ``<name>-stability-<number>`` under
            ``scenario.run.directory``.
        keep: whether to write that directory at all.
        progress: is told how many networks are done, of how many.

    Raises:
        InputError: this cannot be done; nothing was written.
        RunError: the results cannot be written.
    """
    target = None if out is None else Path(out)
    _refuse_existing(target)
    scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
    placed = api.placed_scenario(scenario)
    refuse_unless_analysable(placed, samples)
    axes = [axis_of(placed, own, name) for name, own in (("x", x), ("y", y))]
    trained, weights = (None, "") if run is None else _trained(run, placed)
    if trained is not None and networks != 1:
        raise InputError(f"networks: {networks}; a run has one network, whose weights were trained")
    grid = points(placed, axes[0], axes[1], networks, OF_A_RUN if trained is not None else ())
    first = next(own for point in grid for own in point.scenarios)
    refuse_if_too_large(first)
    many = first.model_copy(
        update={"chips": first.chips * len(grid), "run": first.run.model_copy(update={"only_chips": None})}
    )
    surveyor = Surveyor(samples, at, trained, together)
    if keep:
        _refuse_unwritable(_folder(scenario, target))
    with computing_with(threads_for(many)):
        cells = surveyor.survey(grid, progress)
    found = PhaseDiagram(scenario, axes[0], axes[1], tuple(cells), tuple(sorted(surveyor.ignored)), None, weights)
    return replace(found, directory=_written(found, target)) if keep else found


def run_scenario(run: api.Result | Path | str, overrides: Sequence[str] = ()) -> Scenario:
    """The scenario of a run, with other values of some settings.

    Raises:
        InputError: no run, or values that are not allowed.
    """
    result = run if isinstance(run, api.Result) else api.open_run(run)
    return load_scenario(result.directory / SCENARIO, overrides)


def _trained(run: api.Result | Path | str, scenario: Scenario) -> tuple[Trained, str]:
    """A run's weights, and whose they are in words."""
    if not isinstance(run, api.Result | Path | str):
        raise InputError(f"run: expected a run's directory or result, not {run!r}")
    result = run if isinstance(run, api.Result) else api.open_run(run)
    if result.status == "diverged":
        raise InputError(f"{result.directory} diverged, and has no trained network: {result.manifest.reason}")
    own = result.scenario
    for name in OF_A_RUN:
        if name != "synapse" and getattr(own, name) != getattr(scenario, name):
            raise InputError(
                f"{name}: trained weights are those of the run's own {name}; leave it as {result.directory} has it"
            )
    trained = Trained.of(result.network, own, scenario)
    newest = load_newest(RunDirectory(result.directory).checkpoints, lambda _: None)
    # The network has been read from it.
    update = newest.update if newest is not None else 0
    unfinished = "" if result.status == "finished" else ", run not finished"
    return trained, f"weights of update {update} of {result.directory}{unfinished}"


def _last(cells: list[Cell], stable: list[bool]) -> float | None:
    """The value of y before the first cell that is not stable."""
    until = next((number for number, good in enumerate(stable) if not good), len(stable))
    return cells[until - 1].y if until else None


def _written(found: PhaseDiagram, target: Path | None) -> Path:
    """All results in a new directory, which is complete or absent."""
    place = _folder(found.scenario, target)
    staging = place / f".{found.scenario.name}.{uuid.uuid4().hex}"
    try:
        staging.mkdir(parents=True)
        found.to_parquet(staging / TABLE)
        save_picture(staging / PICTURE, draw_diagram(found.picture))
        write_text(staging / PAGE, diagram_page(found.picture))
        write_text(staging / SCENARIO, dump_scenario(found.scenario))
        return _named(staging, place / f"{found.scenario.name}-stability", target)
    except OSError as error:
        raise RunError(f"cannot write the diagram in {place}: {error.strerror or error}") from error
    finally:
        rmtree(staging, ignore_errors=True)


def _folder(scenario: Scenario, target: Path | None) -> Path:
    """What the results' directory will be in."""
    return scenario.run.directory if target is None else target.absolute().parent


def _refuse_unwritable(place: Path) -> None:
    """Find out before all the work whether there can be results, and leave nothing."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        TemporaryDirectory(dir=place, prefix=".").cleanup()
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error.strerror or error}; choose another directory") from error


def _named(staging: Path, stem: Path, target: Path | None) -> Path:
    """Give a finished directory its name, unless another has it: a full one cannot be replaced."""
    number = 1
    while True:
        folder = target or stem.with_name(f"{stem.name}-{number}")
        with suppress(OSError):
            if not folder.exists():
                return staging.rename(folder)
        if not folder.exists():
            return staging.rename(folder)
        _refuse_existing(target)
        number += 1


def _refuse_existing(out: Path | None) -> None:
    if out is not None and out.exists():
        raise InputError(f"{out} exists; choose another directory, or remove it")
