"""The pictures of a phase diagram: what becomes of samples, how fast, what theory says, and where it is wrong."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from html import escape

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize
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
    "undecided": "#C8C8C8",
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
    "undecided": "undecided: seen too few times, or for too short",
    REFUSED: "refused by the scenario",
}
_GAINS = (0.03, 0.1, 0.3, 1, 3, 10, 30)
"""Written beside the colours of a loop gain."""
_MOST_GROWTH = 0.5
"""Above and below 1 that colours of a growth tell apart."""
_LINE, _REASON = 150, 200
"""Letters of a note in a line of the picture, and of a reason that notes quote."""
_CAPTION = (
    "Solid line: the loop gain gΛ is 1. Dashed line: half of the samples are predicted to be stable. Both are of {theory}. "
    "Points with a stroke are refused by the scenario; white ones without have no such number."
)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """What is shown.

    Attributes:
        name: of the scenario.
        x, y: the axes.
        cells: row by row, x varying fastest.
        ignored: what predictions leave out of account.
        noisy: whether something fluctuates in time, so that nothing comes to rest.
        weights: whose weights these are, if trained; or empty.
    """

    name: str
    x: Axis
    y: Axis
    cells: Sequence[Cell]
    ignored: Sequence[str]
    noisy: bool = False
    weights: str = ""

    @property
    def title(self) -> str:
        """Above the panels."""
        return f"{self.name}: stability over {self.x.path} and {self.y.path}"

    @property
    def titles(self) -> tuple[str, str, str, str]:
        """Of the panels."""
        why = "noise: no rest" if self.noisy else "none settled in its time"
        pace = f"Growth per step, measured ({why})" if self.shows_growth else "Steps to settle, measured"
        return ("Measured outcome", pace, "Loop gain gΛ, predicted", "Theory against simulation")

    @property
    def shows_growth(self) -> bool:
        """Whether the pace is told by growth, because there are no steps to settle."""
        return self.noisy or all(cell.steps is None for cell in self.cells)

    @property
    def theory(self) -> str:
        """Where networks are linearised."""
        rest = _average(cell.linearised_at_rest for cell in self.cells) or 0.0
        if rest == 0:
            return "linear theory at the free state"
        return "linear theory at rest" + (f" ({rest:.1%} of the samples, else at the free state)" if rest < 1 else "")

    @property
    def note(self) -> str:
        """What predictions are of and how often they are right, and what is missing: a line each."""
        return "\n".join(line for line in (self._prediction, self._gaps, self._refusals, self.weights) if line)

    @property
    def _prediction(self) -> str:
        right = _average(cell.agreement for cell in self.cells)
        if right is None:
            reasons = Counter(cell.reason for cell in self.cells if cell.outcome != REFUSED and cell.reason)
            return reasons.most_common(1)[0][0] if reasons else "not predicted"
        without = f"; predicted without: {', '.join(self.ignored)}" if self.ignored else ""
        return f"{self.theory} is right about {right:.1%} of the samples{without}"

    @property
    def _gaps(self) -> str:
        converged = _average(cell.converged for cell in self.cells)
        missed = 0.0 if converged is None else 1 - converged
        undecided = _average(cell.undecided for cell in self.cells) or 0.0
        found = (
            (missed, "of the eigenvalues did not converge"),
            (undecided, "of the samples are undecided: seen too few times, or for too short"),
        )
        return "; ".join(f"{share:.1%} {what}" for share, what in found if share > 0)

    @property
    def _refusals(self) -> str:
        """How many points are refused, and mostly why: reasons that differ in their numbers alone are one."""
        reasons: dict[str, list[str]] = {}
        for cell in self.cells:
            if cell.outcome == REFUSED:
                reasons.setdefault(re.sub(r"\d[-+.e\d]*", "", cell.reason), []).append(cell.reason)
        if not reasons:
            return ""
        most = max(reasons.values(), key=len)
        count = sum(map(len, reasons.values()))
        return f"{count} of {len(self.cells)} points are refused; {len(most)} of them like this: {_shortened(most[0])}"

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
    _draw_pace(figure, axes[1], picture)
    _draw_loop_gain(figure, axes[2], picture)
    _draw_disagreement(figure, axes[3], picture)
    for axis, title in zip(axes, picture.titles, strict=True):
        axis.set(title=title, xlabel=picture.x.label, ylabel=picture.y.label)
        for scale, own in ((axis.set_xscale, picture.x), (axis.set_yscale, picture.y)):
            scale("log" if own.logarithmic else "linear")
        axis.set_xlim(*_edges(picture.x)[[0, -1]])
        axis.set_ylim(*_edges(picture.y)[[0, -1]])
    lines = [part for line in picture.note.split("\n") for part in textwrap.wrap(line, _LINE)]
    # Empty lines of the title make room for the note, which is smaller.
    figure.suptitle(picture.title + "\n" * len(lines), parse_math=False)
    figure.text(0.5, 0.965, "\n".join(lines), ha="center", va="top", fontsize="small", color=BLACK, parse_math=False)
    return figure


def diagram_page(picture: Picture) -> str:
    """The page: the same panels, with all numbers of a point where the mouse is."""
    counts = Counter(cell.outcome for cell in picture.cells)
    rows = "".join(
        f"<tr><th>{escape(_WORDS[kind])}</th><td>{counts[kind] / len(picture.cells):.1%}</td></tr>"
        for kind in KINDS
        if counts[kind]
    )
    note = "<br>".join(map(escape, picture.note.split("\n")))
    parts = [
        f'<header>\n<h1>{escape(picture.title)}</h1>\n<p class="description">{note}</p>\n</header>\n<main>',
        f"<table>{rows}</table>",
        place("diagram", picture.title),
        f'<p class="caption">{escape(_CAPTION.format(theory=picture.theory))}</p>',
    ]
    return document(f"{picture.title} – analogdp", parts, {"diagram": diagram_figure(picture)}, "diagram.png")


def diagram_figure(picture: Picture) -> go.Figure:
    """The panels in plotly."""
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=picture.titles, horizontal_spacing=0.24, vertical_spacing=0.13
    )
    hover = np.array([_hover(picture, cell) for cell in picture.cells]).reshape(picture.map(lambda cell: cell.x).shape)
    # All numbers stand in one panel: four times the text would be most of the page.
    brief = "%{x:.4g}, %{y:.4g}: %{customdata:.4g}<extra></extra>"
    others = (_pace(picture), picture.map(lambda cell: cell.loop_gain), picture.map(_mistaken))
    texts: list[dict[str, object]] = [
        {"text": hover, "hoverinfo": "text"},
        *({"customdata": shown, "hovertemplate": brief} for shown in others),
    ]
    for number, ((values, scale, bar), text) in enumerate(zip(_panels(picture), texts, strict=True)):
        row, column = number // 2 + 1, number % 2 + 1
        beside = {"len": 0.4, "y": 1.38 - 0.58 * row, "x": 0.62 * column - 0.235, "thickness": 12}
        where = {"x": picture.x.values, "y": picture.y.values}
        figure.add_trace(
            go.Heatmap(**where, z=values, colorbar={**bar, **beside}, **text, **scale), row=row, col=column
        )
        figure.add_trace(_strokes(picture), row=row, col=column)
        figure.update_xaxes(title=picture.x.label, type=_kind(picture.x), row=row, col=column)
        figure.update_yaxes(title=picture.y.label, type=_kind(picture.y), row=row, col=column)
    for values, level, dash in _boundaries(picture):
        line = go.Contour(
            x=picture.x.values,
            y=picture.y.values,
            z=values,
            contours={"type": "constraint", "operation": "=", "value": level},
            line={"color": BLACK, "width": 2, "dash": dash},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_trace(line, row=2, col=1)
    return styled(figure, 860)


def _panels(picture: Picture) -> list[tuple[Numbers, dict[str, object], dict[str, object]]]:
    """For each panel its numbers, their colours and what is written beside these."""
    kinds = [kind for kind in KINDS if any(cell.outcome == kind for cell in picture.cells)]
    shades = [[(number + step) / len(kinds), COLOURS[kind]] for number, kind in enumerate(kinds) for step in (0, 1)]
    logarithm = np.log10(np.clip(picture.map(lambda cell: cell.loop_gain), 10**-_DECADES, 10**_DECADES))
    errs = ["stable,<br>not predicted", "right", "unstable,<br>not predicted"]
    pace = _pace(picture)
    reach = _reach(pace)
    around: dict[str, object] = {"colorscale": DIVERGING, "zmin": 1 - reach, "zmax": 1 + reach}
    return [
        (
            picture.map(lambda cell: kinds.index(cell.outcome)),
            {"colorscale": shades, "zmin": -0.5, "zmax": len(kinds) - 0.5},
            {"tickvals": [*range(len(kinds))], "ticktext": kinds},
        ),
        (pace, around, {"title": "growth"})
        if picture.shows_growth
        else (pace, {"colorscale": "Cividis", "reversescale": True}, {"title": "steps"}),
        (
            logarithm,
            {"colorscale": DIVERGING, "zmin": -_DECADES, "zmax": _DECADES},
            {"tickvals": [math.log10(gain) for gain in _GAINS], "ticktext": [*map(str, _GAINS)], "title": "gΛ"},
        ),
        (
            picture.map(_mistaken),
            {"colorscale": DIVERGING, "zmin": -1, "zmax": 1},
            {"tickvals": [-1, 0, 1], "ticktext": errs},
        ),
    ]


def _strokes(picture: Picture) -> go.Scatter:
    """A stroke on each refused point: plotly's maps know no hatching."""
    refused = [cell for cell in picture.cells if cell.outcome == REFUSED]
    marker = {"symbol": "line-ne", "size": 7, "line": {"color": "#AAAAAA", "width": 1}}
    x, y = [cell.x for cell in refused], [cell.y for cell in refused]
    return go.Scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)


