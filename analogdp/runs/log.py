"""A run's log: lines with the time, appended to ``log.txt``; warnings raised meanwhile go there too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from analogdp.runs.manifest import now


class Log:
    """Appends to a text file; each line is complete on its own and begins with the time in UTC."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, message: str) -> None:
        """Append a message; the further lines of a longer one are indented."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{now()} {message.strip().replace(chr(10), chr(10) + '  ')}\n")

    @contextmanager
    def with_warnings(self) -> Iterator[None]:
        """While the body runs, write warnings here as well as where they would be shown anyway."""
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            self.write(f"{category.__name__}: {message}")
            shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        try:
            yield
        finally:
            warnings.showwarning = shown
