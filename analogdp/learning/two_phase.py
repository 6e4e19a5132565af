"""Learning from two phases: a sample settles freely and again with nudged or clamped outputs; weights follow the difference.

    dW = sum over phases of factor x post pre^T, where the factors sum to 0

Equilibrium propagation (Scellier & Bengio 2017; with both signs of beta Laborieux et al. 2021), contrastive Hebbian
learning (Movellan 1991), coupled learning (Stern et al. 2021).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.dynamics import Settling
from analogdp.errors import Problem
from analogdp.learning.trainer import BatchSettings, Rows, Trainer
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

UNLIKELY = 4
"""Standard deviations of the nudging strength that no moment is expected to exceed."""


class TwoPhaseSettings(BatchSettings):
    """What all ways of learning from two phases have."""

    compares_phases = True

    @property
    def phases(self) -> int:
        """How often a sample settles, freely included."""
        return 2

    def evaluations(self, scenario: Scenario) -> int:
        return self.phases * super().evaluations(scenario)


class EquilibriumPropagationSettings(TwoPhaseSettings):
    """Equilibrium propagation."""

    mode: Literal["equilibrium_propagation"] = "equilibrium_propagation"
    variant: Literal["positive", "negative", "centred"] = Field(
        default="centred",
        description="what is compared: free and nudged by beta; free and nudged by -beta; nudged by beta and by -beta",
    )

    @property
    def phases(self) -> int:
        return 3 if self.variant == "centred" else 2

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        beta: Ratio = getattr(scenario.neuron, "beta", None) or self.nudging
        strongest = beta * (1 + UNLIKELY * scenario.noise.nudging)
        limit = 1 / registry.losses.get(scenario.network.loss).curvature
        if self.variant != "positive" and strongest >= limit:
            noisy = f", {UNLIKELY} standard deviations of its noise included" if scenario.noise.nudging else ""
            refusal = f"{self.variant} pushes outputs away from the label, which has no end at neuron.beta = {beta:g}; allowed"
            problems.append(Problem("variant", f"{refusal}: beta below {limit:g}{noisy}, or variant: positive"))
        return problems


class ContrastiveHebbianSettings(TwoPhaseSettings):
    """Contrastive Hebbian learning."""

    clamps_outputs = True
    nudging = 1.0
    mode: Literal["contrastive_hebbian_learning"] = "contrastive_hebbian_learning"

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        beta = getattr(scenario.neuron, "beta", None) or self.nudging
        if beta != self.nudging:
            refusal = f"contrastive_hebbian_learning clamps outputs to their labels, but neuron.beta is {beta:g}; leave that away"
            problems.append(Problem("mode", f"{refusal}, or use coupled_learning"))
        return problems


class CoupledLearningSettings(TwoPhaseSettings):
    """Coupled learning: outputs are clamped a share beta of the way from where they are to the label."""

    clamps_outputs = True
    nudging = 0.1
    mode: Literal["coupled_learning"] = "coupled_learning"


class Phase(NamedTuple):
    """A phase after the free one.

    Attributes:
        label: what outputs are nudged or clamped to, ``(chips or 1, batch, out)``.
        nudging: strength, a number or one for each chip.
        factor: of its products in the weight change, likewise.
    """

    label: Tensor
    nudging: float | Tensor
    factor: float | Tensor


class TwoPhaseTrainer(Trainer):
    """Trains by what several phases of a sample differ in.

    Every phase takes all the time that a settling may take, so that all chips change phases together. Those after the free
    one start from where that has ended, with the messages that were on their way and what integrators remembered then, so
    that their order does not matter but for noise.
    """

    @abstractmethod
    def phases(self, prediction: Tensor, label: Tensor) -> tuple[float | Tensor | None, Sequence[Phase]]:
        """The factor of the free phase's products, None if they do not count, and the phases after it.

        Args:
            prediction: outputs at the end of the free phase, ``(chips, batch, out)``.
            label: wanted outputs.
        """

    def _settle(self, inputs: Tensor, targets: Tensor, stream: Stream) -> tuple[Settling, Sequence[Rows]]:
        self.simulation.present(inputs, stream=stream)
        free = self.simulation.settle(whole=True)
        prediction = free.prediction.clone()
        rest = {name: tensor.clone() for name, tensor in self.simulation.tensors().items()}
        factor, phases = self.phases(prediction, targets)
        settlings, terms = [free], [self._weighted(inputs, free, 0.0 if factor is None else factor)]
        for phase in phases:
            self.simulation.go_back(rest)
            self.simulation.switch(inputs, phase.label, phase.nudging)
            settlings.append(self.simulation.settle(whole=True))
            terms.append(self._weighted(inputs, settlings[-1], phase.factor))
        if factor is None and self._rule.products:
            del terms[0]
        return _together(settlings, prediction), [self._contrast(layer) for layer in zip(*terms, strict=True)]

    def _weighted(self, inputs: Tensor, settling: Settling, factor: float | Tensor) -> list[Rows]:
        """A phase's signals times its factor and its messages, in tensors that the next phase leaves alone."""
        return [(signal * factor, below.clone()) for signal, below in self._signals(inputs, settling)]

    def _contrast(self, terms: Sequence[Rows]) -> Rows:
        """What one layer learns from its phases, the free one first unless it does not count."""
        signals, below = zip(*terms, strict=True)
        if self._rule.products:
            return torch.cat(signals, 1), torch.cat(below, 1)
        # Rules that are not products take an error for each sample: at the activities that the network works with.
        return torch.stack(signals).sum(0), below[0]


