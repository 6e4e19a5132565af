"""The pictures of a phase diagram: what becomes of samples, how fast, what theory says, and where it is wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from html import escape

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from analogdp.analysis.stability.diagram import KINDS, REFUSED, Cell
from analogdp.analysis.stability.grid import Axis
from analogdp.reports.document import document, place
from analogdp.reports.figures import styled
from analogdp.reports.pictures import canvas
from analogdp.reports.style import BLACK, DIVERGING

# Okabe and Ito's, ordered by lightness, so that outcomes can be told apart in grey, too.
COLOURS = {
    "settled": "#CDE8F6",
    "approaching": "#56B4E9",
    "oscillating": "#D55E00",
    "diverged": "#3B1F4A",
    REFUSED: "#FFFFFF",
}
HATCH = "////"
"""Of points that the scenario refuses."""
SEQUENTIAL = "cividis_r"
_DECADES = 1.5
"""To either side of 1 that colours of a loop gain tell apart."""
_WORDS = {
    "settled": "settled",
    "approaching": "approaching: not there in time",
    "oscillating": "oscillating: bounded, no nearer",
    "diverged": "diverged: left the bounds, or growing",
    REFUSED: "refused by the scenario",
}
_TITLES = ("Measured outcome", "Steps to settle, measured", "Loop gain gΛ, predicted", "Theory against simulation")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """What is shown: the cells lie row by row, x varying fastest."""

    name: str
    x: Axis
    y: Axis
    cells: Sequence[Cell]
    ignored: Sequence[str]

    @property
    def title(self) -> str:
        """Above the panels."""
        return f"{self.name}: stability over {self.x.path} and {self.y.path}"

    @property
    def note(self) -> str:
        """What predictions do not know, and how often they are right."""
        known = [cell.agreement for cell in self.cells if cell.agreement is not None]
        if not known:
            reasons = Counter(cell.reason for cell in self.cells if cell.outcome != REFUSED and cell.reason)
            return reasons.most_common(1)[0][0] if reasons else "not predicted"
        without = f"; predicted without: {', '.join(self.ignored)}" if self.ignored else ""
        return f"theory is right about {sum(known) / len(known):.1%} of the samples{without}"

    def map(self, value: Callable[[Cell], float | None]) -> Numbers:
        """A quantity at all points, ``(y, x)``; NaN where there is none."""
        found = [value(cell) for cell in self.cells]
        numbers = np.array([math.nan if each is None else each for each in found], dtype=np.float64)
        return numbers.reshape(len(self.y.values), len(self.x.values))


def draw_diagram(picture: Picture) -> Figure:
    """Four panels: outcomes, steps, the loop gain with its boundary, and where theory and simulation disagree."""
    figure, axes = canvas(11.5, 9.0, 2, 2)
    for axis in axes:
        _hatch(axis, picture)
    _draw_outcomes(axes[0], picture)
    _draw_steps(figure, axes[1], picture)
    _draw_loop_gain(figure, axes[2], picture)
    _draw_disagreement(figure, axes[3], picture)
    for axis, title in zip(axes, _TITLES, strict=True):
        axis.set(title=title, xlabel=picture.x.label, ylabel=picture.y.label)
        for scale, own in ((axis.set_xscale, picture.x), (axis.set_yscale, picture.y)):
            scale("log" if own.logarithmic else "linear")
        axis.set_xlim(*_edges(picture.x)[[0, -1]])
        axis.set_ylim(*_edges(picture.y)[[0, -1]])
    figure.suptitle(f"{picture.title}\n", parse_math=False)
    figure.text(0.5, 0.965, picture.note, ha="center", va="top", fontsize="small", color=BLACK, parse_math=False)
    return figure


def diagram_page(picture: Picture) -> str:
    """The page: the same panels, with all numbers of a point where the mouse is."""
    counts = Counter(cell.outcome for cell in picture.cells)
    rows = "".join(
        f"<tr><th>{escape(_WORDS[kind])}</th><td>{counts[kind] / len(picture.cells):.1%}</td></tr>"
        for kind in KINDS
        if counts[kind]
    )
    parts = [
        f'<header>\n<h1>{escape(picture.title)}</h1>\n<p class="description">{escape(picture.note)}</p>\n</header>\n<main>',
        f"<table>{rows}</table>",
        place("diagram", picture.title),
    ]
    return document(f"{picture.title} – analogdp", parts, {"diagram": diagram_figure(picture)}, "diagram.png")


def diagram_figure(picture: Picture) -> go.Figure:
    """The panels in plotly."""
    figure = make_subplots(rows=2, cols=2, subplot_titles=_TITLES, horizontal_spacing=0.24, vertical_spacing=0.13)
    hover = np.array([_hover(picture, cell) for cell in picture.cells]).reshape(picture.map(lambda cell: cell.x).shape)
    outcomes = picture.map(lambda cell: KINDS.index(cell.outcome))
    shades = [[(number + step) / len(KINDS), COLOURS[kind]] for number, kind in enumerate(KINDS) for step in (0, 1)]
    gain = picture.map(lambda cell: cell.loop_gain)
    logarithm = np.log10(np.maximum(gain, 10**-_DECADES))
    bounds = {"zmin": -0.5, "zmax": len(KINDS) - 0.5}
    panels: tuple[tuple[Numbers, dict[str, object], dict[str, object]], ...] = (
        (outcomes, {"colorscale": shades, **bounds}, {"tickvals": [*range(len(KINDS))], "ticktext": KINDS}),
        (picture.map(lambda cell: cell.steps), {"colorscale": "Cividis", "reversescale": True}, {"title": "steps"}),
        (logarithm, {"colorscale": DIVERGING, "zmin": -_DECADES, "zmax": _DECADES}, {"title": "log10 gΛ"}),
        (
            picture.map(_mistaken),
            {"colorscale": DIVERGING, "zmin": -1, "zmax": 1},
            {"tickvals": [-1, 0, 1], "ticktext": ["stable,<br>not predicted", "right", "unstable,<br>not predicted"]},
        ),
    )
    for number, (values, scale, bar) in enumerate(panels):
        row, column = number // 2 + 1, number % 2 + 1
        beside = {"len": 0.4, "y": 1.38 - 0.58 * row, "x": 0.62 * column - 0.235, "thickness": 12}
        trace = go.Heatmap(
            x=picture.x.values,
            y=picture.y.values,
            z=values,
            text=hover,
            hoverinfo="text",
            colorbar={**bar, **beside},
            **scale,
        )
        figure.add_trace(trace, row=row, col=column)
        figure.update_xaxes(title=picture.x.label, type=_kind(picture.x), row=row, col=column)
        figure.update_yaxes(title=picture.y.label, type=_kind(picture.y), row=row, col=column)
    if _crosses(gain):
        line = go.Contour(
            x=picture.x.values,
            y=picture.y.values,
            z=gain,
            contours={"type": "constraint", "operation": "=", "value": 1},
            line={"color": BLACK, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_trace(line, row=2, col=1)
    return styled(figure, 860)


def _mistaken(cell: Cell) -> float | None:
    """By which share of the samples theory errs: above zero where it promises too much, below where too little."""
    if cell.predicted_stable is None or cell.agreement is None or cell.settled is None or cell.approaching is None:
        return None
    surplus = cell.predicted_stable - (cell.settled + cell.approaching)
    return math.copysign(1 - cell.agreement, surplus)


def _hover(picture: Picture, cell: Cell) -> str:
    lines = [f"{picture.x.label}: {cell.x:.5g}", f"{picture.y.label}: {cell.y:.5g}"]
    for field in fields(cell)[2:]:
        value = getattr(cell, field.name)
        if value not in (None, ""):
            shown = escape(str(value)) if isinstance(value, str) else f"{value:.5g}"
            lines.append(f"{field.name.replace('_', ' ')}: {shown}")
    return "<br>".join(lines)


def _kind(axis: Axis) -> str:
    return "log" if axis.logarithmic else "linear"


def _edges(axis: Axis) -> Numbers:
    """Between the values, and as far beyond the last ones."""
    values = np.log(axis.values) if axis.logarithmic else np.asarray(axis.values, dtype=np.float64)
    middle = (values[1:] + values[:-1]) / 2
    edges = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return np.exp(edges) if axis.logarithmic else edges


def _crosses(gain: Numbers) -> bool:
    known = gain[np.isfinite(gain)]
    return bool(known.size) and bool((known < 1).any() and (known > 1).any())


def _draw_outcomes(axis: Axes, picture: Picture) -> None:
    shades = ListedColormap([COLOURS[kind] for kind in KINDS])
    norm = BoundaryNorm(np.arange(len(KINDS) + 1) - 0.5, len(KINDS))
    kinds = picture.map(lambda cell: None if cell.outcome == REFUSED else KINDS.index(cell.outcome))
    axis.pcolormesh(_edges(picture.x), _edges(picture.y), kinds, cmap=shades, norm=norm)
    counts = Counter(cell.outcome for cell in picture.cells)
    handles = [
        Patch(
            facecolor=COLOURS[kind],
            edgecolor="#888888",
            hatch=HATCH if kind == REFUSED else None,
            label=f"{kind} ({counts[kind] / len(picture.cells):.1%})",
        )
        for kind in KINDS
        if counts[kind]
    ]
    axis.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize="small"
    )


def _draw_steps(figure: Figure, axis: Axes, picture: Picture) -> None:
    steps = picture.map(lambda cell: cell.steps)
    mesh = axis.pcolormesh(_edges(picture.x), _edges(picture.y), steps, cmap=SEQUENTIAL)
    figure.colorbar(mesh, ax=axis, label="steps, mean of those that settle (white: none)")


def _draw_loop_gain(figure: Figure, axis: Axes, picture: Picture) -> None:
    gain = picture.map(lambda cell: cell.loop_gain)
    known = gain[np.isfinite(gain)]
    if not known.size:
        axis.text(0.5, 0.5, "not predicted", ha="center", transform=axis.transAxes)
        return
    norm = LogNorm(10**-_DECADES, 10**_DECADES)
    shown = np.clip(gain, 10**-_DECADES, 10**_DECADES)
    mesh = axis.pcolormesh(_edges(picture.x), _edges(picture.y), shown, cmap=DIVERGING, norm=norm)
    figure.colorbar(mesh, ax=axis, label="gΛ (black line: 1, below which theory is certain)", extend="both")
    if _crosses(gain):
        axis.contour(picture.x.values, picture.y.values, gain, levels=[1], colors=BLACK, linewidths=1.8)
    stable = picture.map(lambda cell: cell.predicted_stable)
    known = stable[np.isfinite(stable)]
    if (known < 0.5).any() and (known > 0.5).any():
        axis.contour(
            picture.x.values, picture.y.values, stable, levels=[0.5], colors=BLACK, linewidths=1.8, linestyles="--"
        )
        axis.plot([], [], color=BLACK, linestyle="--", label="predicted boundary")
        axis.legend(loc="upper right", fontsize="small")


def _draw_disagreement(figure: Figure, axis: Axes, picture: Picture) -> None:
    mistaken = picture.map(_mistaken)
    mesh = axis.pcolormesh(_edges(picture.x), _edges(picture.y), mistaken, cmap=DIVERGING, vmin=-1, vmax=1)
    bar = figure.colorbar(mesh, ax=axis, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.set_label("share of samples on which theory errs")
    bar.ax.set_yticklabels(["1: stable,\nnot predicted", "0.5", "0: right", "0.5", "1: unstable,\nnot predicted"])


def _hatch(axis: Axes, picture: Picture) -> None:
    """Mark the points that the scenario refuses, and leave others white where there is nothing to show."""
    axis.patch.set(hatch=HATCH, edgecolor="#AAAAAA", facecolor="white")
    allowed = picture.map(lambda cell: None if cell.outcome == REFUSED else 0.0)
    axis.pcolormesh(_edges(picture.x), _edges(picture.y), allowed, cmap=ListedColormap(["white"]))
