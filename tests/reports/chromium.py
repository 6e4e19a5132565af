"""Opening a page in headless Chromium: what it says on the console and what it has drawn."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")

_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
    "--window-size=1280,6000",
    "--dump-dom",
]


@dataclass(frozen=True)
class Opened:
    """A page after its scripts have run: the document, and everything written to the console."""

    document: str
    console: list[str]


def open_page(page: Path, profile: Path) -> Opened:
    """Open a local file; ``profile`` is a new directory for the browser's own files."""
    assert PROGRAM is not None
    done = subprocess.run(
        [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(profile)},
    )
    return Opened(done.stdout, re.findall(r".*CONSOLE.*", done.stderr))


@dataclass
class Plots(HTMLParser):
    """Counts of what Plotly drew inside each element of class ``plot``, by the element's id."""

    drawings: dict[str, int] = field(default_factory=dict)
    traces: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        classes = (values.get("class") or "").split()
        inside = next((name for name in reversed(self._open) if name), None)
        if "main-svg" in classes and inside:
            self.drawings[inside] = self.drawings.get(inside, 0) + 1
        if {"trace", "hm"} & set(classes) and inside:
            self.traces[inside] = self.traces.get(inside, 0) + 1
        if tag == "div":
            self._open.append(values.get("id") if "js-plotly-plot" in classes else None)

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._open:
            self._open.pop()


def plots(document: str) -> Plots:
    """What is drawn in a document."""
    found = Plots()
    found.feed(document)
    return found
