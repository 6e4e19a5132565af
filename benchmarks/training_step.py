"""Time of one training step: forward-backward sweeps of DP-transposed dyads against backpropagation, torch's and our own.

All train 784-512-512-10 with ReLU, least squares and torch's Adam, float32, on the same random samples; a step is gathering the
batch, the gradients, the optimizer, and reading loss and accuracy back. Steps alternate, so that whatever else the machine does
touches all.

    python benchmarks/training_step.py [--batch 64]

The last line is one JSON object: medians in milliseconds for one thread and two, and their ratio.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import torch

from analogdp.data import Dataset
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario import Scenario

SIZES, SAMPLES = (784, 512, 512, 10), 6400
WARM_UP, REPEATS = 20, 150


def dataset() -> Dataset:
    """Random samples of the size of MNIST's."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(SAMPLES, SIZES[0], generator=generator)
    labels = torch.randint(SIZES[-1], (SAMPLES,), generator=generator)
    part = (inputs, labels)
    return Dataset.of_classes("random", tuple("0123456789"), part, part)


def sweep_step(data: Dataset, batch: int, neuron: dict[str, object]) -> Callable[[], None]:
    scenario = Scenario.model_validate(
        {
            "data": "mnist",
            "network": {"layers": SIZES},
            "neuron": neuron,
            "dynamics": "sweep",
            "learning": {"optimizer": "adam", "rate": 1e-3, "batch": batch, "epochs": 1000},
            "run": {"device": "cpu"},
        }
    )
    trainer = Trainer(scenario, build(scenario), data)
    return lambda: (trainer.advance(), None)[1]


def autograd_step(data: Dataset, batch: int) -> Callable[[], None]:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    order, position = torch.randperm(SAMPLES), 0
    assert data.train_labels is not None
    train_labels = data.train_labels

    def step() -> None:
        nonlocal position
        rows = order[position : position + batch]
        position = (position + batch) % SAMPLES
        output = network(data.train_inputs[rows])
        loss = (output - data.train_targets[rows]).square().sum(1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        float((output.argmax(1) == train_labels[rows]).float().mean())

    return step


def medians(contenders: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median milliseconds of each contender, whose calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(WARM_UP + REPEATS):
        for name, step in contenders.items():
            start = time.perf_counter()
            step()
            if repeat >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of one training step.")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step")
    batch, data = parser.parse_args().batch, dataset()
    figures: dict[str, object] = {
        "sizes": SIZES,
        "batch": batch,
        "torch": torch.__version__,
        "machine": platform.processor(),
    }
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found = medians(
            {
                "dp_transposed": sweep_step(data, batch, {"model": "dp_transposed", "alpha": 0.5, "beta": 0.5}),
                "backpropagation": sweep_step(data, batch, {"model": "backpropagation"}),
                "autograd": autograd_step(data, batch),
            }
        )
        ratios = {f"to_{name}": found["dp_transposed"] / found[name] for name in ("backpropagation", "autograd")}
        print(f"{threads} threads:", ", ".join(f"{name} {value:.2f} ms" for name, value in found.items()))
        figures[f"threads_{threads}"] = {name: round(value, 3) for name, value in (found | ratios).items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
