"""The page's interactive figures, in plotly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analogdp.reports.cells import DEVICES_IN_A_ROW, CrossbarSummary, device_titles, largest
from analogdp.reports.curves import Chart, Curve
from analogdp.reports.histograms import Histogram
from analogdp.reports.programming import ProgrammingSummary
from analogdp.reports.source import Metrics
from analogdp.reports.style import BLACK, DIVERGING, GREY, MINUS, MOST_LINES, PLUS, SEQUENTIAL, prefix
from analogdp.reports.traces import TraceChart

_FONT = {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 13, "color": BLACK}
_LINES = {"showline": True, "linecolor": GREY, "gridcolor": "#e8eaee", "zeroline": False}
_AXIS = {**_LINES, "ticks": "outside", "tickcolor": GREY}
_MOST_TILE_LINES = 16
_MOST_EPOCH_TICKS = 21

# Shares of the width: even thirds, or maps with room for a scale of colours beside the second and the third.
_EVEN = ((0.0, 0.28), (0.36, 0.64), (0.72, 1.0))
_MAPS = ((0.0, 0.25), (0.3, 0.55), (0.69, 0.94))


def chart_figure(chart: Chart, metrics: Metrics) -> go.Figure:
    """Quantities over the epochs: the mean over chips as a line, every chip as a thin one."""
    figure = make_subplots(rows=1, cols=len(chart.panels), horizontal_spacing=0.09)
    for column, panel in enumerate(chart.panels, start=1):
        for curve in panel.curves:
            for trace in _traces(curve, metrics):
                figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(
            title="epoch", dtick=1 if len(metrics.epochs) <= _MOST_EPOCH_TICKS else None, row=1, col=column
        )
        kind = "log" if panel.logarithmic else "linear"
        figure.update_yaxes(title=panel.label, type=kind, range=panel.limits, row=1, col=column)
        if panel.from_zero:
            figure.update_yaxes(rangemode="tozero", row=1, col=column)
        if panel.logarithmic:
            figure.update_yaxes(dtick="D2", minorloglabels="complete", row=1, col=column)
    figure = styled(figure, 340)
    figure.update_layout(legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"})
    return figure


def trace_figure(chart: TraceChart) -> go.Figure:
    """Units over the time since the samples were presented; a click on a unit's name hides it everywhere."""
    titles = [presentation.title for presentation in chart.presentations]
    figure = make_subplots(rows=1, cols=len(titles), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.03)
    for column, presentation in enumerate(chart.presentations, start=1):
        for trace in presentation.traces:
            line = go.Scatter(
                x=presentation.times,
                y=trace.values.astype(np.float32),
                name=trace.unit,
                legendgroup=trace.unit,
                showlegend=column == 1 and trace.dash == "solid",
                mode="lines",
                line={"color": trace.colour, "width": 1.5, "dash": trace.dash},
                hovertemplate=f"{trace.compartment} at %{{x:.4g}}: %{{y:.4g}}",
            )
            figure.add_trace(line, row=1, col=column)
        figure.update_xaxes(title=chart.axis, row=1, col=column)
    figure.update_yaxes(title=chart.quantity, row=1, col=1)
    figure = styled(figure, 380)
    figure.update_layout(legend={"x": 1.02, "xanchor": "left"}, margin={"r": 100})
    return figure


def distribution_figure(summary: CrossbarSummary) -> go.Figure:
    """Over all cells and chips: conductances, target against achieved weights, and their difference."""
    figure = _panels(_EVEN, ("Conductances", "Target and achieved", "Error"))
    factor, letter = prefix(summary.high)
    for trace in _pair(summary.conductances, factor):
        figure.add_trace(trace, row=1, col=1)
    for bound in (summary.low, summary.high):
        figure.add_vline(x=bound / factor, line={"color": GREY, "dash": "dot", "width": 1.5}, row=1, col=1)
    if summary.reference is not None:
        figure.add_vline(x=summary.reference / factor, line={"color": MINUS, "width": 1.5}, row=1, col=1)
    figure.add_trace(_agreement(summary), row=1, col=2)
    ends = summary.agreement_edges[[0, -1]]
    thin = {"color": PLUS, "width": 1}
    identity = go.Scatter(x=ends, y=ends, mode="lines", line=thin, showlegend=False, hoverinfo="skip")
    figure.add_trace(identity, row=1, col=2)
    figure.add_trace(_bars(summary.error, "error", "error", GREY, 1.0, legend=False), row=1, col=3)
    titles = (f"conductance ({letter}S)", "target weight", "achieved − target weight")
    for column, title in enumerate(titles, start=1):
        figure.update_xaxes(title=title, row=1, col=column)
    for column, title in enumerate(("cells", "achieved weight", "pairs"), start=1):
        figure.update_yaxes(title=title, row=1, col=column)
    return styled(figure, 360, legend_right=_EVEN[0][1])


