"""The report's figures and tables in words: the headline, crossbars, the device card, where the run came from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, get_args

from analogdp import registry
from analogdp.devices import DeviceCard
from analogdp.reports.cells import CrossbarSummary, WireLoss
from analogdp.reports.source import RunFiles
from analogdp.reports.style import count, number, percent, quantity
from analogdp.scenario.quantities import symbol
from analogdp.scenario.settings import Settings

_CARD_TEXTS = ("name", "model", "description", "material", "source", "note")


class Fact(NamedTuple):
    """One of the headline's figures."""

    label: str
    value: str
    note: str = ""


class Row(NamedTuple):
    """A line of a table."""

    name: str
    value: str


def status(run: RunFiles) -> str:
    """How the run ended, or ``unknown``."""
    return str(run.manifest.get("status") or "unknown")


def headline(run: RunFiles) -> list[Fact]:
    """What a reader wants to know first."""
    metrics = run.metrics
    chips = len(metrics.chips) or int(run.scenario.get("chips", 1))
    spread = f"mean ± standard deviation over {chips} chips" if chips > 1 else ""
    facts = []
    for name, label in (("test_accuracy", "Test accuracy, with noise"), ("test_accuracy_noise_free", "Noise-free")):
        if (final := metrics.final(name)) is not None:
            facts.append(Fact(label, percent(*final, chips), spread))
    if not facts:
        for name, label in (("test_loss", "Test loss, with noise"), ("test_loss_noise_free", "Noise-free")):
            if (final := metrics.final(name)) is not None:
                facts.append(Fact(label, number(*final, chips), spread))
    if chips > 1:
        facts.append(Fact("Chips", count(chips), "independent draws of mismatch"))
    if metrics.updates.size:
        epochs = int(metrics.epochs[-1])
        note = "1 epoch" if epochs == 1 else f"{count(epochs)} epochs"
        facts.append(Fact("Weight updates", count(int(metrics.updates[-1])), note))
    up, down = metrics.total("pulses_up"), metrics.total("pulses_down")
    if up or down:
        facts.append(Fact("Write pulses, all chips", count(up + down), f"{count(up)} up, {count(down)} down"))
    if (steps := metrics.final("settle_steps_mean")) is not None:
        settled = metrics.final("settled_fraction")
        note = "" if settled is None else f", {100 * settled[0]:.4g} % of them settled"
        facts.append(Fact("Steps per sample", number(*steps, chips), f"mean over training samples{note}"))
    if (duration := _duration(run.manifest)) is not None:
        facts.append(Fact("Duration", duration))
    return facts


def describe_crossbar(summary: CrossbarSummary) -> str:
    """A crossbar's size, scale, error and writes, and what is special about it."""
    return " ".join(_sentences(summary))


def _sentences(summary: CrossbarSummary) -> Iterator[str]:
    rows, columns = summary.shape
    tiles = summary.grid[0] * summary.grid[1]
    array = f"in {tiles} tiles of at most {summary.tile[0]} × {summary.tile[1]}" if tiles > 1 else "in one array"
    yield f"{rows} word lines × {columns} bit lines {array}, {summary.card.get('name', 'unnamed device')}."
    yield f"A weight of 1 is a difference of {quantity(1 / summary.scale, 'S')}."
    if summary.devices:
        yield f"A cell is {len(summary.shares)} devices in parallel, with {_shares(summary.shares)} of its current."
    yield f"Root mean square error {summary.deviation:.3g}."
    if summary.wires is not None:
        yield _wires(summary.wires)
    included = "" if summary.programming is None else ", programming included"
    yield (
        f"{count(summary.total_writes)} pulses{included}; {100 * summary.written:.1f} % of the pairs were written, "
        f"the busiest cell {count(summary.most_writes)} times."
    )
    if summary.reference is not None:
        yield f"G− is a fixed reference of {quantity(summary.reference, 'S')}, the blue line."
    if summary.block != (1, 1):
        yield f"Maps show means over blocks of {summary.block[0]} word lines × {summary.block[1]} bit lines."


