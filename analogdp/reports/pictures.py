"""The same figures as files: PNG pictures for papers and slides, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analogdp.files import atomic_path
from analogdp.reports.cells import DEVICES_IN_A_ROW, CrossbarSummary, device_titles, largest
from analogdp.reports.curves import Chart, Panel
from analogdp.reports.histograms import Histogram, Values
from analogdp.reports.programming import ProgrammingSummary
from analogdp.reports.source import Metrics
from analogdp.reports.style import DIVERGING, GREY, MINUS, MOST_LINES, PLUS, SEQUENTIAL, prefix
from analogdp.reports.traces import TraceChart

RESOLUTION = 150
_DASHES = {"solid": "-", "dash": "--", "dot": ":"}
_PAIR = {"plus": ("G+", PLUS), "minus": ("G−", MINUS)}


def write_pictures(
    folder: Path,
    charts: Iterable[Chart],
    metrics: Metrics,
    crossbars: Iterable[CrossbarSummary],
    traces: Iterable[TraceChart] = (),
) -> list[Path]:
    """Draw all figures into ``folder``, which is made if need be.

    Returns:
        The files: one for each chart and each record, and three for each crossbar (of its first chip, where chips differ),
        or more if its cells are made up of several devices or were programmed by pulses.
    """
    folder.mkdir(exist_ok=True)
    written = [save_picture(folder / f"{chart.name}.png", draw_chart(chart, metrics)) for chart in charts]
    written += [save_picture(folder / f"{chart.name}.png", draw_traces(chart)) for chart in traces]
    for summary in crossbars:
        for kind, figure in _draw_crossbar(summary):
            written.append(save_picture(folder / f"synapse{summary.layer}_{kind}.png", figure))
    return written


def _draw_crossbar(summary: CrossbarSummary) -> Iterator[tuple[str, Figure]]:
    yield "conductances", draw_distributions(summary)
    yield "weights", draw_weights(summary)
    yield "writes", draw_writes(summary)
    if summary.devices:
        yield "devices", draw_devices(summary)
    if summary.programming is not None:
        yield "programming", draw_programming(summary, summary.programming)


def draw_chart(chart: Chart, metrics: Metrics) -> Figure:
    """Quantities over the epochs: the mean over chips as a thick line, every chip as a thin one."""
    figure, axes = canvas(max(6.4, 5.2 * len(chart.panels)), 3.6, len(chart.panels))
    for axis, panel in zip(axes, chart.panels, strict=True):
        _draw_panel(axis, panel, metrics)
    figure.suptitle(chart.title)
    return figure


def draw_traces(chart: TraceChart) -> Figure:
    """Units over the time since the samples were presented, one panel for each presentation."""
    figure, axes = canvas(max(7.6, 5.2 * len(chart.presentations) + 1.6), 3.8, len(chart.presentations))
    for axis, presentation in zip(axes, chart.presentations, strict=True):
        for trace in presentation.traces:
            axis.plot(
                presentation.times,
                trace.values,
                _DASHES[trace.dash],
                label=f"{trace.unit}, {trace.compartment}",
                color=trace.colour,
                linewidth=1.2,
            )
        axis.set(title=presentation.title, xlabel=chart.axis)
        axis.sharey(axes[0])
        axis.grid(color="#e8eaee")
    axes[0].set_ylabel(chart.quantity)
    axes[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(chart.title)
    return figure


def draw_distributions(summary: CrossbarSummary) -> Figure:
    """Over all cells and chips: conductances, target against achieved weights, and their difference."""
    figure, (cells, agreement, error) = canvas(13.5, 3.9, 3)
    factor, letter = prefix(summary.high)
    _draw_bars(cells, summary.conductances, _PAIR, factor)
    for bound in (summary.low, summary.high):
        cells.axvline(bound / factor, color=GREY, linestyle=":")
    if summary.reference is not None:
        cells.axvline(summary.reference / factor, color=MINUS, label="G− (reference)")
    cells.legend(frameon=False)
    cells.set(title="Conductances", xlabel=f"conductance ({letter}S)", ylabel="cells")
    edges = summary.agreement_edges
    agreement.pcolormesh(edges, edges, summary.agreement_shade, cmap="Blues", vmin=-0.7, rasterized=True)
    agreement.plot(edges[[0, -1]], edges[[0, -1]], color=PLUS, linewidth=0.8)
    agreement.set(title="Target and achieved", xlabel="target weight", ylabel="achieved weight")
    _draw_bars(error, summary.error, {"error": ("error", GREY)}, 1.0)
    error.set(title=f"Error, {summary.deviation:.3g} rms", xlabel="achieved − target weight", ylabel="pairs")
    _title(figure, _heading(summary))
    return figure


def draw_devices(summary: CrossbarSummary) -> Figure:
    """Over all cells and chips: conductances of each device of a cell, on equal axes."""
    columns = min(len(summary.devices), DEVICES_IN_A_ROW)
    rows = -(-len(summary.devices) // columns)
    figure, axes = canvas(max(6.4, 3.4 * columns), 1.0 + 2.5 * rows, columns, rows)
    factor, letter = prefix(summary.high)
    for place, (axis, each, title) in enumerate(zip(axes, summary.devices, device_titles(summary), strict=False)):
        _draw_bars(axis, each, _PAIR, factor)
        axis.sharey(axes[0])
        axis.set(title=title, xlabel=f"conductance ({letter}S)", ylabel="cells" if place % columns == 0 else None)
    for axis in axes[len(summary.devices) :]:
        axis.set_axis_off()
    axes[0].legend(frameon=False)
    _title(figure, f"{_heading(summary)}, single devices")
    return figure


def draw_programming(summary: CrossbarSummary, programming: ProgrammingSummary) -> Figure:
    """Over all devices and chips: pulses, and how far off they left devices and weights."""
    figure, (pulses, devices, weights) = canvas(13.5, 3.9, 3)
    _draw_bars(pulses, programming.pulses, _PAIR, 1.0)
    pulses.legend(frameon=False)
    pulses.set(title="Pulses per device", xlabel="pulses", ylabel="devices")
    _draw_bars(devices, programming.device_error, _PAIR, 1.0)
    if programming.tolerance is not None:
        for bound in (-100 * programming.tolerance, 100 * programming.tolerance):
            devices.axvline(bound, color=GREY, linestyle=":")
    title = f"Error of devices, {programming.device_deviation:.3g} % rms"
    devices.set(title=title, xlabel="programmed − wanted (% of the range)", ylabel="devices")
    _draw_bars(weights, programming.weight_error, {"error": ("error", GREY)}, 1.0)
    title = f"Error of weights, {programming.weight_deviation:.3g} rms"
    weights.set(title=title, xlabel="programmed − wanted weight", ylabel="pairs")
    for axis in (pulses, devices, weights):
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.7)
    _title(figure, f"{_heading(summary)}, programming")
    return figure


def draw_weights(summary: CrossbarSummary) -> Figure:
    """Target weights, achieved weights and their difference on the first chip, zero being white."""
    figure, axes = canvas(13.5, 4.4, 3)
    chip, maps = next(iter(summary.maps.items()))
    reach, error = largest(summary.maps, "target", "achieved"), largest(summary.maps, "difference")
    titles = (("target", "Target weights"), ("achieved", "Achieved weights"), ("difference", "Achieved − target"))
    for axis, (name, title), limit in zip(axes, titles, (reach, reach, error), strict=True):
        _draw_map(axis, summary, maps[name], title, (DIVERGING, -limit, limit))
    _title(figure, f"{_heading(summary)}, chip {chip}")
    return figure


def draw_writes(summary: CrossbarSummary) -> Figure:
    """How often each cell of the first chip was written, and the distribution of that over all chips."""
    figure, (plus, minus, pulses) = canvas(13.5, 4.4, 3)
    chip, maps = next(iter(summary.maps.items()))
    most = largest(summary.maps, "plus_writes", "minus_writes")
    colours = (SEQUENTIAL.lower(), 0.0, most)
    _draw_map(plus, summary, maps["plus_writes"], "Pulses on G+ cells", colours)
    _draw_map(minus, summary, maps["minus_writes"], "Pulses on G− cells", colours)
    _draw_bars(pulses, summary.writes, _PAIR, 1.0)
    pulses.legend(frameon=False)
    pulses.set(title="Pulses per cell, all chips", xlabel="pulses", ylabel="cells")
    _title(figure, f"{_heading(summary)}, chip {chip}")
    return figure


def canvas(width: float, height: float, columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure outside of pyplot's global state, with its axes, row by row."""
    figure = Figure(figsize=(width, height), dpi=RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place) for place in range(1, rows * columns + 1)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _draw_panel(axis: Axes, panel: Panel, metrics: Metrics) -> None:
    for curve in panel.curves:
        chips = curve.values.shape[1]
        if 1 < chips <= MOST_LINES:
            axis.plot(metrics.epochs, curve.values, color=curve.colour, linewidth=0.6, alpha=0.35)
        label = curve.label if chips == 1 else f"{curve.label} (mean)"
        dash = _DASHES[curve.dash]
        axis.plot(metrics.epochs, curve.mean, dash, label=label, color=curve.colour, marker="o", markersize=3)
    axis.set(xlabel="epoch", ylabel=panel.label, yscale="log" if panel.logarithmic else "linear")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if panel.limits:
        axis.set_ylim(panel.limits)
    elif panel.from_zero:
        axis.set_ylim(bottom=0)
    axis.grid(color="#e8eaee")
    axis.legend(frameon=False)