def device_figure(summary: CrossbarSummary) -> go.Figure:
    """Over all cells and chips: conductances of each device of a cell, on equal axes."""
    columns = min(len(summary.devices), DEVICES_IN_A_ROW)
    rows = -(-len(summary.devices) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=device_titles(summary),
        shared_yaxes="all",
        horizontal_spacing=0.03,
        vertical_spacing=0.3 / rows,
    )
    factor, letter = prefix(summary.high)
    for place, each in enumerate(summary.devices):
        row, column = place // columns + 1, place % columns + 1
        for trace in _pair(each, factor, legend=place == 0):
            figure.add_trace(trace, row=row, col=column)
        lowest = place + columns >= len(summary.devices)
        figure.update_xaxes(title=f"conductance ({letter}S)" if lowest else None, row=row, col=column)
    figure.update_yaxes(title="cells", col=1)
    return styled(figure, 140 + 220 * rows)


def programming_figure(programming: ProgrammingSummary) -> go.Figure:
    """Over all devices and chips: pulses, and how far off they left devices and weights."""
    figure = _panels(_EVEN, ("Pulses per device", "Error of devices", "Error of weights"))
    for trace in _pair(programming.pulses, 1.0):
        figure.add_trace(trace, row=1, col=1)
    for trace in _pair(programming.device_error, 1.0, legend=False):
        figure.add_trace(trace, row=1, col=2)
    figure.add_trace(_bars(programming.weight_error, "error", "error", GREY, 1.0, legend=False), row=1, col=3)
    if programming.tolerance is not None:
        for bound in (-100 * programming.tolerance, 100 * programming.tolerance):
            figure.add_vline(x=bound, line={"color": GREY, "dash": "dot", "width": 1.5}, row=1, col=2)
    panels = (
        (programming.pulses, "pulses", "devices"),
        (programming.device_error, "programmed − wanted (% of the range)", "devices"),
        (programming.weight_error, "programmed − wanted weight", "pairs"),
    )
    for column, (histogram, title, counted) in enumerate(panels, start=1):
        figure.update_xaxes(title=title, row=1, col=column)
        # An axis that fits itself would begin at the smallest count and hide the bars that have it.
        reach = [math.log10(0.7), math.log10(1.5 * max(histogram.most, 1))]
        figure.update_yaxes(title=counted, type="log", dtick=1, range=reach, row=1, col=column)
    return styled(figure, 360, legend_right=_EVEN[0][1])


def weight_maps(summary: CrossbarSummary) -> go.Figure:
    """For each chip: target weights, achieved weights and their difference, zero being white."""
    figure = _panels(_MAPS, ("Target weights", "Achieved weights", "Achieved − target"))
    _add_maps(figure, summary, ("target", "achieved", "difference"), ("coloraxis", "coloraxis", "coloraxis2"))
    reach, error = largest(summary.maps, "target", "achieved"), largest(summary.maps, "difference")
    figure.update_layout(
        coloraxis=_colours(DIVERGING, -reach, reach, _MAPS[1][1]),
        coloraxis2=_colours(DIVERGING, -error, error, _MAPS[2][1]),
    )
    return styled(figure, 430)


def write_maps(summary: CrossbarSummary) -> go.Figure:
    """For each chip: how often each cell was written; and the distribution of that over all chips."""
    panels = (*_MAPS[:2], (_MAPS[2][0], 1.0))
    figure = _panels(panels, ("Pulses on G+ cells", "Pulses on G− cells", "Pulses per cell, all chips"))
    _add_maps(figure, summary, ("plus_writes", "minus_writes"), ("coloraxis", "coloraxis"))
    for trace in _pair(summary.writes, 1.0):
        figure.add_trace(trace, row=1, col=3)
    figure.update_xaxes(title="pulses", row=1, col=3)
    figure.update_yaxes(title="cells", row=1, col=3)
    most = largest(summary.maps, "plus_writes", "minus_writes")
    figure.update_layout(coloraxis=_colours(SEQUENTIAL, 0, most, panels[1][1]))
    return styled(figure, 430, legend_right=1.0)


def _panels(extents: Sequence[tuple[float, float]], titles: Sequence[str]) -> go.Figure:
    """Axes side by side, over the given shares of the width, each under its title."""
    figure = make_subplots(rows=1, cols=len(extents), subplot_titles=titles)
    for column, extent in enumerate(extents, start=1):
        figure.update_xaxes(domain=extent, row=1, col=column)
        figure.layout.annotations[column - 1].x = sum(extent) / 2
    return figure


