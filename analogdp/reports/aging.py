"""How a trained network does over time: the table, the picture and the page's section."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analogdp.analysis.aging import Aging
from analogdp.reports.curves import Chart, Curve, Panel
from analogdp.reports.figures import chart_figure
from analogdp.reports.pictures import draw_chart
from analogdp.reports.source import Metrics
from analogdp.reports.style import BLACK, BLUE, GREEN, GREY, VERMILLION, number, percent, quantity

_UNITS = (("year", 31_557_600.0), ("month", 2_629_800.0), ("day", 86_400.0), ("h", 3600.0), ("min", 60.0))
"""Longest first; a month is a twelfth of a Julian year."""

_MOST_TICKS = 8
_NAMES = {"none": "uncompensated", "global": "global", "column": "per column"}
_LINES = {"none": (VERMILLION, "dot"), "global": (BLUE, "dash"), "column": (GREEN, "solid")}


def in_words(seconds: float) -> str:
    """A time in the largest unit that it fills: ``1 day``, ``2.5 h``, ``30 s``, ``0 s``."""
    for name, unit in _UNITS:
        if seconds >= unit:
            count = f"{seconds / unit:.4g}"
            return f"{count} {name}{'' if count == '1' or name in ('h', 'min') else 's'}"
    return quantity(seconds, "s")


def aging_header(aging: Aging) -> tuple[str, ...]:
    """Of :func:`aging_rows`."""
    return ("after", "conductance", *(_NAMES[name] for name in aging.compensations))


def aging_rows(aging: Aging) -> list[tuple[str, ...]]:
    """A line for each time: change of conductance, and accuracy (for regression loss) by compensation."""
    rows = []
    for moment in aging.moments:
        results = [_of(moment.accuracy or moment.loss, name, bool(moment.accuracy)) for name in aging.compensations]
        change = f"{100 * np.mean(moment.conductance_change):+.2f} %" if moment.after else "-"
        rows.append((in_words(moment.after), change, *results))
    return rows


def aging_caption(aging: Aging) -> str:
    """What the numbers are."""
    what = "Test accuracy" if aging.moments[0].accuracy else "Test loss"
    chips = len(aging.chips)
    spread = f", mean ± standard deviation over {chips} chips" if chips > 1 else ""
    reads = "one read" if aging.reads == 1 else f"the mean of {aging.reads} reads"
    return f"{what} with noise{spread}; line currents for the compensation are {reads}."


def draw_aging(aging: Aging) -> Figure:
    """Accuracy (or loss) and conductance over the logarithm of time; a dotted grey line is the end of training."""
    chart, metrics, beginning = _chart(aging)
    figure = draw_chart(chart, metrics)
    for axis, before in zip(figure.axes, beginning, strict=True):
        axis.axhline(before, color=GREY, linestyle=":", linewidth=1)
        axis.set(xlabel="after training", xscale="log")
        axis.xaxis.set_minor_locator(NullLocator())
        ticks = _ticks(metrics)
        axis.set_xticks(list(ticks), labels=list(ticks.values()))
    return figure


def aging_figure(aging: Aging) -> go.Figure:
    """The same for the page."""
    chart, metrics, beginning = _chart(aging)
    figure, ticks = chart_figure(chart, metrics), _ticks(metrics)
    figure.update_xaxes(
        title="after training", type="log", dtick=None, tickvals=list(ticks), ticktext=list(ticks.values())
    )
    figure.update_traces(hovertemplate="%{x:.4g} s: %{y:.4g}", selector={"mode": "lines+markers"})
    for column, before in enumerate(beginning, start=1):
        figure.add_hline(y=before, line={"color": GREY, "dash": "dot", "width": 1.5}, row=1, col=column)
    return figure


def aging_section(aging: Aging, place: str) -> str:
    """The page's section; ``place`` is where its figure goes."""
    cells = [aging_header(aging), *aging_rows(aging)]
    tags = ["th", *("td" for _ in cells[1:])]
    lines = (
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in zip(tags, cells, strict=True)
    )
    caption = f"{aging_caption(aging)} Dotted grey lines are the end of training."
    table = "\n".join(lines)
    return f'<h2>Aging</h2>\n<p class="caption">{caption}</p>\n{place}\n<table class="grid">\n{table}\n</table>'


def _of(results: Mapping[str, tuple[float, ...]], name: str, accuracy: bool) -> str:
    values = np.array(results[name])
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return (percent if accuracy else number)(float(values.mean()), spread, len(values))


def _chart(aging: Aging) -> tuple[Chart, Metrics, list[float]]:
    """Curves over all times but the end of training, and the mean that each panel has there."""
    first, *later = aging.moments
    classifies = bool(first.accuracy)
    label, factor = ("accuracy (%)", 100.0) if classifies else ("loss per sample", 1.0)
    results = [moment.accuracy if classifies else moment.loss for moment in aging.moments]
    curves = tuple(
        Curve(_NAMES[name], *_LINES[name], factor * np.array([moment[name] for moment in results[1:]]))
        for name in aging.compensations
    )
    change = Curve("all cells", BLACK, "solid", 100 * np.array([moment.conductance_change for moment in later]))
    panels = (Panel(label, curves), Panel("change of conductance (%)", (change,)))
    times = np.array([moment.after for moment in later])
    before = factor * float(np.mean(results[0][aging.compensations[0]]))
    return Chart("aging", "Aging", panels), Metrics(times, times, aging.chips, {}), [before, 0.0]


def _ticks(metrics: Metrics) -> dict[float, str]:
    """Times that are named on the axis."""
    times = metrics.epochs.tolist()
    return {seconds: in_words(seconds) for seconds in times[:: -(-len(times) // _MOST_TICKS)]}