def _draw_bars(axis: Axes, histogram: Histogram, named: dict[str, tuple[str, str]], factor: float) -> None:
    for name in histogram.counts:
        label, colour = named[name]
        axis.stairs(histogram.counts[name], histogram.edges / factor, fill=True, color=colour, alpha=0.6, label=label)


def _draw_map(
    axis: Axes, summary: CrossbarSummary, values: Values, title: str, colours: tuple[str, float, float]
) -> None:
    palette, low, high = colours
    extent = (-0.5, summary.shape[1] - 0.5, summary.shape[0] - 0.5, -0.5)
    picture = axis.imshow(
        values, cmap=palette, vmin=low, vmax=high, extent=extent, aspect="auto", interpolation="nearest"
    )
    axis.figure.colorbar(picture, ax=axis, fraction=0.046)
    axis.set(title=title, xlabel="bit line (output)", ylabel="word line (input)")


def _title(figure: Figure, text: str) -> None:
    """A title as it is written: a dollar sign in a name starts no formula."""
    figure.suptitle(text, parse_math=False)


def _heading(summary: CrossbarSummary) -> str:
    card = summary.card.get("name", "device")
    return f"Synapse {summary.layer}: {summary.shape[0]} word lines x {summary.shape[1]} bit lines, {card}"


def save_picture(path: Path, figure: Figure) -> Path:
    with atomic_path(path) as temporary:
        # Without the library's name and version the same numbers give the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return path