def _traces(curve: Curve, metrics: Metrics) -> list[go.Scatter]:
    """The chips' thin lines, as one trace with gaps, and the mean."""
    traces = []
    chips = curve.values.shape[1]
    if 1 < chips <= MOST_LINES:
        gap = np.full((1, chips), np.nan)
        times = np.broadcast_to(metrics.epochs[:, None], curve.values.shape)
        traces.append(
            go.Scatter(
                x=np.concatenate((times, gap)).T.ravel(),
                y=np.concatenate((curve.values, gap)).T.ravel(),
                mode="lines",
                line={"color": curve.colour, "width": 0.8},
                opacity=0.35,
                hoverinfo="skip",
                showlegend=False,
            )
        )
    label = curve.label if chips == 1 else f"{curve.label} (mean)"
    traces.append(
        go.Scatter(
            x=metrics.epochs,
            y=curve.mean,
            name=label,
            mode="lines+markers",
            line={"color": curve.colour, "width": 2.2, "dash": curve.dash},
            marker={"size": 5},
            hovertemplate="epoch %{x}: %{y:.4g}",
        )
    )
    return traces


def _pair(histogram: Histogram, factor: float, legend: bool = True) -> list[go.Bar]:
    """The plus and the minus cells of pairs, one over the other, or those of them that there are."""
    return [
        _bars(histogram, name, label, colour, factor, legend)
        for name, label, colour in (("plus", "G+", PLUS), ("minus", "G−", MINUS))
        if name in histogram.counts
    ]


def _bars(histogram: Histogram, name: str, label: str, colour: str, factor: float, legend: bool = True) -> go.Bar:
    widths = np.diff(histogram.edges) / factor
    return go.Bar(
        x=histogram.centres / factor,
        y=histogram.counts[name],
        width=widths,
        name=label,
        marker={"color": colour, "line": {"width": 0}},
        opacity=0.6,
        showlegend=legend,
        hovertemplate="%{x:.4g}: %{y}",
    )


def _agreement(summary: CrossbarSummary) -> go.Heatmap:
    centres = (summary.agreement_edges[1:] + summary.agreement_edges[:-1]) / 2
    return go.Heatmap(
        x=centres,
        y=centres,
        z=summary.agreement_shade.astype(np.float32),
        customdata=summary.agreement.T.astype(np.int32),
        colorscale="Blues",
        zmin=-0.7,
        showscale=False,
        hovertemplate="target %{x:.3g}, achieved %{y:.3g}: %{customdata} pairs<extra></extra>",
    )


def _add_maps(figure: go.Figure, summary: CrossbarSummary, names: Sequence[str], axes: Sequence[str]) -> None:
    """A heat map for each chip and name; those of the first chip are shown, the page's selector shows others."""
    first = next(iter(summary.maps))
    for (chip, maps), (column, name) in itertools.product(summary.maps.items(), enumerate(names, start=1)):
        trace = go.Heatmap(
            z=maps[name].astype(np.float32),
            x0=(summary.block[1] - 1) / 2,
            dx=summary.block[1],
            y0=(summary.block[0] - 1) / 2,
            dy=summary.block[0],
            coloraxis=axes[column - 1],
            visible=chip == first,
            meta={"chip": chip},
            hovertemplate="word line %{y}, bit line %{x}: %{z:.4g}<extra></extra>",
        )
        figure.add_trace(trace, row=1, col=column)
    for column in range(1, len(names) + 1):
        figure.update_xaxes(title="bit line (output)", showgrid=False, row=1, col=column)
        figure.update_yaxes(title="word line (input)" if column == 1 else None, showgrid=False, row=1, col=column)
        figure.update_yaxes(autorange="reversed", row=1, col=column)
        _add_tile_borders(figure, summary, column)


def _add_tile_borders(figure: go.Figure, summary: CrossbarSummary, column: int) -> None:
    if max(summary.grid) > _MOST_TILE_LINES:
        return
    line = {"color": BLACK, "width": 0.8, "dash": "dot"}
    for row in range(1, summary.grid[0]):
        figure.add_hline(y=row * summary.tile[0] - 0.5, line=line, row=1, col=column)
    for row in range(1, summary.grid[1]):
        figure.add_vline(x=row * summary.tile[1] - 0.5, line=line, row=1, col=column)


def _colours(scale: str, low: float, high: float, right: float) -> dict[str, object]:
    bar = {"x": right + 0.008, "xanchor": "left", "xpad": 0, "ypad": 0, "thickness": 11, "len": 1.0, "outlinewidth": 0}
    return {"colorscale": scale, "cmin": low, "cmax": high, "colorbar": bar}


def styled(figure: go.Figure, height: int, legend_right: float = 1.0) -> go.Figure:
    """A figure with this page's axes, fonts and margins; ``height`` in pixels."""
    figure.update_xaxes(**_AXIS)
    figure.update_yaxes(**_AXIS)
    figure.update_annotations(font={"size": 14})
    figure.update_layout(
        template="none",
        height=height,
        font=_FONT,
        margin={"l": 70, "r": 20, "t": 45, "b": 55},
        paper_bgcolor="white",
        plot_bgcolor="white",
        barmode="overlay",
        bargap=0,
        legend={"x": legend_right, "xanchor": "right", "y": 1, "yanchor": "top", "bgcolor": "rgba(255,255,255,0.7)"},
    )
    return figure
