"""Medians of what calls take, and the training steps on random images that benchmarks of steps have in common."""

import statistics
import time
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import nn

from analogdp.data import Dataset
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario import Scenario

CLASSES = 10

Work = Callable[[], object]


def medians(
    contenders: Mapping[str, Work], warm_up: int, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median milliseconds of each contender; they take turns, so that what else the machine does touches all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(warm_up + repeats):
        for name, work in contenders.items():
            start = clock()
            work()
            if repeat >= warm_up:
                times[name].append(1e3 * (clock() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def random_images(samples: int, shape: tuple[int, int, int]) -> Dataset:
    """Uniform random inputs and labels of ten classes; training and test samples are the same."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, prod(shape), generator=generator)
    part = (inputs, torch.randint(CLASSES, (samples,), generator=generator))
    return Dataset.of_classes("random", tuple("0123456789"), part, part, shape)


def sweep_step(data: Dataset, layers: tuple[Any, ...], batch: int, neuron: dict[str, object]) -> Work:
    """One update of our own trainer, by a forward-backward sweep and Adam, of a network for images of MNIST's size."""
    scenario = Scenario.model_validate(
        {
            "data": "mnist",
            "network": {"layers": layers},
            "neuron": neuron,
            "dynamics": "sweep",
            "learning": {"optimizer": "adam", "rate": 1e-3, "batch": batch, "epochs": 1000},
            "run": {"device": "cpu"},
        }
    )
    return Trainer(scenario, build(scenario), data).advance


def autograd_step(data: Dataset, network: nn.Module, batch: int) -> Work:
    """One update of torch's: gathering the batch, least squares, gradients, Adam, reading loss and accuracy back."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    order, position = torch.randperm(len(data.train_inputs)), 0
    assert data.train_labels is not None
    train_labels = data.train_labels

    def step() -> None:
        nonlocal position
        rows = order[position : position + batch]
        position = (position + batch) % len(order)
        output = network(data.train_inputs[rows])
        loss = (output - data.train_targets[rows]).square().sum(1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        float((output.argmax(1) == train_labels[rows]).float().mean())

    return step