def _shares(shares: Sequence[float]) -> str:
    if len(set(shares)) == 1:
        return "equal shares"
    *others, last = (f"{100 * share:.3g}" for share in shares)
    return f"{', '.join(others)} and {last} %"


def _wires(wires: WireLoss) -> str:
    word_line, bit_line, source, sense = (quantity(ohms, "Ω") for ohms in wires.resistances)
    return (
        f"Resistance between two cells: {word_line} along word lines, {bit_line} along bit lines; of drivers {source}, "
        f"of sensing circuits {sense}. Because of them, what is read differs from what G+ − G− stands for by "
        f"{wires.mean:.3g} on average ({100 * wires.share:.3g} % of the mean magnitude) and by {wires.largest:.3g} at most."
    )


def card_rows(card: Mapping[str, Any]) -> Iterator[Row]:
    """A device card: what it says about itself, its conductance range, then its parameters."""
    for name in _CARD_TEXTS:
        if card.get(name):
            yield Row(name, str(card[name]))
    for name, label in (("low", "lowest conductance"), ("high", "highest conductance")):
        if isinstance(card.get(name), int | float):
            yield Row(label, quantity(float(card[name]), "S"))
    rest = {name: value for name, value in card.items() if name not in (*_CARD_TEXTS, "low", "high", "parameters")}
    yield from _flat(rest, units=_units(DeviceCard))
    parameters, model = card.get("parameters"), str(card.get("model"))
    units = _units(registry.devices.get(model).Settings) if model in registry.devices else {}
    yield from _flat(parameters if isinstance(parameters, Mapping) else {}, units=units)


def provenance_rows(run: RunFiles) -> Iterator[Row]:
    """What computed the run, where and when."""
    manifest = run.manifest
    versions = manifest.get("versions")
    yield from _flat(versions if isinstance(versions, Mapping) else {})
    for name in ("seed", "device", "threads", "git_revision"):
        if manifest.get(name) is not None:
            yield Row(name.replace("_", " "), str(manifest[name]))
    command = manifest.get("command")
    if command:
        yield Row("command", shlex.join(map(str, command)) if isinstance(command, list) else str(command))
    for name in ("started", "ended"):
        if manifest.get(name):
            yield Row(name, str(manifest[name]))
    for moment in manifest.get("resumed") or ():
        yield Row("resumed", str(moment))


def file_rows(run: RunFiles) -> list[tuple[str, str, str]]:
    """Name, size and SHA-256 of the files that the manifest lists, but for those that a report writes."""
    checksums = run.manifest.get("checksums")
    rows = []
    for name, digest in sorted(checksums.items() if isinstance(checksums, Mapping) else ()):
        if name == "report.html" or name.startswith("plots/"):
            continue
        path = run.directory / name
        size = quantity(path.stat().st_size, "B") if path.is_file() else "missing"
        rows.append((str(name), size, str(digest)))
    return rows


def _flat(values: Mapping[str, Any], prefix: str = "", units: Mapping[str, str] | None = None) -> Iterator[Row]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.", units)
        elif units and path in units and isinstance(value, int | float):
            yield Row(path, quantity(float(value), units[path]))
        else:
            yield Row(path, "none" if value is None else str(value))


def _units(settings: type[Settings], prefix: str = "") -> dict[str, str]:
    """Units of the quantities of a section and of the sections in it, by their paths."""
    found: dict[str, str] = {}
    for name, field in settings.model_fields.items():
        types = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        for kind in types:
            if issubclass(kind, Settings):
                found |= _units(kind, f"{prefix}{name}.")
        unit = symbol([*field.metadata, *(part for kind in get_args(field.annotation) for part in get_args(kind)[1:])])
        if unit is not None:
            found[f"{prefix}{name}"] = unit
    return found


def _duration(manifest: Mapping[str, Any]) -> str | None:
    """From start to end, pauses included; None if either is missing."""
    try:
        seconds = (
            datetime.fromisoformat(manifest["ended"]) - datetime.fromisoformat(manifest["started"])
        ).total_seconds()
    except (KeyError, TypeError, ValueError):
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
