"""Angles between what a local rule wants and backpropagation: a map of layers and batches, its picture and the page's section."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from matplotlib.figure import Figure

from analogdp.reports.figures import styled
from analogdp.reports.pictures import canvas
from analogdp.reports.source import Values, read_series
from analogdp.runs.directory import ALIGNMENT, ALIGNMENT_JOURNAL

MOST_COLUMNS = 600
"""Batches that are drawn one by one; of more, means over as many neighbours as it takes."""
PALETTE, WIDEST = "Viridis", 90.0
"""Colours from 0 degrees to those of a direction that is no better than none."""


@dataclass(frozen=True)
class AngleMap:
    """Mean angles over chips.

    Attributes:
        updates: weight updates done before each batch (each first batch of several) ``(batches,)``.
        layers: numbers of the layers of weights, 1 the lowest.
        degrees: ``(layers, batches)``; NaN where there is no angle.
        chips: how many they are means over.
    """

    updates: Values
    layers: tuple[int, ...]
    degrees: Values
    chips: int

    @property
    def means(self) -> Values:
        """Of each layer over all batches that have an angle ``(layers,)``; NaN where none has."""
        return _mean(self.degrees, 1)


def read_angles(directory: Path) -> AngleMap | None:
    """The angles of a run, from its table or, while it is under way, its journal; None if it has none.

    Raises:
        InputError: the file is damaged.
    """
    names = ("update", "layer", "chip", "angle")
    columns = read_series(directory / ALIGNMENT, directory / ALIGNMENT_JOURNAL, names)
    return None if columns is None else _mapped(columns)


def _mapped(columns: dict[str, Values]) -> AngleMap:
    updates, batch = np.unique(columns["update"], return_inverse=True)
    layers, layer = np.unique(columns["layer"], return_inverse=True)
    chips, chip = np.unique(columns["chip"], return_inverse=True)
    degrees = np.full((len(layers), len(updates), len(chips)), np.nan)
    degrees[layer, batch, chip] = columns["angle"]
    together = -(-len(updates) // MOST_COLUMNS)
    starts = range(0, len(updates), together)
    means = [_mean(degrees[:, start : start + together].reshape(len(layers), -1), 1) for start in starts]
    return AngleMap(updates[::together], tuple(layers.astype(int).tolist()), np.stack(means, 1), len(chips))


def draw_angles(angles: AngleMap) -> Figure:
    """The map as a picture: a row for each layer, the lowest at the bottom."""
    figure, (axis,) = canvas(9.0, 1.6 + 0.45 * len(angles.layers), 1)
    picture = axis.imshow(
        angles.degrees,
        cmap=PALETTE.lower(),
        vmin=0,
        vmax=WIDEST,
        extent=_extent(angles),
        aspect="auto",
        interpolation="nearest",
        origin="lower",
    )
    axis.set(title="Angle to backpropagation", xlabel="weight updates", ylabel="layer of weights", yticks=angles.layers)
    figure.colorbar(picture, ax=axis, label="degrees", ticks=[0, 30, 60, 90], extend="max")
    return figure


def angles_figure(angles: AngleMap) -> go.Figure:
    """The same for the page."""
    heatmap = go.Heatmap(
        x=angles.updates,
        y=[str(layer) for layer in angles.layers],
        z=angles.degrees,
        zmin=0,
        zmax=WIDEST,
        colorscale=PALETTE,
        colorbar={"title": "degrees"},
        hovertemplate="update %{x}, layer %{y}: %{z:.2f}°<extra></extra>",
    )
    figure = styled(go.Figure(heatmap), 180 + 36 * len(angles.layers))
    figure.update_xaxes(title="weight updates")
    figure.update_yaxes(title="layer of weights", type="category")
    return figure


def angles_section(angles: AngleMap, place: str) -> str:
    """The page's section; ``place`` is where its figure goes."""
    over = f", means over {angles.chips} chips" if angles.chips > 1 else ""
    named = zip(angles.layers, angles.means, strict=True)
    means = ", ".join(f"layer {layer} {'none' if np.isnan(mean) else f'{mean:.3g}°'}" for layer, mean in named)
    text = (
        "Between the weight change that the local rule wants and minus the gradient of the loss, which autograd finds at the "
        f"free forward pass{over}. Means over all measured batches: {means}. Colours end at 90°; what is empty has no "
        "angle, because one of the two is zero."
    )
    return f'<h2>Alignment with backpropagation</h2>\n<p class="caption">{escape(text)}</p>\n{place}'


def _extent(angles: AngleMap) -> tuple[float, float, float, float]:
    first, last = float(angles.updates[0]), float(angles.updates[-1])
    width = (last - first) / max(len(angles.updates) - 1, 1) or 1.0
    return first, last + width, angles.layers[0] - 0.5, angles.layers[-1] + 0.5


def _mean(values: Values, axis: int) -> Values:
    """Over those that are there; NaN where none is."""
    present = np.isfinite(values)
    sums: Values = np.where(present, values, 0).sum(axis)
    return np.where(present.any(axis), sums / np.maximum(present.sum(axis), 1), np.nan)
