"""Time of one training step of LeNet-5: forward-backward sweeps of DP-transposed dyads against torch's backpropagation.

Both train LeNet-5 on images of 28 x 28 with ReLU, least squares, batch 256 and torch's Adam, float32, on the same random samples;
a step is gathering the batch, the gradients, the optimizer, and reading loss and accuracy back. Steps of both alternate, so that
whatever else the machine does touches both.

    python benchmarks/convolution.py

The last line is one JSON object: for each kind of pool medians in milliseconds with one thread, and their ratio.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from analogdp.data import Dataset
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario import Scenario

BATCH, SAMPLES, CLASSES = 256, 2560, 10
WARM_UP, REPEATS = 5, 40
POOLS = {
    "max of drives": {},
    "average of activities": {"kind": "average", "of": "activity"},
    "quadratic mean of activities": {"kind": "quadratic_mean", "of": "activity"},
}


class QuadraticMean(nn.Module):
    """The root of the mean square of windows of 2 x 2."""

    def forward(self, x: Tensor) -> Tensor:
        # As a user of torch would write it, kept from an infinite slope where all is 0.
        return avg_pool2d(x.square(), 2).add(1e-12).sqrt()


def dataset() -> Dataset:
    """Random samples of the size of MNIST's."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(SAMPLES, 28 * 28, generator=generator)
    labels = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    return Dataset.of_classes("random", tuple("0123456789"), (inputs, labels), (inputs, labels), (1, 28, 28))


def sweep_step(data: Dataset, pool: dict[str, str]) -> Callable[[], None]:
    convolutions = [{"conv": 6, "kernel": 5, "padding": 2, "pool": pool}, {"conv": 16, "kernel": 5, "pool": pool}]
    scenario = Scenario.model_validate(
        {
            "data": "mnist",
            "network": {"layers": ["1x28x28", *convolutions, 120, 84, CLASSES]},
            "neuron": {"model": "dp_transposed", "alpha": 0.5, "beta": 0.5},
            "dynamics": "sweep",
            "learning": {"optimizer": "adam", "rate": 1e-3, "batch": BATCH, "epochs": 1000},
            "run": {"device": "cpu"},
        }
    )
    trainer = Trainer(scenario, build(scenario), data)
    return lambda: (trainer.advance(), None)[1]


def backpropagation_step(data: Dataset, pool: dict[str, str]) -> Callable[[], None]:
    kind = {"average": nn.AvgPool2d(2), "quadratic_mean": QuadraticMean()}.get(pool.get("kind", "max"), nn.MaxPool2d(2))
    convolutions = [(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()), (nn.Conv2d(6, 16, 5), nn.ReLU())]
    own = pool.get("of") == "activity"
    stages = [part for conv, relu in convolutions for part in ((conv, relu, kind) if own else (conv, kind, relu))]
    dense = [nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)]
    network = nn.Sequential(*stages, *dense)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    order, position = torch.randperm(SAMPLES), 0
    assert data.train_labels is not None
    train_labels = data.train_labels

    def step() -> None:
        nonlocal position
        rows = order[position : position + BATCH]
        position = (position + BATCH) % SAMPLES
        output = network(data.train_inputs[rows].view(-1, 1, 28, 28))
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
    torch.set_num_threads(1)
    data = dataset()
    figures: dict[str, object] = {"batch": BATCH, "torch": torch.__version__, "machine": platform.processor()}
    for name, pool in POOLS.items():
        found = medians({"sweep": sweep_step(data, pool), "backpropagation": backpropagation_step(data, pool)})
        ratio = found["sweep"] / found["backpropagation"]
        print(f"{name}: sweep {found['sweep']:.1f} ms, backpropagation {found['backpropagation']:.1f} ms: {ratio:.2f}")
        figures[name] = {**{key: round(value, 2) for key, value in found.items()}, "ratio": round(ratio, 3)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
