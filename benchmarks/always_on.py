"""Always-on learning of Digits: what the shipped scenarios reach, and where the separation of timescales breaks down.

    python benchmarks/always_on.py [scenarios] [timescales]

prints Markdown tables (both without arguments) and, as its last line, everything as one JSON object. One training after the
other, with one thread; `timescales` takes some minutes. `docs/results.md` holds the output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, stdev

import torch

from analogdp.data import load
from analogdp.dynamics import Diverged
from analogdp.learning import AlwaysOnTrainer
from analogdp.network import build
from analogdp.scenario import load_scenario

SEEDS = (4, 5, 6)
"""The scenarios' settings were chosen with seeds 1 to 3: what is reported is other data splits, weights and devices."""
SCENARIOS = ("always-on", "always-on-crossbar")
DWELLS = (2, 4, 8, 12, 20)
"""In membrane time constants, as are those of the weights."""
TAUS_WEIGHTS = (30, 100, 300, 1000, 3000, 10000)
EPOCHS = 3
"""Of each training in the table of timescales."""
COLUMNS = ("test_accuracy", "train_accuracy", "lag", "drift")

Outcome = dict[str, float] | None
"""Metrics of the last epoch; None if the training diverged."""


def train(scenario: str, *overrides: str) -> Outcome:
    """Train and test once."""
    chosen = load_scenario(scenario, overrides)
    trainer = AlwaysOnTrainer(chosen, build(chosen), load(chosen.data, chosen.seed))
    begin = time.perf_counter()
    try:
        while trainer.update < trainer.total_updates:
            trainer.advance()
            if trainer.update % trainer.updates_per_epoch == 0:
                row = trainer.evaluate()[0]
    except Diverged:
        return None
    return {name: row[name] for name in COLUMNS} | {"seconds": time.perf_counter() - begin}


def scenarios() -> dict[str, object]:
    """The shipped scenarios, three seeds each."""
    reached = {name: [train(name, f"seed={seed}") for seed in SEEDS] for name in SCENARIOS}
    rows = []
    for name, outcomes in reached.items():
        kept = [outcome for outcome in outcomes if outcome is not None]
        accuracies = [100 * outcome["test_accuracy"] for outcome in kept]
        singles = ", ".join(f"{value:.1f}" for value in accuracies)
        figures = (f"{mean(outcome[column] for outcome in kept):.2g}" for column in ("lag", "drift", "seconds"))
        rows.append((name, f"{mean(accuracies):.2f} ± {stdev(accuracies):.2f}", singles, *figures))
    table(("scenario", "test accuracy, %", "single seeds", "lag", "drift", "seconds"), rows)
    return dict(reached)


def timescales() -> dict[str, object]:
    """The scenario always-on for three epochs with other dwells and other time constants of the weights, one seed."""
    cells = {
        (dwell, tau): train(
            "always-on", f"learning.epochs={EPOCHS}", f"learning.dwell={dwell} us", f"learning.tau_weights={tau} us"
        )
        for dwell in DWELLS
        for tau in TAUS_WEIGHTS
    }
    for column, factor, form in (("test_accuracy", 100, ".1f"), ("train_accuracy", 100, ".1f"), ("lag", 1, ".2g")):
        print(f"\n{column}{', %' if factor == 100 else ''}\n")
        table(
            ("dwell / tau", *(f"tau_weights / tau = {tau}" for tau in TAUS_WEIGHTS)),
            [
                (str(dwell), *(shown(cells[dwell, tau], column, factor, form) for tau in TAUS_WEIGHTS))
                for dwell in DWELLS
            ],
        )
    return {f"dwell {dwell}, tau_weights {tau}": outcome for (dwell, tau), outcome in cells.items()}


def shown(outcome: Outcome, column: str, factor: int, form: str) -> str:
    """One cell of a table."""
    return "diverged" if outcome is None else f"{factor * outcome[column]:{form}}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


TABLES: dict[str, Callable[[], dict[str, object]]] = {"scenarios": scenarios, "timescales": timescales}


def main() -> None:
    names = sys.argv[1:] or list(TABLES)
    if unknown := set(names) - TABLES.keys():
        sys.exit(f"unknown tables: {', '.join(sorted(unknown))}; known: {', '.join(TABLES)}")
    torch.set_num_threads(1)
    results: dict[str, object] = {"seeds": SEEDS, "epochs": EPOCHS, "torch": torch.__version__}
    for name in names:
        print(f"\n## {name}: {TABLES[name].__doc__}\n", flush=True)
        begin = time.perf_counter()
        results[name] = TABLES[name]()
        print(f"\n{time.perf_counter() - begin:.0f} s", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
