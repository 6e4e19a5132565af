"""One chip as the feedforward network that it is when nothing nudges it: what formats of other packages are made from.

A stage is a layer of weights and the neurons above it. Its weights are the effective ones, as a read without noise and converters
finds them, and mismatch of the neurons is in their response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError, Problem
from analogdp.network import Network
from analogdp.network.normalisation import as_lines
from analogdp.neurons import NeuronModel
from analogdp.neurons.activations import Activation
from analogdp.scenario.schema import Scenario
from analogdp.scenario.wiring import Wiring


class Term(NamedTuple):
    """``weight * f(slope * (drive + offset))`` of every neuron, each ``(units,)``."""

    weight: Tensor
    slope: Tensor
    offset: Tensor

    @property
    def plain(self) -> bool:
        """Whether it is ``f(drive)``."""
        return bool((self.weight == 1).all() and (self.slope == 1).all() and (self.offset == 0).all())


@dataclass(frozen=True)
class Stage:
    """From the activities of one layer to those of the next: pool, weights, normalisation, pool, neurons.

    Attributes:
        wiring: shapes, pools and kernel.
        weights: ``(lines, fan_in)``.
        bias: ``(lines,)``, added to what the weights give, or None.
        gain, shift: ``(lines,)`` of batch normalisation by its running statistics, ``gain * drive + shift``, or None.
        activation: of the neurons, or None for linear ones.
        terms: of which the activity is the sum.
    """

    wiring: Wiring
    weights: Tensor
    bias: Tensor | None
    gain: Tensor | None
    shift: Tensor | None
    activation: Activation | None
    terms: tuple[Term, ...]

    @property
    def kernels(self) -> Tensor:
        """The weights of a convolution as torch has them, ``(channels above, channels below, size, size)``."""
        return self.as_kernels(self.weights)

    def as_kernels(self, weights: Tensor) -> Tensor:
        """Weights ``(lines, fan_in)`` of a convolution as torch has them."""
        kernel = self.wiring.kernel
        assert kernel is not None
        return weights.reshape(kernel.channels, self.wiring.read[0], kernel.size, kernel.size)

    @property
    def uniform(self) -> bool:
        """Whether all neurons are alike, without mismatch."""
        return len(self.terms) == 1 and self.terms[0].plain

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weights ``(lines, fan_in)`` and bias ``(lines,)`` with the normalisation in them."""
        if self.gain is None or self.shift is None:
            return self.weights, self.bias
        bias = self.shift if self.bias is None else self.shift + self.gain * self.bias
        return self.weights * self.gain.unsqueeze(1), bias


def why_no_forward_pass(scenario: Scenario, kind: str) -> list[Problem]:
    """The problem of a format of feedforward networks with a scenario whose free network is none, if it is one."""
    model = scenario.neuron.model
    if registry.neurons.get(model).free_response is not NeuronModel.free_response:
        return []
    refusal = f"free neurons of neuron.model: {model} settle under what comes from above, too; {kind} holds feedforward networks"
    return [Problem("format", f"{refusal}; use neuron: dp_transposed")]


def inference_stages(network: Network) -> list[Stage]:
    """The stages of a network of one chip, on the CPU, in its precision.

    Raises:
        InputError: its free neurons are no function of what comes from below, or it has several chips.
    """
    if network.chips != 1:
        raise InputError(f"one chip is wanted, not {network.chips}; name one")
    stages = []
    for number, layer in enumerate(network.layers):
        projection = network.projections[number]
        response = layer.neuron.free_response(output=number == len(network.layers) - 1)
        like = network.synapses[number].weights.new_ones(layer.units)
        terms = tuple(Term(*(_of_units(value, like) for value in term)) for term in response.terms)
        gain, shift = _normalisation(projection.normalisation)
        bias = None if layer.bias is None else _plain(layer.bias).reshape(-1)
        stages.append(
            Stage(
                projection.wiring,
                _plain(network.synapses[number].weights[0]),
                bias,
                gain,
                shift,
                response.activation,
                terms,
            )
        )
    return stages


def _of_units(value: Tensor | float, like: Tensor) -> Tensor:
    values = value.reshape(-1).expand_as(like) if isinstance(value, Tensor) else like * value
    return _plain(values)


def _normalisation(own: torch.nn.Module | None) -> tuple[Tensor | None, Tensor | None]:
    if own is None:
        return None, None
    gain, offset, mean, variance = (_plain(getattr(own, name)[0]) for name in ("gain", "offset", "mean", "variance"))
    return as_lines(gain, offset, mean, variance)


def _plain(values: Tensor) -> Tensor:
    return values.detach().cpu().clone()
