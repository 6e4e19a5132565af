"""Accuracies on the embedded Digits of one scenario for each family of devices, of wires of 1 to 5 ohm, and of aging cells.

    python benchmarks/families.py [families] [wires] [aging]

prints Markdown tables (all of them without arguments) and, as its last line, everything as one JSON object. Every scenario
runs with three chips and a seed that its settings were not searched with, in a process with one thread; there are as many
at a time as the machine has cores. `docs/results.md` holds the output.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev

import torch

import analogdp as adp
from analogdp.analysis.aging import COMPENSATIONS

CHIPS, SEED = 3, 2
FAMILIES = ("reram-es", "ecram-mo", "pcm-gst", "vteam-continuous", "wires")
OHMS = (0.0, 1.0, 2.0, 5.0)
AGES = ("1 hour", "1 day", "1 year")
AGING = {
    "pcm-gst": ("pcm-gst",),
    "pcm_joshi, balanced": ("quickstart", "synapse.device=pcm_joshi", "synapse.pair=balanced"),
}


@dataclass(frozen=True)
class Training:
    """A shipped scenario with changed settings, and the ages at which it is tested."""

    scenario: str
    overrides: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Test accuracies in percent, one for each chip; by age and compensation where cells aged."""

    accuracy: tuple[float, ...]
    noise_free: tuple[float, ...]
    aged: dict[str, dict[str, list[float]]]
    seconds: float


def train(training: Training) -> Outcome:
    """Train and test once."""
    torch.set_num_threads(1)
    overrides = (*training.overrides, f"chips={CHIPS}", f"seed={SEED}", "run.threads=1")
    scenario = adp.load_scenario(training.scenario, overrides)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = adp.run(scenario, out=Path(folder) / "run")
        seconds = time.perf_counter() - begin
        aged: dict[str, dict[str, list[float]]] = {}
        if training.after:
            moments = adp.age(result, after=training.after).moments
            names = ("fresh", *training.after)
            for name, moment in zip(names, moments, strict=True):
                assert moment.accuracy is not None
                aged[name] = {kind: [100 * one for one in values] for kind, values in moment.accuracy.items()}
        accuracies = (tuple(100 * float(row[name]) for row in result.final) for name in COLUMNS)
        return Outcome(*accuracies, aged, seconds)


COLUMNS = ("test_accuracy", "test_accuracy_noise_free")
Pool = Callable[[Iterable[Training]], list[Outcome]]


def families(pool: Pool) -> dict[str, object]:
    """One scenario for each family of devices, as shipped."""
    reached = pool(Training(name) for name in FAMILIES)
    table(
        ("scenario", "accuracy, %", "noise-free, %", "seconds"),
        [
            (f"`{name}`", spread(own.accuracy), spread(own.noise_free), f"{own.seconds:.0f}")
            for name, own in zip(FAMILIES, reached, strict=True)
        ],
    )
    return {name: asdict(own) for name, own in zip(FAMILIES, reached, strict=True)}


def wires(pool: Pool) -> dict[str, object]:
    """The scenario `wires` with lines of 0 to 5 ohm between cells, and ideal drivers."""
    ends = ("synapse.wires.source=0", "synapse.wires.sense=0")
    rows = [(f"synapse.wires.word_line={ohm}", f"synapse.wires.bit_line={ohm}", *ends) for ohm in OHMS]
    reached = pool(Training("wires", row) for row in rows)
    table(
        ("ohm between cells", "accuracy, %", "noise-free, %", "seconds"),
        [
            (f"{ohm:g}", spread(own.accuracy), spread(own.noise_free), f"{own.seconds:.0f}")
            for ohm, own in zip(OHMS, reached, strict=True)
        ],
    )
    return {f"{ohm:g} ohm": asdict(own) for ohm, own in zip(OHMS, reached, strict=True)}


def aging(pool: Pool) -> dict[str, object]:
    """Trained phase-change crossbars at later times, without and with compensation of drift."""
    reached = pool(Training(name, tuple(overrides), AGES) for name, *overrides in AGING.values())
    rows = []
    for name, own in zip(AGING, reached, strict=True):
        for age, found in own.aged.items():
            rows.append((name, age, *(spread(found[kind]) if kind in found else "-" for kind in COMPENSATIONS)))
    table(("scenario", "after", *(f"{kind}, %" for kind in COMPENSATIONS)), rows)
    return {name: asdict(own) for name, own in zip(AGING, reached, strict=True)}


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of a sample."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


TABLES = {table.__name__: table for table in (families, wires, aging)}


def main() -> None:
    names = sys.argv[1:] or list(TABLES)
    if unknown := set(names) - TABLES.keys():
        sys.exit(f"unknown tables: {', '.join(sorted(unknown))}; known: {', '.join(TABLES)}")
    # Forked children would inherit torch's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    results: dict[str, object] = {"seed": SEED, "chips": CHIPS}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as workers:
        for name in names:
            print(f"\n## {name}: {(TABLES[name].__doc__ or '').strip()}\n", flush=True)
            results[name] = TABLES[name](lambda trainings: list(workers.map(train, trainings)))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
