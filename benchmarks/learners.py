"""What each way of learning reaches on the embedded Digits, 64-32-10, with ideal weights and with crossbars, on one budget.

    python benchmarks/learners.py [--epochs 6]

prints a Markdown table and, as its last line, everything as one JSON object. All learners have the same network, initial
weights, epochs, batches and optimizer, and settle in sweeps; each training is one process with one thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import torch

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import Diverged
from analogdp.network import build
from analogdp.scenario import load_scenario

SEEDS = (1, 2, 3)
SWEEPS = "{clock: sweep, sweeps: 30, tolerance: 1e-4}"
ONE_SWEEP = "{clock: sweep}"
HOPFIELD = "{model: hopfield, activation: tanh%s}"
LEARNERS = {
    "backpropagation": ("{model: backpropagation, activation: tanh}", "settle_then_update", ONE_SWEEP),
    "dp_transposed": ("{model: dp_transposed, activation: tanh}", "settle_then_update", ONE_SWEEP),
    "lpom": ("{model: lpom, activation: hard_sigmoid}", "settle_then_update", SWEEPS),
    "predictive_coding": ("{model: predictive_coding, beta: 0.1}", "settle_then_update", SWEEPS),
    "equilibrium_propagation": (HOPFIELD % ", beta: 0.1", "equilibrium_propagation", SWEEPS),
    "coupled_learning": (HOPFIELD % "", "coupled_learning", SWEEPS),
    "contrastive_hebbian_learning": (HOPFIELD % "", "contrastive_hebbian_learning", SWEEPS),
}
WEIGHTS = {
    "ideal": ("ideal", "optimizer: adam, rate: 3e-3"),
    "ecram_mo": ("{model: crossbar, device: ecram_mo, weight_range: 8/sqrt(fan_in)}", "optimizer: pulses, rate: 0.1"),
}


@dataclass(frozen=True)
class Outcome:
    """What a training reached.

    Attributes:
        accuracy: on the test samples, in percent, by the last weights; None if the training diverged.
        sweeps: of a training sample, on average, over all its phases.
    """

    accuracy: float | None
    sweeps: float | None


def train(weights: str, learner: str, seed: int, epochs: int) -> Outcome:
    """Train one network."""
    torch.set_num_threads(1)
    neuron, mode, dynamics = LEARNERS[learner]
    synapse, optimizer = WEIGHTS[weights]
    settings = (
        "network={layers: [64, 32, 10], gain: 0.5}",
        f"neuron={neuron}",
        f"synapse={synapse}",
        f"dynamics={dynamics}",
        f"learning={{mode: {mode}, {optimizer}, batch: 32, epochs: {epochs}}}",
        f"seed={seed}",
    )
    scenario = load_scenario("ideal-weights", settings)
    trainer = registry.trainers.get(mode)(scenario, build(scenario), load(scenario.data, scenario.seed))
    try:
        while trainer.update < trainer.total_updates:
            trainer.advance()
    except Diverged:
        return Outcome(None, None)
    columns = trainer.evaluate()[0]
    return Outcome(100 * columns["test_accuracy"], columns["settle_steps_mean"])


def spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation, or how many diverged."""
    found = [value for value in values if value is not None]
    if len(found) < len(values):
        return f"{len(values) - len(found)} of {len(values)} diverged"
    return f"{mean(found):.1f} ± {stdev(found):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    epochs = parser.parse_args().epochs
    begin, found = time.perf_counter(), {}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        running = {
            (weights, learner): [pool.submit(train, weights, learner, seed, epochs) for seed in SEEDS]
            for learner in LEARNERS
            for weights in WEIGHTS
        }
        for row, futures in running.items():
            found[row] = [future.result() for future in futures]
    print("| learner | " + " | ".join(f"{weights}, %" for weights in WEIGHTS) + " | sweeps of a sample |")
    print("| --- |" + " --- |" * (len(WEIGHTS) + 1))
    for learner in LEARNERS:
        accuracies = [spread([own.accuracy for own in found[weights, learner]]) for weights in WEIGHTS]
        taken = [own.sweeps for own in found["ideal", learner] if own.sweeps is not None]
        print(f"| `{learner}` | {' | '.join(accuracies)} | {mean(taken):.0f} |" if taken else f"| `{learner}` |")
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"\n{time.perf_counter() - begin:.0f} s on {machine}")
    outcomes = {f"{weights}, {learner}": [asdict(own) for own in each] for (weights, learner), each in found.items()}
    print(json.dumps({"machine": machine, "seeds": SEEDS, "epochs": epochs, "outcomes": outcomes}))


if __name__ == "__main__":
    main()
