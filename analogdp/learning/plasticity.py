"""Plasticity rules: from what a layer knows of its error and what it reads from below, to local updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.network import Network
from analogdp.synapses.base import LocalUpdate, Polarity

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class PlasticityRule(ABC):
    """How weights follow signals, for all layers of a network.

    Args:
        rate: learning rate, for rules that remember; updates themselves are asked for at rate 1.
        lines: a zero ``(chips, 1, out)`` for every synapse, for sizes, device and floating-point type.

    Attributes:
        polarities: the cells that each of a layer's updates is for.
        products: whether a weight change is a sum of products of signals and messages, whatever their number and sign; a rule
            that is not has one row for each sample (and position), whose signal is minus the gradient by the drive.
        linear: whether a weight change is nothing but the mean of these products, whose sum may then be computed without rows.
        decays: whether a weight change takes shares of whole lines away.
    """

    polarities: ClassVar[tuple[Polarity, ...]] = ("both",)
    products: ClassVar[bool] = True
    linear: ClassVar[bool] = False
    decays: ClassVar[bool] = False

    def __init__(self, rate: float, lines: Sequence[Tensor]) -> None:
        self.rate = rate

    @classmethod
    def contradictions(cls, scenario: Scenario) -> list[Problem]:
        """What of a scenario the rule does not go with; paths are relative to the section of learning."""
        problems = []
        if cls.polarities != ("both",) and (reason := scenario.synapse.why_not_apart()):
            problems.append(Problem("rule", f"it writes excitatory and inhibitory weights each for itself: {reason}"))
        if cls.decays and scenario.feedback.learns:
            refusal = (
                "it shrinks rows of weights, which a feedback path that learns has as columns; use feedback: random"
            )
            problems.append(Problem("rule", refusal))
        return problems

    @abstractmethod
    def updates(self, layer: int, signal: Tensor, below: Tensor, samples: int) -> tuple[LocalUpdate, ...]:
        """What a synapse is asked for, at rate 1: one update for each of :attr:`polarities`.

        Args:
            layer: the number of the synapse.
            signal: minus the gradient of the loss by the drives, as the neurons estimate it, ``(chips, rows, out)``.
            below: what the synapse read, ``(chips, rows, in)``.
            samples: over how many the mean is taken; each has one row, or one for every position of its windows.
        """

    def tensors(self) -> dict[str, Tensor]:
        """What the rule remembers, by name; to be copied into."""
        return {}


def rule_contradictions(name: str | None, scenario: Scenario) -> list[Problem]:
    """What of a scenario a rule does not go with; without a name that of its neurons."""
    rule: type[PlasticityRule] = registry.plasticity.get(name or registry.neurons.get(scenario.neuron.model).plasticity)
    return rule.contradictions(scenario)


def make_rule(name: str, rate: float, network: Network) -> PlasticityRule:
    """The rule called ``name`` for all synapses of a network."""
    lines = [own.weights.new_zeros(network.chips, 1, own.outputs) for own in network.synapses]
    made: PlasticityRule = registry.plasticity.get(name)(rate, lines)
    return made


@registry.plasticity.register("contrastive_hebbian")
class ContrastiveHebbian(PlasticityRule):
    """dW = mean over the batch of (delta / beta) s_bar(below)^T: minus the loss gradient as the dyads estimate it.

    Hoier & Zach 2024, Sec. 3.
    """

    linear = True

    def updates(self, layer: int, signal: Tensor, below: Tensor, samples: int) -> tuple[LocalUpdate, ...]:
        return (LocalUpdate(post=signal / samples, pre=below),)
