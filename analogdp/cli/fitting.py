"""The commands that make a device card of a group's own measurements: fit-device, and sample-traces to try it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analogdp.cli.output import check_file, make_folder, tell
from analogdp.cli.tables import table
from analogdp.errors import InputError


def fit_device(
    pulses: Annotated[
        Path, typer.Argument(metavar="PULSES.csv", help="Columns device, direction (+1, -1; 0: start), conductance_uS.")
    ],
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="A pulsed model; several are compared. Default: all.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where NAME.yaml, NAME.png and NAME.json go.")] = Path(),
    card: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="The card, if elsewhere.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="The picture, if elsewhere.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the card; by default the file's.")] = None,
    unit: Annotated[str | None, typer.Option(help="Of the conductance, if its heading says none, e.g. uS.")] = None,
    material: Annotated[str | None, typer.Option(help="What the devices are made of.")] = None,
    source: Annotated[str | None, typer.Option(help="Where they were measured: venue and year, or DOI.")] = None,
) -> None:
    """Fit pulsed models to conductances against pulses, and write the best as a device card."""
    from analogdp.files import write_text
    from analogdp.fitting import card_of, card_text, compare, read_traces
    from analogdp.fitting.families import chosen_models
    from analogdp.fitting.outcome import FIGURES, GOODNESS, figure_rows, goodness_rows, results
    from analogdp.reports.fit import draw_fit
    from analogdp.reports.pictures import save_picture

    models, called = chosen_models(model or ["all"]), name or pulses.stem
    files = {
        ".yaml": card or out / f"{called}.yaml",
        ".png": plot or out / f"{called}.png",
        ".json": out / f"{called}.json",
    }
    for suffix, path in ((".yaml", card), (".png", plot)):
        if path is not None:
            check_file(path, suffix)
    traces = read_traces(pulses, unit)
    make_folder(out)
    fits = compare(models, traces, lambda each: tell(f"fitting {each}", sys.stderr))
    best = fits[0]
    made = card_of(best, called, pulses.name, material, source)
    write_text(files[".yaml"], card_text(made))
    save_picture(files[".png"], draw_fit(best, traces, f"{called}: {best.model} model"))
    write_text(files[".json"], results(fits, pulses.name))
    table(GOODNESS, goodness_rows(fits))
    typer.echo("")
    table(FIGURES, figure_rows(best))
    typer.echo(f"\n{best.model}: {', '.join(str(path) for path in files.values())}")


def sample_traces(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Where the traces go.")],
    card: Annotated[str, typer.Option(help="A device card's name, or a path to one.")] = "reram_array_om",
    devices: Annotated[int, typer.Option(metavar="N", help="How many are fabricated.")] = 20,
    sweeps: Annotated[int, typer.Option(metavar="N", help="Up and down again, each.")] = 3,
    pulses: Annotated[int, typer.Option(metavar="N", help="In one direction of a sweep.")] = 100,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
) -> None:
    """Write the traces that a card's devices would give, pulse by pulse, for fit-device."""
    from analogdp.devices import load_card
    from analogdp.fitting import sample_traces as sample
    from analogdp.fitting import write_traces

    check_file(file, ".csv")
    if file.exists():
        raise InputError(f"{file} is there already and may be a measurement: choose another name, or remove it first")
    traces = sample(load_card(card), devices, sweeps, pulses, seed)
    write_traces(file, traces)
    typer.echo(f"{len(traces)} devices, {sum(len(trace.directions) for trace in traces)} pulses: {file}")
