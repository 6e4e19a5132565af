"""The command that runs a scenario with several values of some settings: replicate."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from analogdp.cli.inspection import SettingsOption
from analogdp.cli.output import tell
from analogdp.cli.running import DataDirectory, use_data
from analogdp.cli.tables import table
from analogdp.errors import InputError

_RANGE = re.compile(r"\s*(\d{1,18})\s*\.\.\s*(\d{1,18})\s*")
_LONGEST_RANGE = 10_000


def replicate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")],
    vary: Annotated[
        list[str], typer.Option(metavar="KEY=VALUES", help="What differs, e.g. seed=0..4 or neuron.alpha=0,0.5,1.")
    ],
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the runs go; what was interrupted goes on.")
    ] = None,
    together: Annotated[
        int | None, typer.Option(metavar="N", help="Most runs trained together; default: as many as fit into memory.")
    ] = None,
    data_dir: DataDirectory = None,
) -> None:
    """Run a scenario with every combination of several values, trained together where that gives the same results."""
    from analogdp.cli.progress import describe
    from analogdp.replicas import SUMMARY, TABLE, GroupObserver
    from analogdp.replicas import replicate as run_all
    from analogdp.runs import Row
    from analogdp.scenario import load_scenario

    class Lines(GroupObserver):
        """A line for each group and evaluation, on standard error."""

        def group_begins(self, done: int, together: int, total: int) -> None:
            numbers = f"{done + 1}" if together == 1 else f"{done + 1} to {done + together}, together"
            tell(f"run {numbers}, of {total}", sys.stderr)

        def evaluated(self, rows: list[Row]) -> None:
            tell(describe(rows), sys.stderr)

        def said(self, message: str) -> None:
            tell(message, sys.stderr)

    use_data(data_dir)
    choices: dict[str, list[Any]] = {}
    for option in vary:
        path, values = _choice(option)
        if path in choices:
            raise InputError(f"--vary {option}: {path} is varied already; write all its values at once")
        choices[path] = values
    found = run_all(load_scenario(scenario, settings or ()), choices, out=out, together=together, progress=Lines())
    rows = found.summary
    header = list(dict.fromkeys(name for row in rows for name in row))
    table(header, [[_shown(row.get(name)) for name in header] for row in rows])
    typer.echo(f"\nall runs: {found.directory / TABLE}\nsummary:  {found.directory / SUMMARY}")


def _choice(option: str) -> tuple[str, list[Any]]:
    """A setting's path and values, of ``path=first..last`` or ``path=value,value``."""
    from analogdp.scenario.yaml import parse_yaml

    path, equals, text = option.partition("=")
    path = path.strip()
    if not equals or not text.strip() or not all(path.split(".")):
        raise InputError(f"--vary {option}: expected section.key=values, such as neuron.alpha=0,0.5,1 or seed=0..4")
    if match := _RANGE.fullmatch(text):
        first, last = int(match[1]), int(match[2])
        if not 0 <= last - first < _LONGEST_RANGE:
            raise InputError(f"--vary {option}: a range goes from a number up to a larger one, by less than 10000")
        return path, list(range(first, last + 1))
    return path, list(parse_yaml(f"[{text}]", f"--vary {option}").data)


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
