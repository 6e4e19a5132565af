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


class AlignmentSettings(Settings):
    """Angles between the weight changes that the local rule wants and minus the gradient of the loss."""

    every: int = Field(default=1, ge=1, description="weight updates from one measured batch to the next")
    until: int | None = Field(default=None, ge=1, description="only the first so many updates; null: all")

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        learning = scenario.learning
        if learning.mode != "settle_then_update":
            return [Problem("", f"{learning.mode} has no batches to compare; use learning.mode: settle_then_update")]
        rule = getattr(learning, "rule", None) or registry.neurons.get(scenario.neuron.model).plasticity
        if not registry.plasticity.get(rule).products:
            return [Problem("", f"changes of {rule} depend on the weights, too, and have no direction of their own")]
        return []


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
        if scenario.neuron.compares_phases:
            refusal = (
                f"free {scenario.neuron.model} neurons settle under what comes from above, so there is no forward pass"
            )
            return [Problem(name, f"{refusal} to differentiate; leave it away") for name in present]
        problems = []
        if self.lipschitz and not _smooth(scenario):
            problems.append(Problem("lipschitz", "neurons that jump have no such constant; leave it away"))
        for name, section in present.items():
            if isinstance(section, AlignmentSettings | AttackSettings):
                found = section.contradictions(scenario)
                problems += [Problem(f"{name}.{one.path}".rstrip("."), one.message) for one in found]
        return problems


def _smooth(scenario: Scenario) -> bool:
    """Whether hidden neurons have a transfer function without jumps."""
    activation = getattr(scenario.neuron, "activation", None)
    return activation is None or registry.activations.get(activation.name).continuous
