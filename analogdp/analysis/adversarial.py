"""Inputs that are moved a little, so that the network errs: attacks along the gradient of the loss, and how it does then."""

from __future__ import annotations

import torch
from torch import Tensor

from analogdp.analysis.gradients import forward, in_batches, input_gradients
from analogdp.data import Dataset
from analogdp.errors import InputError
from analogdp.network import Network
from analogdp.scenario.measure import STRETCH, Attack
from analogdp.streams import Stream

Bounds = tuple[float, float] | None
"""Between which inputs stay, as brightness from 0 to 1."""

USUAL_STEPS = 10


def fgsm(network: Network, inputs: Tensor, targets: Tensor, strength: float, bounds: Bounds = None) -> Tensor:
    """Inputs moved by ``strength`` times the sign of their loss's gradient (Goodfellow et al. 2015), ``(chips, batch, in)``.

    Args:
        network: what is attacked, by the gradient of its effective weights.
        inputs, targets: ``(chips or 1, batch, ...)``.
        strength: by how much every number of an input moves.
        bounds: between which inputs stay.
    """
    return _within(inputs + strength * input_gradients(network, inputs, targets).sign(), bounds)


def pgd(
    network: Network,
    inputs: Tensor,
    targets: Tensor,
    strength: float,
    bounds: Bounds = None,
    *,
    steps: int = USUAL_STEPS,
    step_size: float | None = None,
    stream: Stream | None = None,
) -> Tensor:
    """Projected gradient descent (Madry et al. 2018): small steps along signs, at most ``strength`` away in each number.

    Further arguments as of :func:`fgsm`.

    Args:
        network: what is attacked.
        inputs, targets: ``(chips or 1, batch, ...)``.
        strength: largest move of a number.
        bounds: between which inputs stay.
        steps: how many.
        step_size: of each; by default 2.5 strength / steps.
        stream: of a random start within the strength; None starts at the inputs themselves.
    """
    size = STRETCH * strength / steps if step_size is None else step_size
    moved = inputs.expand(network.chips, -1, -1)
    if stream is not None:
        moved = _within(moved + strength * (2 * stream.uniform(inputs.shape[1:]) - 1), bounds)
    for _ in range(steps):
        moved = moved + size * input_gradients(network, moved, targets).sign()
        moved = _within(torch.clamp(moved, inputs - strength, inputs + strength), bounds)
    return moved


def accuracy_under_attack(
    network: Network,
    dataset: Dataset,
    attack: Attack,
    strength: float,
    *,
    bounds: Bounds = None,
    samples: int | None = None,
    steps: int = USUAL_STEPS,
    step_size: float | None = None,
    stream: Stream | None = None,
) -> Tensor:
    """Share of attacked test samples ``(chips,)`` that the network, without noise, still classifies correctly.

    Args:
        network: what is attacked, by knowing it.
        dataset: whose test samples.
        attack: of which kind.
        strength, bounds: as of :func:`fgsm`.
        samples: only the first so many.
        steps, step_size, stream: of ``pgd``.

    Raises:
        InputError: a regression, or a network whose gradient by its inputs is zero everywhere.
    """
    if dataset.test_labels is None:
        raise InputError(
            f"{dataset.name} has no classes that an attack could make the network miss; it is a regression"
        )
    refuse_jumps(network)
    correct, count = torch.zeros(network.chips, dtype=torch.float64, device=network.device), 0
    for number, rows in enumerate(in_batches(dataset.test_inputs, samples)):
        own = (network.device, network.dtype)
        inputs, targets = (part[rows].to(*own).unsqueeze(0) for part in (dataset.test_inputs, dataset.test_targets))
        if attack == "fgsm":
            moved = fgsm(network, inputs, targets, strength, bounds)
        else:
            start = None if stream is None else stream.at(number)
            moved = pgd(network, inputs, targets, strength, bounds, steps=steps, step_size=step_size, stream=start)
        labels = dataset.test_labels[rows].to(network.device)
        with torch.no_grad():
            correct += Dataset.correct(forward(network, moved), labels).sum(1)
        count += len(labels)
    return correct / count


def refuse_jumps(network: Network) -> None:
    """Refuse networks of neurons that jump.

    Raises:
        InputError: with the reason.
    """
    if any(neuron.jumps for neuron in network.neurons):
        raise InputError(
            "attacks follow the gradient by the inputs, which is zero below neurons that jump (step activations); use an "
            "activation with a slope"
        )


def _within(inputs: Tensor, bounds: Bounds) -> Tensor:
    return inputs if bounds is None else inputs.clamp(*bounds)
