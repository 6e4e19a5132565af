"""The command that ages the trained network of a run: age."""

from __future__ import annotations

from typing import Annotated

import typer

from analogdp.cli.running import RunArgument
from analogdp.cli.tables import table


def age(
    directory: RunArgument,
    after: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIME",
            help="Since training, e.g. '1 day'; several times, or with commas. By default 1 s to 1 year.",
        ),
    ] = None,
    reads: Annotated[
        int, typer.Option(metavar="N", help="How many noisy reads a measurement of line currents averages.")
    ] = 1,
) -> None:
    """Test the network of a finished run after its cells have aged, with and without compensation of their drift."""
    from analogdp import api
    from analogdp.aging import age as age_run
    from analogdp.analysis.aging import USUAL_TIMES
    from analogdp.reports.aging import aging_caption, aging_header, aging_rows

    found = age_run(directory, after or USUAL_TIMES, reads=reads)
    typer.echo(aging_caption(found))
    table(aging_header(found), aging_rows(found))
    result = api.open_run(directory)
    typer.echo(
        f"kept in {result.directory / 'aging.json'}, {result.directory / 'plots' / 'aging.png'} and {result.report}"
    )
