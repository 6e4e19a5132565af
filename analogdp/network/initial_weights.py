"""Initial weights that were trained elsewhere: tensors of a file, with batch normalisation folded into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from analogdp.errors import InputError
from analogdp.network.normalisation import EPSILON, as_lines
from analogdp.scenario.schema import Scenario
from analogdp.scenario.settings import ProblemList
from analogdp.scenario.weights import LayerEntries, match


class InitialWeights(NamedTuple):
    """What one layer begins with.

    Attributes:
        weights: ``(lines, fan_in)``.
        bias: ``(lines,)``, or None for zeros.
    """

    weights: Tensor
    bias: Tensor | None


def read_initial_weights(scenario: Scenario) -> list[InitialWeights] | None:
    """What ``network.weights`` of a scenario names, in double precision on the CPU; None if it names nothing.

    Raises:
        InputError: the file is gone or damaged, does not fit the layers, or holds numbers that are none.
    """
    path = scenario.network.weights
    if path is None:
        return None
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        shapes = {name: tuple(values.shape) for name, values in tensors.items()}
        return initial_weights(tensors, match(shapes, scenario.wirings, scenario.network.bias), path)
    except ProblemList as error:
        raise InputError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None


def initial_weights(
    tensors: Mapping[str, Tensor], entries: Sequence[LayerEntries], source: Path | str, epsilon: float = EPSILON
) -> list[InitialWeights]:
    """The weights of layers, in double precision on the CPU, with batch normalisation folded into them.

    Args:
        tensors: by name.
        entries: which of them belong to each layer.
        source: what errors say that they come from.
        epsilon: that is added to the variances of batch normalisations.

    Raises:
        InputError: a tensor holds numbers that are not finite, or no floating-point numbers.
    """
    return [_of_layer(tensors, own, source, epsilon) for own in entries]


def _of_layer(tensors: Mapping[str, Tensor], own: LayerEntries, source: Path | str, epsilon: float) -> InitialWeights:
    weights = _numbers(tensors, own.weight, source).flatten(1)
    bias = None if own.bias is None else _numbers(tensors, own.bias, source)
    if own.normalisation is None:
        return InitialWeights(weights, bias)
    known = {leaf: _numbers(tensors, name, source) for leaf, name in own.normalisation.items()}
    mean, variance = known["running_mean"], known["running_var"]
    gain, offset = known.get("weight", torch.ones_like(mean)), known.get("bias", torch.zeros_like(mean))
    factor, shift = as_lines(gain, offset, mean, variance, epsilon)
    return InitialWeights(weights * factor.unsqueeze(1), shift if bias is None else shift + factor * bias)


def _numbers(tensors: Mapping[str, Tensor], name: str, source: Path | str) -> Tensor:
    values = tensors[name].detach()
    if not values.is_floating_point():
        raise InputError(f"{source}: {name} is of type {values.dtype}; weights are floating-point numbers")
    if not bool(values.isfinite().all()):
        raise InputError(f"{source}: {name} holds numbers that are infinite or none (NaN)")
    return values.to("cpu", torch.float64)
