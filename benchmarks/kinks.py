"""How many random ReLU networks settle as gain and nudging grow: DP and DP-transposed at five asymmetries.

    nice -n 19 python benchmarks/kinks.py --networks 1000 --out notebooks/data/kinks.csv

takes five minutes of one core and prints a Markdown table for each clock, in percent; the CSV file has all numbers, with Wilson's
95 % intervals. Networks are 64-16-16-16-10 with weights N(0, gain^2 / fan_in), standard normal inputs, and the gradient at the
outputs for both models (so that beta means the same); continuous time is followed for 100 tau. The last line is JSON: its cost.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict, fields
from pathlib import Path
from time import process_time

import torch

from analogdp.analysis.stability.kinks import Settled, settled_fractions
from analogdp.scenario import Scenario
from analogdp.scenario.variations import vary

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
BETAS = (0.1, 0.3, 1.0, 3.0)
GAINS = (0.7, 1.0, 1.4, 2.0)
MODELS = {"dp": {"output": "linearised"}, "dp_transposed": {}}
CLOCKS = {"continuous": {"dt": "250 ns", "settle": {"at_most": "100 us"}}, "sweep": {}}
"""Time constants are 1 us by default; whoever observes sweeps makes at least 100."""


def scenarios(clock: str, model: str) -> list[Scenario]:
    base = Scenario.model_validate(
        {
            "data": {"name": "digits"},
            "network": {"layers": [64, 16, 16, 16, 10]},
            "neuron": {"model": model, "activation": "relu", **MODELS[model]},
            "dynamics": {"clock": clock, **CLOCKS[clock]},
            "run": {"device": "cpu", "dtype": "float64"},
        }
    )
    varied = vary(base, {"network.gain": GAINS, "neuron.beta": BETAS, "neuron.alpha": ALPHAS})
    return [each.scenario for each in varied]


def table(clock: str, rows: list[Settled]) -> str:
    """Percent settled; in brackets what linear theory predicts at the free state."""
    names = [f"{label} {alpha:g}" for label in ("DP", "DP^T") for alpha in ALPHAS]
    lines = [f"| {clock}: gain | beta | {' | '.join(names)} |", "| --- " * (len(names) + 2) + "|"]
    for gain in GAINS:
        for beta in BETAS:
            own = [row for row in rows if (row.gain, row.beta) == (gain, beta)]
            cells = [f"{100 * row.settled:.0f} ({100 * row.predicted:.0f})" for row in own]
            lines.append(f"| {gain:g} | {beta:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    begin, found = process_time(), {}
    for clock in CLOCKS:
        found[clock] = [row for model in MODELS for row in settled_fractions(scenarios(clock, model), options.networks)]
        print(table(clock, found[clock]), end="\n\n", flush=True)
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["clock", *(field.name for field in fields(Settled))])
            for clock, rows in found.items():
                writer.writerows([clock, *asdict(row).values()] for row in rows)
    cells = sum(map(len, found.values()))
    print(json.dumps({"cells": cells, "networks": options.networks, "cpu_seconds": round(process_time() - begin, 1)}))


if __name__ == "__main__":
    main()
