"""One HTML file with everything in it, readable without a network: what the report and other pages are put into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

# Nothing may be loaded from anywhere, and nothing sent: the page works from a disk without a network.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def document(title: str, parts: Sequence[str], figures: Mapping[str, go.Figure], pictures: str) -> str:
    """The whole page.

    Args:
        title: as text.
        parts: HTML, in which all text is escaped already; the first ones open ``<main>``.
        figures: by the names of their places, see :func:`place`.
        pictures: where the same figures are for readers without JavaScript.
    """
    texts = ",".join(f'"{name}":{_json_for_html(figure)}' for name, figure in figures.items())
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">',
            f"<style>\n{_resource('page.css')}</style>\n</head>\n<body>",
            *parts,
            f"<noscript><p>The figures of this page need JavaScript; {escape(pictures)} has them as pictures.</p></noscript>",
            "</main>",
            f'<script id="figures" type="application/json">{{{texts}}}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>\n{_resource('page.js')}</script>\n</body>\n</html>\n",
        )
    )


def place(name: str, title: str, maps: bool = False) -> str:
    """Where a figure goes; ``maps`` are there once for each chip."""
    kind = "plot maps" if maps else "plot"
    return f'<div id="{escape(name)}" class="{kind}" role="img" aria-label="{escape(title)}"></div>'


def _json_for_html(figure: go.Figure) -> str:
    """The figure as JSON that cannot end the script element it stands in."""
    return str(figure.to_json()).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _resource(name: str) -> str:
    return files("analogdp.reports").joinpath(name).read_text(encoding="utf-8")
