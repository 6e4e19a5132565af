"""The command that draws phase diagrams of inference: stability."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from analogdp.cli.inspection import SettingsOption
from analogdp.cli.output import tell
from analogdp.cli.running import DataDirectory, use_data
from analogdp.cli.tables import table
from analogdp.errors import InputError

if TYPE_CHECKING:
    from analogdp.diagrams import PhaseDiagram

_TENTHS = 10
_INTERRUPTED = 130


def stability(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="[SCENARIO]", help="A scenario file, or the name of a shipped one; or --run."),
    ] = None,
    x: Annotated[
        str, typer.Option("--x", metavar="AXIS", help="Setting and range of the x axis.")
    ] = "neuron.alpha=0:1",
    y: Annotated[
        str,
        typer.Option(
            "--y",
            metavar="AXIS",
            help="The same of y: KEY=FIRST:LAST[:NUMBER][:log], e.g. 'neuron.tau=1 us:9 us:20:log'.",
        ),
    ] = "neuron.beta=0.05:2",
    points: Annotated[int, typer.Option(metavar="N", help="Values along each axis that names no number.")] = 40,
    samples: Annotated[int, typer.Option(metavar="N", help="Samples of the test set that networks are nudged by.")] = 8,
    networks: Annotated[int, typer.Option(metavar="N", help="Random networks (seeds) at each point.")] = 1,
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Take the scenario and the trained weights of a run.")
    ] = None,
    at: Annotated[
        str,
        typer.Option(
            metavar="STATE", help="Where theory linearises: the free state (quick), or at rest under nudging (slow)."
        ),
    ] = "free",
    settings: SettingsOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where results go; must not exist.")] = None,
    data_dir: DataDirectory = None,
) -> None:
    """Draw where inference is stable in the plane of two settings, as simulated and as predicted."""
    from analogdp.analysis.stability.diagram import refuse_unless_analysable
    from analogdp.analysis.stability.grid import parse_axis
    from analogdp.diagrams import run_scenario
    from analogdp.diagrams import stability as find_out
    from analogdp.scenario import load_scenario

    if (scenario is None) == (run is None):
        raise InputError("name either a scenario or, with --run, the directory of a run")
    use_data(data_dir)
    base = run_scenario(run, settings or ()) if run is not None else load_scenario(str(scenario), settings or ())
    refuse_unless_analysable(base, samples)
    try:
        found = find_out(
            base,
            parse_axis(base, x, points),
            parse_axis(base, y, points),
            samples=samples,
            networks=networks,
            run=run,
            at=cast("Literal['free', 'rest']", at),
            out=out,
            progress=_Line(),
        )
    except KeyboardInterrupt:
        tell("interrupted, nothing was written", sys.stderr)
        raise typer.Exit(_INTERRUPTED) from None
    _report(found)


def _report(found: PhaseDiagram) -> None:
    """Shares, the largest stable nudging where that is an axis, notes, and files."""
    from analogdp.diagrams import PAGE, PICTURE, TABLE

    assert found.directory is not None
    table(("outcome", "share of points"), [[kind, f"{share:.1%}"] for kind, share in found.shares.items()])
    if found.y.path == "neuron.beta":
        typer.echo("")
        table((found.x.label, "stable up to beta", "predicted"), _critical(found))
    elif found.x.path == "neuron.beta":
        typer.echo("\nup to which beta all is stable is told where --y is neuron.beta: exchange the axes")
    typer.echo(f"\n{found.picture.note}")
    for name, file in (("table", TABLE), ("picture", PICTURE), ("page", PAGE)):
        typer.echo(f"{name + ':':<9}{found.directory / file}")


class _Line:
    """A line on standard error whenever another tenth of the networks is done."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        tenths = _TENTHS * done // total
        if tenths > self._told:
            self._told = tenths
            tell(f"{done} of {total} networks", sys.stderr)


def _critical(found: PhaseDiagram) -> list[list[str]]:
    """About ten lines of the largest beta up to which all points are stable."""
    every = max(1, len(found.critical) // _TENTHS)
    return [
        [f"{value:.4g}", *("-" if beta is None else f"{beta:.4g}" for beta in betas)]
        for value, *betas in found.critical[::every]
    ]
