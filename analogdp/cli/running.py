"""The commands that start runs and look at them: run, resume, list, show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analogdp.cli.tables import table
from analogdp.errors import AnalogdpError, InputError

if TYPE_CHECKING:
    from analogdp.api import Result
    from analogdp.runs import Row, RunDirectory

DataDirectory = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the downloaded data sets (else $ANALOGDP_DATA).")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, for example runs/quickstart-1.")]


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. neuron.alpha=0.3.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The run directory; must not exist.")] = None,
    data_dir: DataDirectory = None,
) -> None:
    """Train and test the network of a scenario, and keep everything in a new run directory."""
    from analogdp import api
    from analogdp.cli.progress import observer
    from analogdp.scenario import load_scenario

    use_data(data_dir)
    loaded = load_scenario(scenario, settings or ())
    source = Path(scenario)
    with observer() as progress:
        result = api.run(loaded, out=out, progress=progress, source=source if source.is_file() else None)
    _conclusion(result)


def resume(directory: RunArgument, data_dir: DataDirectory = None) -> None:
    """Go on with an interrupted run; it ends with the same bits as an uninterrupted one."""
    from analogdp import api
    from analogdp.cli.progress import observer

    use_data(data_dir)
    with observer() as progress:
        result = api.resume(directory, progress=progress)
    _conclusion(result)


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of run directories.")] = Path("runs"),
) -> None:
    """List the runs in a folder."""
    from analogdp.runs import runs_in

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the folder of the run directories: analogdp list DIR")
    rows = [_listed(found) for found in runs_in(folder)]
    if not rows:
        typer.echo(f"no runs in {folder}")
        return
    table(("run", "status", "scenario", "accuracy", "epochs", "started"), rows)


def show(directory: RunArgument) -> None:
    """Show a run: its scenario, how it went, its final metrics, the energy that it took, and its files."""
    from analogdp import api
    from analogdp.reports.energy import HEADER, energy_rows
    from analogdp.scenario.layers import in_a_line

    result = api.open_run(directory)
    manifest, scenario = result.manifest, result.scenario
    typer.echo(f"{result.directory}: {result.status}{f' ({manifest.reason})' if manifest.reason else ''}")
    facts = {
        "scenario": scenario.name + (f": {scenario.description}" if scenario.description else ""),
        "network": f"{in_a_line(scenario.network.layers)}, {scenario.neuron.model}, {scenario.network.loss}",
        "synapses": f"{scenario.synapse.model}, {scenario.chips} {'chip' if scenario.chips == 1 else 'chips'}",
        "data": scenario.data.name,
        "training": f"{scenario.learning.mode}, epochs {scenario.learning.epochs}, batch {scenario.learning.batch}",
        "computed on": f"{manifest.device}, {manifest.threads} threads, seed {manifest.seed}",
        "versions": ", ".join(f"{name} {value}" for name, value in manifest.versions.items()),
        "git revision": manifest.git_revision or "-",
        "started": manifest.started + "".join(f", resumed {moment}" for moment in manifest.resumed),
        "ended": manifest.ended or "-",
    }
    for name, value in facts.items():
        typer.echo(f"  {name:<13} {value}")
    if result.metrics:
        typer.echo("")
        names = list(result.final[0])
        table(names, [[_number(row.get(name)) for name in names] for row in result.final])
    if result.energy is not None and result.energy.stated:
        typer.echo("")
        table(HEADER, energy_rows(result.energy))
    typer.echo("")
    table(("file", "size", "state"), _files(result))


def use_data(data_dir: Path | None) -> None:
    """Have data sets looked for in a folder, if one is named."""
    if data_dir is not None:
        os.environ["ANALOGDP_DATA"] = str(data_dir.absolute())


def _conclusion(result: Result) -> None:
    """The last lines of a finished run."""
    from analogdp.runs import mean_and_spread

    for label, name in (("with noise", "test_accuracy"), ("without noise", "test_accuracy_noise_free")):
        if found := mean_and_spread(result.final, name):
            chips = len(result.final)
            spread = f" +- {found[1]:.2%} over {chips} chips" if chips > 1 else ""
            typer.echo(f"test accuracy {label + ':':<15}{found[0]:.2%}{spread}")
    if result.accuracy is None and (loss := mean_and_spread(result.final, "test_loss")):
        typer.echo(f"test loss:  {loss[0]:.4g}")
    typer.echo(f"run directory: {result.directory}")
    typer.echo(f"report:        {result.report}")
    for path in result.exports:
        typer.echo(f"exported:      {path}")


def _listed(found: RunDirectory) -> list[str]:
    """A run's line in the list; an unreadable one is listed as such."""
    from analogdp.runs import Journal, last_evaluation, mean_and_spread, read_manifest, status_now

    try:
        manifest = read_manifest(found)
        rows: list[Row] = Journal(found.journal).rows()
    except AnalogdpError:
        return [found.path.name, "unreadable", "-", "-", "-", "-"]
    accuracy = mean_and_spread(last_evaluation(rows), "test_accuracy") if rows else None
    return [
        found.path.name,
        status_now(found, manifest),
        manifest.scenario,
        f"{accuracy[0]:.2%}" if accuracy else "-",
        str(rows[-1]["epoch"]) if rows else "-",
        manifest.started,
    ]


def _files(result: Result) -> list[list[str]]:
    """Name, size and state of every file; files of an ended run are compared with their recorded checksums."""
    from analogdp.files import checksum

    recorded = result.manifest.checksums
    there = {
        path.relative_to(result.directory).as_posix(): path for path in result.directory.rglob("*") if path.is_file()
    }
    lines = []
    for name in sorted({*recorded, *(name for name in there if not name.startswith("."))}):
        if name not in there:
            lines.append([name, "-", "missing"])
            continue
        state = (
            ""
            if name not in recorded
            else "ok"
            if checksum(there[name]) == recorded[name]
            else "CHANGED since the run ended"
        )
        lines.append([name, _size(there[name].stat().st_size), state])
    return lines


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.5g}"
