"""The stability of inference while a network learned: its loop gain, the growth of deviations, and steps to settle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from plotly.subplots import make_subplots

from analogdp.reports.figures import styled
from analogdp.reports.pictures import canvas
from analogdp.reports.source import RunFiles, Values, by_chip, read_series
from analogdp.reports.style import BLUE, GREEN, GREY, MOST_LINES, ORANGE, VERMILLION
from analogdp.runs.directory import STABILITY, STABILITY_JOURNAL

MOST_WARNINGS = 10
"""Told one by one."""


@dataclass(frozen=True)
class Curve:
    """A column over the updates."""

    column: str
    label: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """Curves that share axes, and the value at which stability ends, if there is one."""

    title: str
    curves: tuple[Curve, ...]
    boundary: float | None = None


PANELS = (
    Panel(
        "Loop gain",
        (Curve("loop_gain", "largest", BLUE), Curve("loop_gain_mean", "mean over samples", ORANGE)),
        1.0,
    ),
    Panel("Growth per step", (Curve("growth", "leading mode", VERMILLION),), 1.0),
    Panel("Steps to settle", (Curve("steps_predicted", "predicted", GREEN), Curve("steps_taken", "taken", GREY))),
)
COLUMNS = ("update", "chip", "approach", "converged", *(curve.column for panel in PANELS for curve in panel.curves))


@dataclass(frozen=True)
class StabilityCourse:
    """What was found of each analysed batch.

    Attributes:
        updates: weight updates done before each batch ``(batches,)``.
        chips: index of each chip.
        columns: ``(batches, chips)`` each; NaN where there is no finite value.
        warn: the share of the way to the end of stability that calls for a warning.
    """

    updates: Values
    chips: tuple[int, ...]
    columns: Mapping[str, Values]
    warn: float

    def worst(self, column: str) -> Values:
        """The largest value over chips ``(batches,)``; NaN where no chip has one."""
        largest: Values = np.fmax.reduce(self.columns[column], axis=1)
        return largest

    @property
    def warnings(self) -> list[tuple[int, int]]:
        """Updates and chips at which a warning was due: near, and not so at the batch before."""
        near = self.columns["approach"] >= self.warn
        begins = near & ~np.vstack([np.zeros_like(near[:1]), near[:-1]])
        return [(int(self.updates[row]), self.chips[column]) for row, column in np.argwhere(begins)]


def read_stability(run: RunFiles) -> StabilityCourse | None:
    """The course of a run; None if it was not measured.

    Raises:
        InputError: the file is damaged.
    """
    rows = read_series(run.directory / STABILITY, run.directory / STABILITY_JOURNAL, COLUMNS)
    if rows is None:
        return None
    return StabilityCourse(*by_chip(rows), warn=float(run.scenario["measure"]["stability"]["warn"]))


def draw_stability(course: StabilityCourse) -> Figure:
    """The three panels as a picture: thick lines are the worst chips, thin ones single chips."""
    figure, axes = canvas(13.5, 3.6, len(PANELS))
    for axis, panel in zip(axes, PANELS, strict=True):
        _draw_panel(axis, panel, course)
        axis.sharex(axes[0])
    figure.suptitle("Stability of inference")
    return figure


def _draw_panel(axis: Axes, panel: Panel, course: StabilityCourse) -> None:
    for curve in panel.curves:
        if 1 < len(course.chips) <= MOST_LINES:
            axis.plot(course.updates, course.columns[curve.column], color=curve.colour, linewidth=0.6, alpha=0.35)
        axis.plot(
            course.updates, course.worst(curve.column), label=curve.label, color=curve.colour, marker="o", markersize=3
        )
    if panel.boundary is not None:
        axis.axhline(panel.boundary, color=GREY, linestyle=":")
    axis.set(title=panel.title, xlabel="weight updates")
    axis.set_ylim(bottom=0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(color="#e8eaee")
    axis.legend(frameon=False)


def stability_figure(course: StabilityCourse) -> go.Figure:
    """The same for the page."""
    figure = make_subplots(
        rows=1,
        cols=len(PANELS),
        subplot_titles=[panel.title for panel in PANELS],
        horizontal_spacing=0.07,
        shared_xaxes="all",
    )
    for place, panel in enumerate(PANELS, start=1):
        for curve in panel.curves:
            for line in _lines(curve, course):
                figure.add_trace(line, row=1, col=place)
        if panel.boundary is not None:
            figure.add_hline(y=panel.boundary, line={"color": GREY, "dash": "dot", "width": 1.5}, row=1, col=place)
        figure.update_xaxes(title="weight updates", row=1, col=place)
        figure.update_yaxes(rangemode="tozero", row=1, col=place)
    figure = styled(figure, 400)
    figure.update_layout(
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.35, "yanchor": "top"}, margin={"b": 105}
    )
    return figure


def _lines(curve: Curve, course: StabilityCourse) -> list[go.Scatter]:
    """The worst chips' line, after those of all chips."""
    name = curve.column.replace("_", " ")
    single = (
        course.columns[curve.column] if 1 < len(course.chips) <= MOST_LINES else course.columns[curve.column][:, :0]
    )
    thin = [
        go.Scatter(
            x=course.updates,
            y=values,
            mode="lines",
            line={"color": curve.colour, "width": 0.6},
            opacity=0.35,
            showlegend=False,
            hoverinfo="skip",
        )
        for values in single.T
    ]
    worst = go.Scatter(
        x=course.updates,
        y=course.worst(curve.column),
        name=name,
        mode="lines+markers",
        line={"color": curve.colour},
        marker={"size": 5},
        hovertemplate=f"update %{{x}}: {curve.label} %{{y:.4g}}<extra></extra>",
    )
    return [*thin, worst]


def stability_section(course: StabilityCourse, place: str) -> str:
    """The page's section; ``place`` is where its figure goes."""
    many = " Thick lines are the worst of the chips, thin ones single chips." if len(course.chips) > 1 else ""
    text = (
        "The nudged network as it was at some updates, linearised where it is at rest for the first samples of the batch: the "
        "loop gain g Λ, below 1 of which smooth networks are stable, and what the leading mode is multiplied by in a step "
        "of the clock, stable below 1 (dotted). Steps are those of the slowest of these samples, as that growth predicts them "
        f"and as the simulation took them; a gap is one that did not settle.{many}"
    )
    missed = int((course.columns["converged"] == 0).sum())
    if missed:
        text += f" In {missed} of {course.columns['converged'].size} analyses the eigenvalues did not converge."
    html = f'<h2>Stability of inference</h2>\n<p class="caption">{escape(text)}</p>\n{place}'
    return f"{html}\n<p>{escape(_told(course))}</p>"


def _told(course: StabilityCourse) -> str:
    """When inference came near to the end of stability, in words."""
    warnings, share = course.warnings, f"{course.warn:.0%} of the way to where stability ends"
    if not warnings:
        return f"Inference never went {share}."
    told = ", ".join(f"at update {update} (chip {chip})" for update, chip in warnings[:MOST_WARNINGS])
    more = f" and {len(warnings) - MOST_WARNINGS} times more" if len(warnings) > MOST_WARNINGS else ""
    return f"Inference had gone {share} {told}{more}."
