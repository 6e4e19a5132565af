"""What a scenario wants measured of a network while it learns, beside how well it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field

from analogdp import registry
from analogdp.errors import Problem
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

Attack = Literal["fgsm", "pgd"]

STRETCH = 2.5
"""Way of all steps of projected gradient descent over the strength: they may reach the border and turn (Madry et al. 2018)."""

NOT_ANALYSED = {
    "neuron.model": "{name} are no dyads, whose asymmetric nudging is what can be analysed; use dp or dp_transposed",
    "neuron.activation": "{name} that jump have no Jacobian; use an activation with a slope",
    "neuron.damping": "damped layers are not linearised; use damping: none",
    "neuron.input_strength": "inputs that move are not linearised; use 0",
    "network.layers": "batch normalisation joins the samples of a batch; it is not linearised",
}
"""What the stability of networks cannot be analysed with, by the setting that brings it."""


class SomeBatches(Settings):
    """Which batches are measured."""

    every: int = Field(default=1, ge=1, description="weight updates from one measured batch to the next")
    until: int | None = Field(default=None, ge=1, description="only the first so many updates; null: all")

    def include(self, update: int) -> bool:
        """Whether the batch after so many weight updates is one of them."""
        return update % self.every == 0 and (self.until is None or update < self.until)


class AlignmentSettings(SomeBatches):
    """Angles between the weight changes that the local rule wants and minus the gradient of the loss."""

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        learning = scenario.learning
        if learning.mode != "settle_then_update":
            return [Problem("", f"{learning.mode} has no batches to compare; use learning.mode: settle_then_update")]
        rule = getattr(learning, "rule", None) or registry.neurons.get(scenario.neuron.model).plasticity
        if not registry.plasticity.get(rule).products:
            return [Problem("", f"changes of {rule} depend on the weights, too, and have no direction of their own")]
        return []


class StabilitySettings(SomeBatches):
    """How far the nudged network is from settling no longer."""

    every: int = Field(default=100, ge=1, description="weight updates from one analysed batch to the next")
    samples: int = Field(default=8, ge=1, le=1000, description="only the first so many of a batch")
    warn: Ratio = Field(
        default=0.8, gt=0, le=1, description="share of the way to where stability ends that calls for a warning"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        neuron = scenario.neuron
        present = {
            "neuron.model": not registry.neurons.get(neuron.model).asymmetric,
            "neuron.activation": not _smooth(scenario),
            "neuron.damping": getattr(neuron, "damping", "none") != "none",
            "neuron.input_strength": bool(getattr(neuron, "input_strength", 0)),
            "network.layers": any(wiring.normalised for wiring in scenario.wirings),
        }
        refused = next((setting for setting, there in present.items() if there), None)
        if refused is None:
            return []
        return [Problem("", f"{refused}: {NOT_ANALYSED[refused].format(name=f'{neuron.model} neurons')}")]


class AttackSettings(Settings):
    """Tests with inputs that are moved a little, so that the network errs."""

    attacks: tuple[Attack, ...] = Field(
        default=("fgsm", "pgd"),
        min_length=1,
        description="fgsm: one step along the sign of the gradient; pgd: many small ones",
    )
    strengths: tuple[Annotated[Ratio, Field(gt=0, le=1000)], ...] = Field(
        min_length=1, max_length=100, description="by how much a number of an input moves at most"
    )
    steps: int = Field(default=10, ge=1, le=10_000, description="of pgd")
    step_size: Ratio | None = Field(default=None, gt=0, le=1000, description="of pgd; default 2.5 x strength / steps")
    random_start: bool = Field(default=True, description="pgd starts from a random place within its reach")
    samples: int | None = Field(default=1000, ge=1, description="only the first so many test samples; null: all")
    bounded: bool | None = Field(
        default=None,
        description="inputs stay between 0 and 1; default: images that are not normalised to anything else do",
    )

    def resolved(self, scenario: Scenario) -> Self:
        if self.bounded is not None:
            return self
        data = scenario.data
        return self.model_copy(
            update={"bounded": len(data.shape()) == 3 and data.normalise in ("none", "range") and not data.test_noise}
        )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = []
        if scenario.data.regression():
            refusal = f"{scenario.data.name} has no classes that an attack could make the network miss"
            problems.append(Problem("", f"{refusal}; leave it away"))
        if not _smooth(scenario):
            problems.append(Problem("", "below neurons that jump the gradient is zero; use an activation with a slope"))
        if "pgd" not in self.attacks:
            given = {"steps": 10, "step_size": None, "random_start": True}
            problems += [
                Problem(name, "is only used by pgd; add it to attacks, or leave this away")
                for name, default in given.items()
                if getattr(self, name) != default
            ]
        return problems

    def size_of_steps(self, strength: float) -> float:
        """Of pgd at a strength."""
        return STRETCH * strength / self.steps if self.step_size is None else self.step_size


class MeasureSettings(Settings):
    """What is measured beside losses and accuracies."""

    alignment: AlignmentSettings | None = Field(
        default=None, description="angles to backpropagation, batch by batch, in alignment.parquet"
    )
    stability: StabilitySettings | None = Field(
        default=None, description="loop gain, leading eigenvalue and settling, batch by batch, in stability.parquet"
    )
    lipschitz: bool = Field(
        default=False, description="bounds of the Lipschitz constant at every evaluation, as columns of the metrics"
    )
    adversarial: AttackSettings | None = Field(
        default=None, description="test accuracy under attack at every evaluation, as columns of the metrics"
    )

    def resolved(self, scenario: Scenario) -> Self:
        if self.adversarial is None:
            return self
        return self.model_copy(update={"adversarial": self.adversarial.resolved(scenario)})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        wanted = {"alignment": self.alignment, "lipschitz": self.lipschitz, "adversarial": self.adversarial}
        present = {name: section for name, section in wanted.items() if section}
        problems = [] if self.stability is None else _placed("stability", self.stability.contradictions(scenario))
        if scenario.neuron.compares_phases:
            refusal = (
                f"free {scenario.neuron.model} neurons settle under what comes from above, so there is no forward pass"
            )
            return problems + [Problem(name, f"{refusal} to differentiate; leave it away") for name in present]
        if self.lipschitz and not _smooth(scenario):
            problems.append(Problem("lipschitz", "neurons that jump have no such constant; leave it away"))
        for name, section in present.items():
            if isinstance(section, AlignmentSettings | AttackSettings):
                problems += _placed(name, section.contradictions(scenario))
        return problems


def _placed(section: str, problems: list[Problem]) -> list[Problem]:
    """Problems of a section as those of what it is in."""
    return [Problem(f"{section}.{one.path}".rstrip("."), one.message) for one in problems]


def _smooth(scenario: Scenario) -> bool:
    """Whether hidden neurons have a transfer function without jumps."""
    activation = getattr(scenario.neuron, "activation", None)
    return activation is None or registry.activations.get(activation.name).continuous
