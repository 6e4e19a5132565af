"""The command that finds out what each non-ideality costs: ablate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from analogdp.cli.inspection import SettingsOption
from analogdp.cli.running import DataDirectory, use_data
from analogdp.cli.tables import table

if TYPE_CHECKING:
    from analogdp.analysis.ablation import Mode


def ablate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")],
    settings: SettingsOption = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="How many seeds, from the scenario's own on.")] = 3,
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Which non-idealities, e.g. wires,cycle_noise; default: all.")
    ] = None,
    mode: Annotated[str, typer.Option(metavar="MODE", help="without one at a time; each alone; or both.")] = "without",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the runs go; one that was interrupted goes on.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes that work at once.")] = 1,
    data_dir: DataDirectory = None,
) -> None:
    """Find out what each non-ideality of a scenario costs, by running it without them."""
    from analogdp.ablation import PICTURE, RESULTS
    from analogdp.ablation import ablate as find_out
    from analogdp.cli.campaign import CampaignLines
    from analogdp.reports.ablation import ablation_caption, ablation_header, ablation_rows
    from analogdp.scenario import load_scenario

    use_data(data_dir)
    names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
    found = find_out(
        load_scenario(scenario, settings or ()),
        mode=cast("Mode", mode),
        seeds=seeds,
        only=names,
        out=out,
        jobs=jobs,
        progress=CampaignLines(),
    )
    assert found.directory is not None
    table(ablation_header(found), ablation_rows(found))
    typer.echo(f"\n{ablation_caption(found)}")
    typer.echo(f"results: {found.directory / RESULTS}\npicture: {found.directory / PICTURE}")
