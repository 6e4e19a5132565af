"""The account of energy and time as a table, for the page and for terminals."""

from __future__ import annotations

from html import escape

from analogdp.analysis import EnergyReport
from analogdp.reports.style import quantity

HEADER = ("part", "inference", "share", "time", "training", "share", "time", "assumption")


def energy_rows(report: EnergyReport) -> list[tuple[str, ...]]:
    """A line for every part under :data:`HEADER`, then what is stated altogether."""
    rows = []
    for part in report.parts:
        shares = report.shares(part)
        rows.append(
            (
                part.name,
                *(_energy(part.inference), _share(shares[0]), _time(part.inference_time)),
                *(_energy(part.training), _share(shares[1]), _time(part.training_time)),
                part.assumption,
            )
        )
    total = (quantity(report.inference, "J"), "", "", quantity(report.training, "J"), "", "")
    return [*rows, ("all that is stated", *total, "")]


def energy_section(report: EnergyReport | None) -> str:
    """The page's section, or nothing if nobody has stated anything."""
    if report is None or not report.stated:
        return ""
    lines = [f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in HEADER)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in energy_rows(report)]
    caption = "For one test sample, and for the whole training without its tests; means over chips."
    table = "\n".join(lines)
    return f'<h2>Energy and time</h2>\n<p class="caption">{caption}</p>\n<table class="grid">\n{table}\n</table>'


def _energy(value: float | None) -> str:
    return "not stated" if value is None else quantity(value, "J")


def _time(value: float | None) -> str:
    return "-" if value is None else quantity(value, "s")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