def _together(settlings: Sequence[Settling], prediction: Tensor) -> Settling:
    """All phases as one settling, which has settled where every phase has."""
    last, settled_after = settlings[-1], None
    after = [own.settled_after for own in settlings if own.settled_after is not None]
    if after:
        each = torch.stack(after)
        settled_after = torch.where((each >= 0).all(0), each.sum(0), -1)
    return Settling(
        last.state,
        prediction,
        sum(own.steps for own in settlings),
        torch.stack([own.chip_steps for own in settlings]).sum(0),
        settled_after,
        last.messages,
    )


@registry.trainers.register("equilibrium_propagation")
class EquilibriumPropagation(TwoPhaseTrainer):
    """dW = [s s^T at beta_2 - s s^T at beta_1] / (beta_2 - beta_1), of nudging strengths 0, beta or -beta."""

    Settings: ClassVar[type[BatchSettings]] = EquilibriumPropagationSettings

    def phases(self, prediction: Tensor, label: Tensor) -> tuple[float | Tensor | None, Sequence[Phase]]:
        assert isinstance(self.settings, EquilibriumPropagationSettings)
        beta = float(self._beta)
        if self.settings.variant == "centred":
            return None, [Phase(label, beta, 1 / (2 * beta)), Phase(label, -beta, -1 / (2 * beta))]
        signed = beta if self.settings.variant == "positive" else -beta
        return -1 / signed, [Phase(label, signed, 1 / signed)]


@registry.trainers.register("coupled_learning")
class CoupledLearning(TwoPhaseTrainer):
    """dW = [s s^T clamped - s s^T free] / beta, with outputs clamped to free + beta (label - free)."""

    Settings: ClassVar[type[BatchSettings]] = CoupledLearningSettings

    def phases(self, prediction: Tensor, label: Tensor) -> tuple[float | Tensor | None, Sequence[Phase]]:
        beta = float(self._beta)
        clamped = torch.lerp(prediction, label.expand_as(prediction), beta)
        return -1 / beta, [Phase(clamped, 1.0, 1 / beta)]


@registry.trainers.register("contrastive_hebbian_learning")
class ContrastiveHebbianLearning(CoupledLearning):
    """dW = s s^T clamped - s s^T free, with outputs clamped to the label: coupled learning at beta = 1."""

    Settings: ClassVar[type[BatchSettings]] = ContrastiveHebbianSettings
