"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned by spaces, which a pipe can take apart again; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for line in (header, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
