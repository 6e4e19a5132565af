"""Time of one training step of LeNet-5: forward-backward sweeps of DP-transposed dyads against torch's backpropagation.

Both train LeNet-5 on images of 28 x 28 with ReLU, least squares, batch 256 and torch's Adam, float32, on the same random samples;
a step is gathering the batch, the gradients, the optimizer, and reading loss and accuracy back. Steps of both alternate, so that
whatever else the machine does touches both.

    python benchmarks/convolution.py

The last line is one JSON object: for each kind of pool medians in milliseconds with one thread, and their ratio.
"""

import json
import platform
from typing import Any

import torch
from timing import CLASSES, autograd_step, medians, random_images, sweep_step
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

BATCH, SAMPLES = 256, 2560
NEURON: dict[str, object] = {"model": "dp_transposed", "alpha": 0.5, "beta": 0.5}
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


def layers(pool: dict[str, str]) -> tuple[Any, ...]:
    convolutions = ({"conv": 6, "kernel": 5, "padding": 2, "pool": pool}, {"conv": 16, "kernel": 5, "pool": pool})
    return ("1x28x28", *convolutions, 120, 84, CLASSES)


def lenet(pool: dict[str, str]) -> nn.Module:
    kind = {"average": nn.AvgPool2d(2), "quadratic_mean": QuadraticMean()}.get(pool.get("kind", "max"), nn.MaxPool2d(2))
    convolutions = [(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()), (nn.Conv2d(6, 16, 5), nn.ReLU())]
    own = pool.get("of") == "activity"
    stages = [part for conv, relu in convolutions for part in ((conv, relu, kind) if own else (conv, kind, relu))]
    dense = [nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, CLASSES)]
    return nn.Sequential(nn.Unflatten(1, (1, 28, 28)), *stages, *dense)


def main() -> None:
    torch.set_num_threads(1)
    data = random_images(SAMPLES, (1, 28, 28))
    figures: dict[str, object] = {"batch": BATCH, "torch": torch.__version__, "machine": platform.processor()}
    for name, pool in POOLS.items():
        steps = {
            "sweep": sweep_step(data, layers(pool), BATCH, NEURON),
            "backpropagation": autograd_step(data, lenet(pool), BATCH),
        }
        found = medians(steps, WARM_UP, REPEATS)
        ratio = found["sweep"] / found["backpropagation"]
        print(f"{name}: sweep {found['sweep']:.1f} ms, backpropagation {found['backpropagation']:.1f} ms: {ratio:.2f}")
        figures[name] = {**{key: round(value, 2) for key, value in found.items()}, "ratio": round(ratio, 3)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