def _boundaries(picture: Picture) -> list[tuple[Numbers, float, str]]:
    """Where theory sees stability end: numbers, level and dash, of those levels that are crossed."""
    lines = (
        (picture.map(lambda cell: cell.loop_gain), 1.0, "solid"),
        (picture.map(lambda cell: cell.predicted_stable), 0.5, "dash"),
    )
    return [line for line in lines if (line[0] < line[1]).any() and (line[0] > line[1]).any()]


def _pace(picture: Picture) -> Numbers:
    """What tells how fast samples settle: steps, or growth where nothing comes to rest in its time."""
    return picture.map(lambda cell: cell.growth if picture.shows_growth else cell.steps)


def _reach(growth: Numbers) -> float:
    """How far growths are from 1, as far as colours go."""
    farthest = float(np.abs(growth[np.isfinite(growth)] - 1).max(initial=0.0))
    return min(_MOST_GROWTH, farthest) or _MOST_GROWTH


def _average(shares: Iterable[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _REASON else f"{reason[:_REASON].rstrip()} …"


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


def _draw_pace(figure: Figure, axis: Axes, picture: Picture) -> None:
    values = _pace(picture)
    reach = _reach(values)
    norm = Normalize(1 - reach, 1 + reach) if picture.shows_growth else None
    colours = DIVERGING if picture.shows_growth else SEQUENTIAL
    mesh = axis.pcolormesh(_edges(picture.x), _edges(picture.y), values, cmap=colours, norm=norm)
    label = "growth of a distance in a step" if picture.shows_growth else "steps, mean of those that settle"
    figure.colorbar(mesh, ax=axis, label=f"{label} (white: none)")


def _draw_loop_gain(figure: Figure, axis: Axes, picture: Picture) -> None:
    gain = picture.map(lambda cell: cell.loop_gain)
    if not np.isfinite(gain).any():
        axis.text(0.5, 0.5, "not predicted", ha="center", transform=axis.transAxes)
        return
    norm = LogNorm(10**-_DECADES, 10**_DECADES)
    shown = np.clip(gain, 10**-_DECADES, 10**_DECADES)
    mesh = axis.pcolormesh(_edges(picture.x), _edges(picture.y), shown, cmap=DIVERGING, norm=norm)
    figure.colorbar(mesh, ax=axis, label=f"gΛ, {picture.theory}", extend="both")
    for values, level, dash in _boundaries(picture):
        line, label = ("-", "gΛ = 1") if dash == "solid" else ("--", "predicted boundary")
        axis.contour(
            picture.x.values, picture.y.values, values, levels=[level], colors=BLACK, linewidths=1.8, linestyles=line
        )
        axis.plot([], [], color=BLACK, linestyle=line, label=label)
    if axis.lines:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize="small")


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
