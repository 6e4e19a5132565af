"""Dual-weight units on tables and digits: test losses beside those published, and crossbars that hold both sets.

Prints a Markdown table for wines and one for houses, and accuracies of crossbars on digits; the last line has all single
values as JSON. The data files are found by $ANALOGDP_DATA. Seeds are trained together, along the axis of chips.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Mapping
from statistics import mean, stdev

import torch

from analogdp.data import Dataset, load
from analogdp.learning.together import TrainersTogether
from analogdp.scenario import Scenario

STEPS = 60_000
SIZES = (100, 500, 1000)
RULES: Mapping[str, tuple[str, str, float]] = {
    "SGD": ("contrastive_hebbian", "ideal", 2e-3),
    "dual weight": ("dual_weight", "pair", 2e-3),
    "stabilised": ("dual_weight_stabilised", "pair", 1e-3),
}
"""Rule, synapse and rate: 1e-3, doubled where steps follow the gradient, as the paper's loss is twice ours."""
BIAS_RATE = 2e-3
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "wine_quality": {"SGD": (260.2, 76.7, 73.3), "dual weight": (102.0, 77.8, 74.4), "stabilised": (92.0, 70.8, 68.5)},
    "california_housing": {
        "SGD": (74.4, 65.7, 53.4),
        "dual weight": (47.6, 47.7, 49.5),
        "stabilised": (43.2, 39.6, 38.1),
    },
}
"""Test losses of single runs with 100, 500 and 1000 samples (Wang 2025, networks of two layers)."""
LOSS_UNIT = 2e4
"""The paper's 1e4 times the mean square error, in units of half of it."""
INPUTS = {"wine_quality": 11, "california_housing": 8}
CARDS = ("ecram_mo", "idealized", "reram_sb")


def table_scenario(data: str, inputs: int, samples: int, rule: str, seed: int, test_limit: int | None) -> Scenario:
    """One training on single samples of a table, drawn with replacement."""
    plasticity, synapse, rate = RULES[rule]
    drawn = {"draw": samples, "test": "rest", "test_limit": test_limit}
    scaled = {"normalise": "standard", "normalise_targets": "standard", "normalise_over": "all", "target_scale": 0.1}
    learning = {"rule": plasticity, "optimizer": "sgd", "rate": rate, "bias_rate": BIAS_RATE, "batch": 1}
    return Scenario.model_validate(
        {
            "seed": seed,
            "data": {"name": data, **drawn, **scaled},
            "network": {"layers": (inputs, 20, 1), "gain": math.sqrt(2)},
            "neuron": "backpropagation",
            "synapse": synapse,
            "dynamics": "sweep",
            "learning": {**learning, "epochs": STEPS // samples},
            "run": {"device": "cpu", "threads": 1},
        }
    )


def crossbar_scenario(card: str, seed: int) -> Scenario:
    """Dyads with crossbars of pairs on digits, as scenarios/dual-weight.yaml has them."""
    return Scenario.model_validate(
        {
            "seed": seed,
            "network": {"layers": (64, 128, 64, 10), "gain": math.sqrt(2)},
            "synapse": {"model": "crossbar", "device": card, "pair": "balanced", "weight_range": "16/sqrt(fan_in)"},
            "dynamics": "sweep",
            "learning": {"rule": "dual_weight_stabilised", "rate": 0.2, "bias_rate": 0.05, "batch": 16, "epochs": 10},
            "run": {"device": "cpu", "threads": 1},
        }
    )


def train(scenarios: list[Scenario], datasets: dict[int, Dataset], column: str) -> list[float]:
    """What a test says of each run at the end."""
    trainers = TrainersTogether(scenarios, datasets, lambda member, error: print(f"seed {member}: {error}"))
    while trainers.update < trainers.total_updates:
        trainers.advance()
    return [float(rows[0][column]) for rows in trainers.evaluate()]


def table(data: str, sizes: tuple[int, ...], seeds: int) -> dict[str, list[float]]:
    """Test losses of every rule and number of samples, printed beside the published ones."""
    inputs = INPUTS[data]
    found: dict[str, list[float]] = {}
    print(f"\n| {data}, samples | rule | test loss x 1e4 | single seeds | published |\n| --- | --- | --- | --- | --- |")
    for samples in sizes:
        pools = {}
        for seed in range(seeds):
            scenario = table_scenario(data, inputs, samples, "SGD", seed, None)
            pools[seed] = load(scenario.data, scenario.seed)
        # As many samples are drawn as others, but not as many different ones: all seeds are tested on equally many.
        limit = min(len(own.test_inputs) for own in pools.values())
        for rule in RULES:
            scenarios = [table_scenario(data, inputs, samples, rule, seed, limit) for seed in range(seeds)]
            datasets = {own.seed: load(own.data, own.seed) for own in scenarios}
            losses = [LOSS_UNIT * loss for loss in train(scenarios, datasets, "test_loss")]
            found[f"{data}, {samples}, {rule}"] = losses
            single = ", ".join(f"{loss:.1f}" for loss in losses)
            published = PUBLISHED[data][rule][SIZES.index(samples)]
            print(f"| {samples} | {rule} | {spread(losses)} | {single} | {published} |", flush=True)
    return found


def crossbars(seeds: int) -> dict[str, list[float]]:
    """Test accuracies of digits in percent for each card, printed."""
    found: dict[str, list[float]] = {}
    print("\n| card | digits, test accuracy, % | single seeds |\n| --- | --- | --- |")
    for card in CARDS:
        scenarios = [crossbar_scenario(card, seed) for seed in range(1, seeds + 1)]
        datasets = {own.seed: load(own.data, own.seed) for own in scenarios}
        found[card] = [100 * accuracy for accuracy in train(scenarios, datasets, "test_accuracy")]
        print(f"| {card} | {spread(found[card], 2)} | {', '.join(f'{own:.1f}' for own in found[card])} |", flush=True)
    return found


def spread(values: list[float], digits: int = 1) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=[*PUBLISHED, "crossbars"], help="which tables to print")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, nargs="+", choices=SIZES, default=SIZES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.perf_counter()
    found: dict[str, list[float]] = {}
    for name in arguments.tables:
        crossed = name == "crossbars"
        found |= crossbars(arguments.seeds) if crossed else table(name, tuple(arguments.samples), arguments.seeds)
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread"
    print(f"\n{time.perf_counter() - begin:.0f} s on {machine}")
    print(json.dumps({"machine": machine, "seeds": arguments.seeds, "figures": found}))


if __name__ == "__main__":
    main()
