"""Writing the report of a run."""

from __future__ import annotations

from pathlib import Path

from analogdp.exports import read_conductances
from analogdp.exports.reading import layers_in
from analogdp.files import write_text
from analogdp.reports.aging import draw_aging
from analogdp.reports.alignment import draw_angles, read_angles
from analogdp.reports.cells import CrossbarSummary, summarise
from analogdp.reports.curves import charts
from analogdp.reports.page import page
from analogdp.reports.pictures import save_picture, write_pictures
from analogdp.reports.source import read_run
from analogdp.reports.stability import draw_stability, read_stability
from analogdp.reports.traces import Traces, read_traces
from analogdp.runs.directory import PLOTS, REPORT

MOST_CROSSBARS = 12
"""Synapses shown in full; a page of hundreds could not be opened."""

MOST_CHIPS_MAPPED = 8
"""Chips of a synapse whose maps are shown."""

MOST_MAPPED = 24
"""Synapses times chips whose maps are shown; a large one takes 2 MB of the page."""


def write_report(directory: Path) -> Path:
    """Write ``report.html`` and ``plots/*.png`` of a run, from nothing but the files in its directory.

    Any run can be reported: finished, diverged, interrupted or still under way.

    Args:
        directory: the run directory.

    Returns:
        The page, one self-contained file.

    Raises:
        InputError: this is not a run directory, or one of its files is damaged.
        OSError: the directory cannot be written to.
    """
    run = read_run(Path(directory))
    layers = [] if run.conductances is None else layers_in(run.conductances)
    shown = layers[:MOST_CROSSBARS]
    chips = min(MOST_CHIPS_MAPPED, MOST_MAPPED // max(len(shown), 1))
    crossbars = [_summary(run.conductances, layer, chips) for layer in shown if run.conductances]
    drawn = charts(run.metrics)
    traces = read_traces(run.recordings) if run.recordings else Traces()
    write_pictures(run.directory / PLOTS, drawn, run.metrics, crossbars, traces.charts)
    if run.aging is not None:
        save_picture(run.directory / PLOTS / "aging.png", draw_aging(run.aging))
    angles = read_angles(run.directory)
    if angles is not None:
        save_picture(run.directory / PLOTS / "alignment.png", draw_angles(angles))
    stability = read_stability(run)
    if stability is not None:
        save_picture(run.directory / PLOTS / "stability.png", draw_stability(stability))
    target = run.directory / REPORT
    write_text(target, page(run, drawn, crossbars, traces, angles, stability, omitted=len(layers) - len(crossbars)))
    return target


def _summary(path: Path, layer: int, mapped: int) -> CrossbarSummary:
    """One crossbar; only one is held in memory at a time."""
    return summarise(read_conductances(path, layer=layer)[layer], mapped)
