"""Networks out of the simulator, in the formats that others read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analogdp.api import Result, open_run
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.files import refuse_existing


def export(
    run: Result | Path | str, kind: str | Mapping[str, Any], out: Path | str, *, force: bool = False, **options: Any
) -> list[Path]:
    """Write the trained network of a run in a format that others read.

    Args:
        run: a finished run, or its directory.
        kind: the name of a format, see ``analogdp models``; or a section with its options, as in a scenario's ``export``.
        out: the file or folder, which must not exist.
        force: export what is there of a run that is not finished, or diverged: its newest checkpoint.
        options: of the format.

    Returns:
        What was written.

    Raises:
        InputError: no such run, or not a finished one; an unknown format or option; a network that the format cannot hold; a
            target that exists. Nothing was written.
        RunError: there is no good checkpoint.
    """
    form, path = exporter(kind, **options), Path(out)
    refuse_existing(path, "an export")
    result = run if isinstance(run, Result) else open_run(run)
    if not force:
        _refuse_unfinished(result)
    return export_network(result.network, result.scenario, form, path)


def _refuse_unfinished(result: Result) -> None:
    way_out = "; --force (force=True) exports its newest checkpoint"
    if result.manifest.status == "diverged":
        raise InputError(f"{result.directory} diverged, and is no trained network: {result.manifest.reason}{way_out}")
    if not result.manifest.concluded:
        go_on = f"go on with: analogdp resume {result.directory}"
        raise InputError(f"{result.directory} is {result.status}, not finished; {go_on}{way_out}")
