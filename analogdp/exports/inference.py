"""One chip as the feedforward network that it is when nothing nudges it: what formats of other packages are made from.

A stage is a layer of weights and the neurons above it. Its weights are the effective ones, as a read without noise and converters
finds them, and mismatch of the neurons is in their response. Where compartments of a neuron differ, free neurons send messages
down that are not in it; :class:`FeedforwardSettings` refuses that for all formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError, Problem
from analogdp.exports.base import OneChipSettings
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


class FeedforwardSettings(OneChipSettings):
    """Of formats that hold one chip as the feedforward network that it is when nothing nudges it."""

    lossy: tuple[str, ...] = Field(default=(), description="what may be lost")

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        found = [*super().contradictions(scenario), *why_no_forward_pass(scenario, self.format)]
        lost = {kind: words for kind, words in self.losses(scenario).items() if kind not in self.lossy}
        way_out = way_to_lose([*self.lossy, *lost])
        return [
            *found,
            *(Problem("format", f"{self.format} cannot hold {words}; {way_out}") for words in lost.values()),
        ]

    def losses(self, scenario: Scenario) -> dict[str, str]:
        """What the format cannot hold of a scenario, in words, by what allows that in ``lossy``."""
        return _messages(scenario)

    def left_out(self, scenario: Scenario) -> list[str]:
        """What the run has and the file has not, in words, for the file's own metadata."""
        lost = [kind.replace("_", " ") for kind in self.losses(scenario)]
        return [*lost, *(words for words in inexact_reads(scenario) if words not in lost)]


def way_to_lose(kinds: Sequence[str]) -> str:
    """What to say to a format that refuses to lose something."""
    return f"to export without: lossy=[{', '.join(sorted(set(kinds)))}]"


def inexact_reads(scenario: Scenario) -> list[str]:
    """What makes a read of the cells other than a product with the effective weights, in words."""
    synapse = scenario.synapse
    converters = getattr(synapse, "dac", None) or getattr(synapse, "adc", None)
    return ["converters"] * bool(converters) + ["read noise"] * synapse.noisy_reads


def _messages(scenario: Scenario) -> dict[str, str]:
    """What free neurons send down where their compartments differ, if anything listens to it."""
    spreads = {name: getattr(scenario.mismatch, name).compartments for name in ("gain", "offset")}
    apart = [f"mismatch.{name}.compartments: {spread:g}" for name, spread in spreads.items() if spread]
    listening = len(scenario.wirings) > 1 or getattr(scenario.neuron, "input_strength", 0.0) > 0
    if not (apart and listening and registry.neurons.get(scenario.neuron.model).listens):
        return {}
    return {"messages": f"what free neurons send down where their compartments differ ({', '.join(apart)})"}


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
