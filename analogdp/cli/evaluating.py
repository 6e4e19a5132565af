"""The command that tests a trained network once more, as it is or with the conductances of a chip: evaluate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from analogdp.cli.running import DataDirectory, RunArgument, use_data
from analogdp.cli.tables import table
from analogdp.errors import InputError
from analogdp.files import refuse_existing, write_text

if TYPE_CHECKING:
    from analogdp.imports import Missing
    from analogdp.transfer import Score, WithConductances


def evaluate(
    directory: RunArgument,
    conductances: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Measured on a chip: a folder of CSV files, or an HDF5 file; see docs/exports.md."
        ),
    ] = None,
    missing: Annotated[
        str,
        typer.Option(
            metavar="WHAT", help="For cells that were not measured: refuse, trained (what they were) or open (0 S)."
        ),
    ] = "refuse",
    chip: Annotated[int | None, typer.Option(metavar="N", help="The chip, of a file with several.")] = None,
    results: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what the tables say to a new file, as JSON.")
    ] = None,
    data_dir: DataDirectory = None,
) -> None:
    """Test the network of a finished run as it was trained, or with conductances that were measured on a chip."""
    from analogdp import transfer

    use_data(data_dir)
    if results is not None:
        refuse_existing(results, "a file of results")
    if conductances is None:
        if chip is not None or missing != "refuse":
            raise InputError("--missing and --chip are for measured conductances; name them: --conductances PATH")
        scores = transfer.evaluate(directory)
        _scores([(f"chip {score.chip}", score) for score in scores])
        _keep(results, {"run": str(directory), "scores": [asdict(score) for score in scores]})
        return
    found = transfer.with_conductances(directory, conductances, missing=cast("Missing", missing), chip=chip)
    typer.echo(f"chip {found.after.chip}, with the conductances of {conductances}")
    _scores([("simulated", found.before), ("measured", found.after)])
    typer.echo("")
    _cells(found)
    told = {
        "run": str(directory),
        "conductances": str(conductances),
        "missing": missing,
        "simulated": asdict(found.before),
        "measured": asdict(found.after),
        "crossbars": [asdict(own) for own in found.layers],
    }
    _keep(results, told)


def _keep(path: Path | None, told: dict[str, Any]) -> None:
    """Write what was found, where that is wanted."""
    if path is not None:
        write_text(path, json.dumps(told, indent=2, allow_nan=False) + "\n")


def _scores(rows: Sequence[tuple[str, Score]]) -> None:
    if rows[0][1].accuracy is None:
        table(("", "test loss"), [(name, f"{score.loss:.5g}") for name, score in rows])
        return
    table(
        ("", "test accuracy", "test loss"),
        [(name, f"{score.accuracy:.2%}", f"{score.loss:.5g}") for name, score in rows],
    )


def _cells(found: WithConductances) -> None:
    """What became of the cells and weights of every crossbar."""
    header = ("", "cells", "stuck", "missing", "out of range", "rms error", "of weights", "worst", "correlation")
    rows = [
        (
            own.name,
            *map(str, (own.cells, own.stuck, own.missing, own.out_of_range)),
            *(f"{value:.3g}" for value in (own.rms, own.rms_weight, own.worst)),
            "-" if own.correlation is None else f"{own.correlation:.5f}",
        )
        for own in found.layers
    ]
    table(header, rows)
