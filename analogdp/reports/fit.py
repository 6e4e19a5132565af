"""The picture of a fit: traces with their mean trajectories, steps, prediction errors, and devices among each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import norm

from analogdp.fitting import Fit, Trace
from analogdp.fitting.filtering import course
from analogdp.fitting.goodness import mean_steps
from analogdp.fitting.regression import steps_and_bounds
from analogdp.reports.pictures import RESOLUTION
from analogdp.reports.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, prefix

GRID = "#e8eaee"
MOST_DEVICES = 6
_POPULATION = (("step up", BLUE), ("step down", VERMILLION), ("upper bound", GREEN), ("lower bound", ORANGE))


def draw_fit(fit: Fit, traces: Sequence[Trace], title: str) -> Figure:
    """Up to six devices above; the mean step, the prediction errors and the devices' own values below.

    Args:
        fit: of a model to ``traces``.
        traces: all that were fitted, in their order.
        title: above the panels.
    """
    shown = traces[:MOST_DEVICES]
    rows = 1 + math.ceil(len(shown) / 3)
    figure = Figure(figsize=(13.5, 3.2 * rows), dpi=RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, 12)
    factor, letter = prefix(max(float(trace.conductances.max()) for trace in shown))
    modelled = course(fit.estimate.table, fit.estimate.reads) * fit.estimate.reads.half + fit.estimate.reads.centre
    first = None
    for place, trace in enumerate(shown):
        row, column = divmod(place, 3)
        axis = figure.add_subplot(grid[row, 4 * column : 4 * column + 4], sharey=first)
        first = first or axis
        _draw_trace(axis, trace, modelled[: len(trace.conductances), place], factor)
        axis.set_ylabel(f"conductance ({letter}S)")
    _draw_steps(figure.add_subplot(grid[-1, :4]), fit, factor, letter)
    _draw_surprises(figure.add_subplot(grid[-1, 4:8]), fit)
    _draw_population(figure.add_subplot(grid[-1, 8:]), fit)
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color=GRID)
        axis.set_axisbelow(True)
    figure.suptitle(title, parse_math=False)
    return figure


def _draw_trace(axis: Axes, trace: Trace, modelled: np.ndarray, factor: float) -> None:
    number = np.arange(len(trace.conductances))
    axis.plot(number, trace.conductances / factor, ".", color=BLUE, markersize=2.5, label="read")
    axis.plot(number, modelled / factor, color=VERMILLION, linewidth=1.2, label="mean trajectory")
    axis.set_title(f"Device {trace.device}", parse_math=False)
    axis.set_xlabel("pulse")
    axis.legend(frameon=False, fontsize="small")


def _draw_steps(axis: Axes, fit: Fit, factor: float, letter: str) -> None:
    """Bins of the devices' own ranges, drawn over the mean range."""
    share, measured, modelled, error, _ = mean_steps(fit.estimate)
    low, high = fit.population.low.value, fit.population.high.value
    conductance = (low + share * (high - low)) / factor
    scale = fit.estimate.reads.half / factor
    for direction, name, colour in ((1, "up", BLUE), (0, "down", VERMILLION)):
        bars = 2 * error[direction] * scale
        axis.errorbar(conductance, measured[direction] * scale, bars, fmt="o", color=colour, markersize=3.5, label=name)
        axis.plot(conductance, modelled[direction] * scale, color=colour, linewidth=1.4, label=f"{name}, model")
    axis.set(title=f"Mean step, R² {fit.step_score:.3f}", xlabel=f"conductance ({letter}S)")
    axis.set_ylabel(f"size of a step ({letter}S)")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize="small", ncols=2)


def _draw_surprises(axis: Axes, fit: Fit) -> None:
    estimate = fit.estimate
    standard = estimate.filtered.standardised[estimate.reads.there]
    axis.hist(np.clip(standard, -5, 5), bins=61, range=(-5, 5), density=True, color=GREY, alpha=0.7, label="pulses")
    line = np.linspace(-5, 5, 200)
    axis.plot(line, norm.pdf(line), color=BLACK, linewidth=1.2, label="normal")
    told = f"mean square {fit.surprise:.2f}, lag 1 {fit.correlation:+.2f}"
    axis.set(title=f"Prediction errors: {told}", xlabel="read − expected, in standard deviations", ylabel="density")
    axis.legend(frameon=False, fontsize="small")


def _draw_population(axis: Axes, fit: Fit) -> None:
    """Every device's steps and bounds relative to their means."""
    values = steps_and_bounds(fit.estimate.own)
    relative = values / values.mean(axis=0)
    reach = max(0.05, 1.1 * float(np.abs(relative - 1).max()))
    edges = np.linspace(1 - reach, 1 + reach, 17).tolist()
    for column, (name, colour) in enumerate(_POPULATION):
        axis.hist(relative[:, column], edges, histtype="step", linewidth=1.5, color=colour, label=name)
    axis.set(title="Device to device", xlabel="relative to the mean", ylabel="devices")
    axis.legend(frameon=False, fontsize="small")
