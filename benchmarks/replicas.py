"""How long twenty runs of Digits take together, and one after the other.

    python benchmarks/replicas.py [--updates 20] [--repeats 3] [--threads 1 2]

measures weight updates of 20 runs (5 seeds, 4 asymmetries) of the default network, with sweeps and in continuous time, in turns
within one process; prints a Markdown table of medians and, as its last line, everything as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from analogdp.data import load
from analogdp.learning import Trainer
from analogdp.learning.together import TrainersTogether
from analogdp.network import build
from analogdp.scenario import Scenario
from analogdp.scenario.variations import vary

CHOICES = {"seed": range(5), "neuron.alpha": [0.0, 0.3, 0.5, 1.0]}


def seconds(action: Callable[[], object], times: int) -> float:
    """How long an action takes on average."""
    start = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - start) / times


def compare(clock: str, updates: int, repeats: int) -> dict[str, Any]:
    """Median seconds of one update of all runs, together and one after the other, measured in turns."""
    scenario = Scenario.model_validate({"dynamics": {"clock": clock}, "run": {"device": "cpu"}})
    scenarios = [own.scenario for own in vary(scenario, CHOICES)]
    datasets = {own.seed: load(own.data, own.seed) for own in scenarios}
    together = TrainersTogether(scenarios, datasets, lambda number, error: None)
    alone = [Trainer(own, build(own), datasets[own.seed]) for own in scenarios]
    found: dict[str, list[float]] = {"together": [], "alone": []}
    for _ in range(repeats):
        found["together"].append(seconds(together.advance, updates))
        found["alone"].append(sum(seconds(trainer.advance, updates) for trainer in alone))
    return {name: median(times) for name, times in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args(arguments)
    results = []
    print("| clock | threads | together, ms | one after the other, ms | ratio |\n|---|---|---|---|---|")
    for clock in ("sweep", "continuous"):
        for threads in options.threads:
            torch.set_num_threads(threads)
            found = compare(clock, options.updates, options.repeats)
            found |= {"clock": clock, "threads": threads, "ratio": found["alone"] / found["together"]}
            results.append(found)
            milliseconds = f"{1e3 * found['together']:.3g} | {1e3 * found['alone']:.3g}"
            print(f"| {clock} | {threads} | {milliseconds} | {found['ratio']:.2f} |", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
