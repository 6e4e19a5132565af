"""The command that draws a device's current-voltage loop: hysteresis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analogdp.cli.output import check_file
from analogdp.errors import InputError

if TYPE_CHECKING:
    from analogdp.devices.hysteresis import Hysteresis

_PERIOD = 10.0
"""Of the default loop, in times that the write pulse's voltage takes for the middle half of the state's range."""


def hysteresis(
    card: Annotated[str, typer.Argument(metavar="CARD", help="A device card's name, or a path to one.")],
    amplitude: Annotated[
        str | None, typer.Option(metavar="VOLTAGE", help="Of the sine, e.g. '1 V'; by default the write pulse's.")
    ] = None,
    frequency: Annotated[
        str | None, typer.Option(metavar="RATE", help="Of the sine, e.g. '1 Hz'; by default one at which cells switch.")
    ] = None,
    periods: Annotated[int, typer.Option(metavar="N", help="How many periods.")] = 2,
    steps: Annotated[int, typer.Option(metavar="N", help="Points in a period.")] = 1000,
    chips: Annotated[int, typer.Option(metavar="N", help="How many cells, each fabricated on its own.")] = 1,
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Where the picture goes.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write the numbers, too.")] = None,
) -> None:
    """Draw the current of a device's cells under a sine voltage."""
    from analogdp.devices.cards import load_card
    from analogdp.devices.hysteresis import hysteresis as simulate
    from analogdp.devices.hysteresis import with_state_equation
    from analogdp.reports.hysteresis import draw_hysteresis
    from analogdp.reports.pictures import save_picture

    found = load_card(card)
    picture = out or Path(f"hysteresis_{found.name}.png")
    check_file(picture, ".png")
    if csv is not None:
        check_file(csv, ".csv")
    volts, rate = _quantity("amplitude", amplitude, "volt"), _quantity("frequency", frequency, "hertz")
    try:
        device = with_state_equation(found.device())
        if volts is None:
            volts = max(abs(device.pulses.up), abs(device.pulses.down))
        if rate is None:
            rate = 1 / (_PERIOD * device.crossing_time())
        loop = simulate(device, volts, rate, periods, steps, chips)
    except InputError as error:
        raise InputError(f"card {found.name}: {error}") from None
    title = f"{found.name} ({found.model}), {volts:.4g} V at {rate:.4g} Hz"
    save_picture(picture, draw_hysteresis(loop, device.bounds, title))
    typer.echo(f"{title}: {picture}")
    if csv is not None:
        _write_csv(csv, loop)
        typer.echo(f"{len(loop.time)} points: {csv}")


def _quantity(name: str, written: str | None, unit: str) -> float | None:
    """What an option says in SI units."""
    from analogdp.scenario.quantities import to_si

    if written is None:
        return None
    try:
        return float(to_si(written, unit))
    except ValueError as error:
        raise InputError(f"--{name}: {error}") from None


def _write_csv(path: Path, loop: Hysteresis) -> None:
    from analogdp.files import write_text

    chips = range(loop.state.shape[1])
    names = ["time_s", "voltage_v", *(f"current{chip}_a" for chip in chips), *(f"state{chip}" for chip in chips)]
    columns = [loop.time.unsqueeze(1), loop.voltage.unsqueeze(1), loop.current, loop.state]
    rows = [
        ",".join(f"{value:.9g}" for values in row for value in values)
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]
    write_text(path, "\n".join([",".join(names), *rows]) + "\n")
