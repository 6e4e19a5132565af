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
from itertools import pairwise

import torch
from timing import autograd_step, medians, random_images, sweep_step

SIZES, SAMPLES = (784, 512, 512, 10), 6400
WARM_UP, REPEATS = 20, 150


def perceptron() -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of one training step.")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step")
    batch, data = parser.parse_args().batch, random_images(SAMPLES, (1, 28, 28))
    figures: dict[str, object] = {
        "sizes": SIZES,
        "batch": batch,
        "torch": torch.__version__,
        "machine": platform.processor(),
    }
    for threads in (1, 2):
        torch.set_num_threads(threads)
        steps = {
            "dp_transposed": sweep_step(data, SIZES, batch, {"model": "dp_transposed", "alpha": 0.5, "beta": 0.5}),
            "backpropagation": sweep_step(data, SIZES, batch, {"model": "backpropagation"}),
            "autograd": autograd_step(data, perceptron(), batch),
        }
        found = medians(steps, WARM_UP, REPEATS)
        ratios = {f"to_{name}": found["dp_transposed"] / found[name] for name in ("backpropagation", "autograd")}
        print(f"{threads} threads:", ", ".join(f"{name} {value:.2f} ms" for name, value in found.items()))
        figures[f"threads_{threads}"] = {name: round(value, 3) for name, value in (found | ratios).items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
