"""The page: one HTML file with everything in it, readable without a network. All text from a run is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from analogdp.analysis import Aging
from analogdp.reports.aging import aging_figure, aging_section
from analogdp.reports.alignment import AngleMap, angles_figure, angles_section
from analogdp.reports.cells import CrossbarSummary
from analogdp.reports.curves import Chart
from analogdp.reports.document import document
from analogdp.reports.document import place as _place
from analogdp.reports.energy import energy_section
from analogdp.reports.facts import Fact, Row, card_rows, describe_crossbar, file_rows, headline, provenance_rows, status
from analogdp.reports.figures import (
    chart_figure,
    device_figure,
    distribution_figure,
    programming_figure,
    trace_figure,
    weight_maps,
    write_maps,
)
from analogdp.reports.programming import describe_programming
from analogdp.reports.source import RunFiles
from analogdp.reports.stability import StabilityCourse, stability_figure, stability_section
from analogdp.reports.style import MOST_LINES, count
from analogdp.reports.traces import Traces


@dataclass(frozen=True)
class _Part:
    """A piece of the page, with the figures that its places are for."""

    html: str
    figures: Mapping[str, go.Figure]


def page(
    run: RunFiles,
    charts: Sequence[Chart],
    crossbars: Sequence[CrossbarSummary],
    traces: Traces,
    angles: AngleMap | None,
    stability: StabilityCourse | None,
    omitted: int,
) -> str:
    """The whole page.

    Args:
        run: what the run left.
        charts: figures over the epochs.
        crossbars: the synapses to show.
        traces: what was recorded.
        angles: to backpropagation, or None if they were not measured.
        stability: the same of that.
        omitted: how many more synapses there are.
    """
    name = escape(str(run.scenario.get("name", run.directory.name)))
    parts = [
        _header(run, name),
        _training(run, charts),
        _alignment(angles),
        _stability(stability),
        _traces(traces),
        _crossbars(crossbars, omitted),
        _programming(crossbars),
        _cards(crossbars),
        _Part(energy_section(run.energy), {}),
        _aging(run.aging),
        _origin(run),
    ]
    figures = {place: figure for part in parts for place, figure in part.figures.items()}
    return document(
        f"{run.scenario.get('name', run.directory.name)} – analogdp report",
        [part.html for part in parts],
        figures,
        "plots/",
    )


def _header(run: RunFiles, name: str) -> _Part:
    state = status(run)
    reason = str(run.manifest.get("reason") or "")
    description = str(run.scenario.get("description") or "")
    html = [
        f'<header>\n<h1>{name}<span class="badge {escape(state)}">{escape(state)}</span></h1>',
        f'<p class="description">{escape(description)}</p>' if description else "",
        f'<p class="reason"><strong>{escape(state.capitalize())}.</strong> {escape(reason)}</p>' if reason else "",
        f'<dl class="figures">\n{"".join(map(_fact, headline(run)))}</dl>\n</header>\n<main>',
    ]
    return _Part("\n".join(filter(None, html)), {})


def _fact(fact: Fact) -> str:
    note = f"<small>{escape(fact.note)}</small>" if fact.note else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}{note}</dd></div>\n"


def _training(run: RunFiles, charts: Sequence[Chart]) -> _Part:
    if not charts:
        return _Part("<h2>Training</h2>\n<p>No evaluation was made before the run ended.</p>", {})
    chips = len(run.metrics.chips)
    thin = "Thin lines are single chips, thick lines their mean." if 1 < chips <= MOST_LINES else ""
    many = f"Lines are means over {chips} chips." if chips > MOST_LINES else ""
    html = ["<h2>Training</h2>", f'<p class="caption">{thin or many}</p>' if chips > 1 else ""]
    html += [f"<h3>{escape(chart.title)}</h3>\n{_place(chart.name, chart.title)}" for chart in charts]
    if not any(chart.name == "pulses" for chart in charts):
        html.append('<p class="caption">No write pulses were applied.</p>')
    return _Part("\n".join(filter(None, html)), {chart.name: chart_figure(chart, run.metrics) for chart in charts})


def _traces(traces: Traces) -> _Part:
    if not traces.charts:
        return _Part("", {})
    html = ["<h2>Traces</h2>"]
    for chart in traces.charts:
        html += [
            f'<h3>{escape(chart.title)}</h3>\n<p class="caption">{escape(chart.caption)}</p>',
            _place(chart.name, chart.title),
        ]
    more = f"{count(traces.omitted)} more records" if traces.omitted else "Everything that was recorded"
    html.append(f'<p class="caption">{more} {"are" if traces.omitted else "is"} in recordings.h5.</p>')
    return _Part("\n".join(html), {chart.name: trace_figure(chart) for chart in traces.charts})


def _crossbars(crossbars: Sequence[CrossbarSummary], omitted: int) -> _Part:
    if not crossbars:
        why = "No conductances were exported: the weights are ideal, or the scenario asks for none."
        return _Part(f"<h2>Crossbars</h2>\n<p>{why}</p>", {})
    html = [f"<h2>Crossbars</h2>\n{_chip_selector(crossbars[0])}"]
    figures: dict[str, go.Figure] = {}
    for summary in crossbars:
        place = f"synapse{summary.layer}"
        html += [
            f"<h3>Synapse {summary.layer}: layer {summary.layer} to layer {summary.layer + 1}</h3>",
            f'<p class="caption">{escape(describe_crossbar(summary))}</p>',
            _place(f"{place}-conductances", f"Conductances of synapse {summary.layer}"),
            _place(f"{place}-devices", f"Devices of synapse {summary.layer}") if summary.devices else "",
            _place(f"{place}-weights", f"Weight maps of synapse {summary.layer}", maps=True),
            _place(f"{place}-writes", f"Write pulses of synapse {summary.layer}", maps=True),
        ]
        figures[f"{place}-conductances"] = distribution_figure(summary)
        if summary.devices:
            figures[f"{place}-devices"] = device_figure(summary)
        figures[f"{place}-weights"] = weight_maps(summary)
        figures[f"{place}-writes"] = write_maps(summary)
    if omitted:
        html.append(f"<p>{omitted} more synapses are in conductances.h5.</p>")
    return _Part("\n".join(filter(None, html)), figures)


def _chip_selector(summary: CrossbarSummary) -> str:
    explanation = (
        "Rows of a map are word lines (inputs), columns are bit lines (outputs); dotted lines on them are borders of tiles. "
        "Colours saturate at the 99.5th percentile. Dotted lines in histograms mark the card's nominal range; "
        "the red line is where achieved and target weights are equal; shades are logarithmic."
    )
    if len(summary.chips) == 1:
        return f'<p class="caption">{explanation}</p>'
    options = "".join(f'<option value="{chip}">chip {chip}</option>' for chip in summary.maps)
    shown, chips = len(summary.maps), len(summary.chips)
    rest = f" (the first {shown} of {chips})" if chips > shown else ""
    return (
        f'<p class="selector"><label>Maps of <select id="chip">{options}</select></label>{rest}</p>\n'
        f'<p class="caption">{explanation} Histograms are over all chips.</p>'
    )


def _programming(crossbars: Sequence[CrossbarSummary]) -> _Part:
    programmed = {summary.layer: summary.programming for summary in crossbars if summary.programming is not None}
    if not programmed:
        return _Part("", {})
    explanation = (
        "How the initial weights got into the devices of all cells and chips, and how far off they were left: conductances "
        "less the wanted ones, without read noise. Counts are on logarithmic axes; dotted lines mark the tolerance of a read."
    )
    html = [f'<h2>Programming</h2>\n<p class="caption">{explanation}</p>']
    for layer, programming in programmed.items():
        html += [
            f"<h3>Synapse {layer}</h3>",
            f'<p class="caption">{escape(describe_programming(programming))}</p>',
            _place(f"synapse{layer}-programming", f"Programming of synapse {layer}"),
        ]
    figures = {f"synapse{layer}-programming": programming_figure(each) for layer, each in programmed.items()}
    return _Part("\n".join(html), figures)


def _cards(crossbars: Sequence[CrossbarSummary]) -> _Part:
    """Each different device card once, with the synapses that use it."""
    cards: list[tuple[Mapping[str, Any], list[int]]] = []
    for summary in crossbars:
        users = next((users for card, users in cards if card == summary.card), None)
        if users is None:
            cards.append((summary.card, [summary.layer]))
        else:
            users.append(summary.layer)
    html = ["<h2>Device</h2>"] if cards else []
    for card, users in cards:
        html.append(f"<h3>{escape(str(card.get('name', 'Device')))} (synapse {', '.join(map(str, users))})</h3>")
        html.append(_table(card_rows(card)))
    return _Part("\n".join(html), {})


def _aging(aging: Aging | None) -> _Part:
    if aging is None:
        return _Part("", {})
    return _Part(aging_section(aging, _place("aging", "Aging")), {"aging": aging_figure(aging)})


def _alignment(angles: AngleMap | None) -> _Part:
    if angles is None:
        return _Part("", {})
    place = _place("alignment", "Angle to backpropagation")
    return _Part(angles_section(angles, place), {"alignment": angles_figure(angles)})


def _stability(course: StabilityCourse | None) -> _Part:
    if course is None:
        return _Part("", {})
    place = _place("stability", "Stability of the nudged network")
    return _Part(stability_section(course, place), {"stability": stability_figure(course)})


def _origin(run: RunFiles) -> _Part:
    parts = [
        f"<h2>Scenario</h2>\n<pre>{escape(run.scenario_text)}</pre>",
        f"<h2>Provenance</h2>\n{_table(provenance_rows(run))}",
    ]
    files_kept = file_rows(run)
    if files_kept:
        head = "<tr><th>file</th><th>size</th><th>SHA-256</th></tr>"
        rows = (
            f'<tr><td>{escape(name)}</td><td>{escape(size)}</td><td class="hash">{escape(digest)}</td></tr>'
            for name, size, digest in files_kept
        )
        parts.append(f"<h3>Files</h3>\n<table>\n{head}\n{''.join(rows)}\n</table>")
    parts.append(f"<footer>Written by analogdp from the files in {escape(run.directory.name)}.</footer>")
    return _Part("\n".join(parts), {})


def _table(rows: Iterable[Row]) -> str:
    lines = (f"<tr><th>{escape(row.name)}</th><td>{escape(row.value)}</td></tr>" for row in rows)
    return "<table>\n{}\n</table>".format("\n".join(lines))
