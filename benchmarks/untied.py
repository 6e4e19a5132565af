"""Accuracies with the transfer functions and modulators of Troiano et al. 2025, and of noisy binary dyads.

    python benchmarks/untied.py [ones] [digits] [lenet5] [noisy]

prints a Markdown table for each task; ``lenet5`` needs MNIST ($ANALOGDP_DATA). Each training is one process with one thread;
there are as many at a time as the machine has cores. The last line has all values as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from statistics import mean, stdev

import torch

from analogdp.data import load
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario import load_scenario

GATES = ("tied", "logistic_slope", "flat", "rectangle", "triangle")
JAMMINGS = ("jamming", "positive_jamming", "rectangular_jamming")
LENET5 = (
    *(("logistic", gate) for gate in ("tied", "flat", "rectangle")),
    *(("step", gate) for gate in ("flat", "logistic_slope", "rectangle")),
    ("relu", "tied"),
)
FROZEN = 1e-6
"""A nudging strength at which hidden neurons practically do not learn."""

Row = tuple[str, tuple[str, ...]]


def rows(task: str) -> Iterator[Row]:
    """A label and the settings of each row, beside those of the scenario."""
    if task == "ones":
        for dimension in (2, 10, 100):
            # A constant rate leaves a spread that grows with the number of inputs.
            size = (f"data.dimension={dimension}", f"network.layers=[{dimension}, 1]", f"learning.rate={1 / dimension}")
            for gate in GATES[1:]:
                yield f"{dimension} inputs, {gate}", (*size, f"neuron.modulator={gate}")
    elif task == "digits":
        for hidden in (32, 64):
            for function in ("relu", "logistic", "identity", "step"):
                for gate in GATES + JAMMINGS:
                    if (function, gate) != ("step", "tied"):
                        own = (f"neuron.activation={function}", f"neuron.modulator={gate}")
                        yield f"{hidden} {function}, {gate}", (f"network.layers=[64, {hidden}, 10]", *own)
    elif task == "lenet5":
        for function, gate in LENET5:
            rate = "0.05" if function == "relu" else "0.1"
            own = (f"neuron.activation={function}", f"neuron.modulator={gate}", f"learning.rate={rate}")
            yield f"{function}, {gate}, rate {rate}", own
    else:
        for common in ("0.1", "0.2", "0"):
            for beta in (1.0, FROZEN):
                yield f"common noise {common}, beta {beta:g}", (f"noise.common={common}", f"neuron.beta={beta}")


SCENARIOS = {"ones": "papers/untied-ones", "digits": "papers/untied-digits", "lenet5": "papers/untied-lenet5"}


def train(task: str, settings: tuple[str, ...], seed: int) -> float:
    """Test accuracy in percent after the last epoch."""
    torch.set_num_threads(1)
    scenario = load_scenario(SCENARIOS.get(task, "noisy-binary"), (*settings, f"seed={seed}"))
    network = build(scenario)
    trainer = Trainer(scenario, network, load(scenario.data, scenario.seed))
    while trainer.update < trainer.total_updates:
        trainer.advance()
    return 100 * trainer.evaluate()[0]["test_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", choices=[*SCENARIOS, "noisy", []])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    tasks = options.tasks or [*SCENARIOS, "noisy"]
    found: dict[str, list[float]] = {}
    # Forked children would inherit torch's threads in an unknown state.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as workers:
        for task in tasks:
            seeds = range(1, options.seeds + 1)
            running = {label: [workers.submit(train, task, own, seed) for seed in seeds] for label, own in rows(task)}
            print(f"\n| {task} | test accuracy, % | worst |\n| --- | --- | --- |")
            for label, futures in running.items():
                values = found[f"{task}, {label}"] = [future.result() for future in futures]
                spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
                print(f"| {label} | {mean(values):.2f}{spread} | {min(values):.2f} |", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
