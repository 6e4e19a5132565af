"""The command that writes a trained network in the formats that others read: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analogdp.cli.running import DataDirectory, RunArgument, use_data


def export(
    directory: RunArgument,
    kind: Annotated[str, typer.Option("--format", metavar="FORMAT", help="What to write; see docs/exports.md.")],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help="The file or folder; must not exist.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the format, e.g. chip=0 or dialect=xyce."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Export the newest checkpoint of a run that is unfinished or diverged.")
    ] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Write the trained network of a run in a format that others read."""
    from analogdp.api import open_run
    from analogdp.scenario.loading import parse_settings
    from analogdp.transfer import export as write

    use_data(data_dir)
    options, run = parse_settings(settings or ()), open_run(directory)
    paths, told = write(run, {**options, "format": kind}, out, force=force), ""
    if found := run.unfinished:
        told = " (checkpoint of update {update}, epoch {epoch} of {epochs}; the run: {status})".format_map(found)
    for path in paths:
        typer.echo(f"exported: {path}{told}")
