"""Dual-weight rules: the excitatory or the inhibitory weights of a unit move towards its inputs, as its error has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.learning.plasticity import PlasticityRule
from analogdp.neurons.activations import make_activation
from analogdp.synapses.base import LocalUpdate, Polarity
from analogdp.synapses.pair import PairSettings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

TYPICAL_SHARE = 0.1
"""What an error of its typical size takes of a stabilised unit's weights, over the rate (Wang 2025, Appendix B)."""
FIRST_SIZE = 1.0
"""Typical size of every unit's errors before any was seen (Wang 2025, Appendix B)."""


@registry.plasticity.register("dual_weight")
class DualWeight(PlasticityRule):
    """Units of two sets of weights, z = (W1 - W2) x + b, which approach the inputs that the error speaks for or against.

        g < 0:  W1 <- (1 - rate |g|) W1 + rate |g| x        g = dL/dz = -signal, of every unit
        g > 0:  W2 <- (1 - rate |g|) W2 + rate |g| x        (Wang 2025, Eq. 12-17)

    Many samples, and positions of windows, ask for the mean of what each alone would do. What they take from a line together
    is at most all of it: larger steps are scaled down until the line is the weighted mean of the inputs.
    """

    polarities: ClassVar[tuple[Polarity, ...]] = ("plus", "minus")
    products: ClassVar[bool] = False
    decays: ClassVar[bool] = True

    @classmethod
    def contradictions(cls, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        synapse, data = scenario.synapse, scenario.data
        if not (isinstance(synapse, PairSettings) and synapse.non_negative):
            return problems
        approached = "weights approach what they read, but synapse.non_negative keeps them from falling below 0"
        if data.normalise in ("standard", "channels"):
            refusal = f"{approached}, as inputs of data.normalise: {data.normalise} do; use normalise: range or none"
            problems.append(Problem("rule", refusal))
        if data.train_noise and not data.clamp:
            problems.append(Problem("rule", f"{approached}, as noisy inputs do; use data.clamp: true"))
        activation = getattr(scenario.neuron, "activation", None)
        if activation is not None and bool((make_activation(activation)(torch.linspace(-10, 10, 101)) < 0).any()):
            refusal = f"{approached}, as activities of neuron.activation: {activation.name} do; use relu"
            problems.append(Problem("rule", refusal))
        return problems

    def updates(self, layer: int, signal: Tensor, below: Tensor, samples: int) -> tuple[LocalUpdate, ...]:
        excited, inhibited = signal.clamp(min=0) / samples, signal.clamp(max=0) / samples
        return self._approach(excited, below, "plus"), self._approach(inhibited, below, "minus")

    def _approach(self, post: Tensor, below: Tensor, polarity: Polarity) -> LocalUpdate:
        """What moves the lines of a polarity towards what they read, by shares ``|post|`` at rate 1."""
        share, most = post.sum(1).abs_(), 1 / self.rate
        bound = most / share.clamp(min=most)
        return LocalUpdate(post * bound.unsqueeze(1), below, share * bound, polarity)


@registry.plasticity.register("dual_weight_stabilised")
class StabilisedDualWeight(DualWeight):
    """Dual weights whose steps are measured by the typical error G of each unit, and never larger than the rate.

        u = rate min(1, 0.1 |g| / G)        takes the place of rate |g|
        G <- (1 - rate) G + rate |g|        after the weights, where g is not 0; at first 1

    (Wang 2025, Appendix B.) Many samples have the same G, and change it by the mean of what each alone would do.
    """

    def __init__(self, rate: float, lines: Sequence[Tensor]) -> None:
        super().__init__(rate, lines)
        self._sizes = [torch.full_like(own, FIRST_SIZE) for own in lines]

    def updates(self, layer: int, signal: Tensor, below: Tensor, samples: int) -> tuple[LocalUpdate, ...]:
        size = self._sizes[layer]
        wanted = super().updates(layer, (signal * (TYPICAL_SHARE / size)).clamp_(-1, 1), below, samples)
        surprise = torch.where(signal == 0, 0.0, signal.abs() - size).mean(1, keepdim=True)
        size.add_(surprise, alpha=min(self.rate, 1.0))
        return wanted

    def tensors(self) -> dict[str, Tensor]:
        return {f"size{layer}": own for layer, own in enumerate(self._sizes)}
