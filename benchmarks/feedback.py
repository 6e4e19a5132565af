"""Accuracies on the embedded Digits with each feedback path, and how well the paths agree with the weights they stand for.

    python benchmarks/feedback.py [--epochs 5]

prints a Markdown table and, as its last line, everything as one JSON object. Each training is one process with one
thread; there are as many at a time as the machine has cores.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import torch

from analogdp.data import load
from analogdp.dynamics import Diverged
from analogdp.learning import Trainer
from analogdp.network import Network, build
from analogdp.scenario import load_scenario

SEEDS = (1, 2, 3)
PATHS = {
    "transposed": "transposed",
    "copy": "copy",
    "kolen_pollack": "kolen_pollack",
    "kolen_pollack, decay 1e-2": "{path: kolen_pollack, decay: 1e-2}",
    "random": "random",
}
CROSSBAR = "synapse={model: crossbar, device: ecram_mo, weight_range: 8/sqrt(fan_in)}"
WEIGHTS = {
    "ideal": ("synapse=ideal", "learning.optimizer=adam", "learning.rate=1e-3", "learning.batch=32"),
    "ecram_mo, rate 0.15": (CROSSBAR, "learning={optimizer: pulses, rate: 0.15, batch: 16}"),
    "ecram_mo, rate 0.05": (CROSSBAR, "learning={optimizer: pulses, rate: 0.05, batch: 16}"),
}


@dataclass(frozen=True)
class Outcome:
    """What a training reached.

    Attributes:
        accuracy: in percent, by the last weights; None if the training diverged.
        angles: degrees between the path B and the transposed weights W of each upper synapse, at the start and the end.
        distances: |W - B^T| / |W|, likewise.
    """

    accuracy: float | None
    angles: tuple[list[float], list[float]]
    distances: tuple[list[float], list[float]]


def train(weights: str, path: str, seed: int, epochs: int) -> Outcome:
    """Train the ideal-weights scenario, 64-128-64-10, with one kind of weights and one feedback path."""
    torch.set_num_threads(1)
    settings = (*WEIGHTS[weights], f"feedback={PATHS[path]}", f"learning.epochs={epochs}", f"seed={seed}")
    scenario = load_scenario("ideal-weights", settings)
    network = build(scenario)
    trainer = Trainer(scenario, network, load(scenario.data, scenario.seed))
    before = agreement(network)
    try:
        while trainer.update < trainer.total_updates:
            trainer.advance()
        accuracy = 100 * trainer.evaluate()[0]["test_accuracy"]
    except Diverged:
        accuracy = None
    after = agreement(network)
    angles, distances = ([[pair[kind] for pair in pairs] for pairs in (before, after)] for kind in (0, 1))
    return Outcome(accuracy, (angles[0], angles[1]), (distances[0], distances[1]))


def agreement(network: Network) -> list[tuple[float, float]]:
    """Angle in degrees and relative distance between each path and the weights that it stands beside."""
    pairs = []
    for synapse, path in zip(network.synapses, network.feedback_paths, strict=True):
        if path is not None:
            up, down = synapse.weights.double(), path.weights.mT.double()
            cosine = float((up * down).sum() / (up.norm() * down.norm()))
            pairs.append((math.degrees(math.acos(min(1.0, cosine))), float((up - down).norm() / up.norm())))
    return pairs


def rows() -> Iterator[tuple[str, str]]:
    """Kinds of weights and paths; copies of ideal weights are their transposed read."""
    return ((weights, path) for weights in WEIGHTS for path in PATHS if (weights, path) != ("ideal", "copy"))


def spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation of those that did not diverge, and how many did."""
    found = [value for value in values if value is not None]
    lost = f"{len(values) - len(found)} of {len(values)} diverged" if len(found) < len(values) else ""
    figure = f"{mean(found):.2f}" + (f" ± {stdev(found):.2f}" if len(found) > 1 else "") if found else ""
    return f"{figure} ({lost})" if figure and lost else figure or lost


def course(outcomes: Sequence[Outcome], name: str, digits: int) -> str:
    """Means over layers and seeds, at the start and at the end."""
    ends = [[value for outcome in outcomes for value in getattr(outcome, name)[end]] for end in (0, 1)]
    return " to ".join(f"{mean(values):.{digits}f}" for values in ends) if ends[0] else "0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs
    begin = time.perf_counter()
    found: dict[tuple[str, str], list[Outcome]] = {}
    # Forked children would inherit torch's threads in an unknown state.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as workers:
        running = {row: [workers.submit(train, *row, seed, epochs) for seed in SEEDS] for row in rows()}
        for row, futures in running.items():
            found[row] = [future.result() for future in futures]
    print("| weights | feedback | test accuracy, % | angle between B and Wᵀ, degrees | distance of B from Wᵀ, of W |")
    print("| --- | --- | --- | --- | --- |")
    for (weights, path), outcomes in found.items():
        accuracy = spread([outcome.accuracy for outcome in outcomes])
        print(
            f"| {weights} | {path} | {accuracy} | {course(outcomes, 'angles', 1)} | {course(outcomes, 'distances', 2)} |"
        )
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(f"\n{time.perf_counter() - begin:.0f} s on {machine}")
    figures = {
        f"{weights}, {path}": [asdict(outcome) for outcome in outcomes] for (weights, path), outcomes in found.items()
    }
    print(json.dumps({"machine": machine, "seeds": SEEDS, "epochs": epochs, "outcomes": figures}))


if __name__ == "__main__":
    main()
