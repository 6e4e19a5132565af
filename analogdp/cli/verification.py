"""The command that checks a scenario's dynamics against an independent engine: verify."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from analogdp.cli.inspection import SettingsOption
from analogdp.cli.running import DataDirectory
from analogdp.cli.tables import table
from analogdp.errors import RunError

if TYPE_CHECKING:
    from analogdp.verification.comparison import Verification


def verify(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")],
    settings: SettingsOption = None,
    chip: Annotated[int, typer.Option(metavar="N", help="Which chip, from 0.")] = 0,
    samples: Annotated[int, typer.Option(metavar="N", help="How many training samples.")] = 2,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="How many time steps; by default one settling, at most 200.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Allowed difference of states of order 1.")] = 1e-12,
    equations: Annotated[bool, typer.Option("--equations", help="Show the equations that were checked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Let Brian2 simulate the same small network, and compare all states."""
    from analogdp.scenario import load_scenario
    from analogdp.verification.comparison import verify as check

    if data_dir is not None:
        os.environ["ANALOGDP_DATA"] = str(data_dir.absolute())
    found = check(load_scenario(scenario, settings or ()), chip=chip, samples=samples, steps=steps, tolerance=tolerance)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _show(found, equations)
    if not found.passed:
        raise RunError(f"{found.engine} disagrees: states differ by up to {found.largest:.3g}")


def _show(found: Verification, equations: bool) -> None:
    typer.echo(
        f"{found.scenario}, chip {found.chip}, against {found.engine}: {found.samples} samples, {found.steps} steps of "
        f"{found.dt:g} s, float64\n{found.method}\n"
    )
    if equations:
        for number, text in enumerate(found.equations, start=1):
            typer.echo(f"layer {number}:\n{text}\n")
    rows = [
        [
            str(each.layer),
            each.compartment,
            f"{each.largest:.3g}",
            str(each.step),
            f"{each.allowed:.3g}",
            "pass" if each.passed else "FAIL",
        ]
        for each in found.differences
    ]
    table(("layer", "compartment", "largest difference", "at step", "allowed", "result"), rows)
    if found.events:
        ours, theirs = found.events
        typer.echo(f"\nevents up and down: {ours[0]} and {ours[1]}; {found.engine}: {theirs[0]} and {theirs[1]}")
