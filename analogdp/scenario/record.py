"""What a scenario says about traces that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from analogdp import registry
from analogdp.errors import Problem
from analogdp.registry import suggestion
from analogdp.scenario.settings import Settings
from analogdp.scenario.words import shown

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

UNITS_RECORDED = 8
"""Units of a layer that are recorded unless a scenario says which."""


def _units(value: Any) -> Any:
    """What may say which units, as it is; one message for everything else."""
    items = value if isinstance(value, tuple) else (value,)
    whole = bool(items) and all(type(item) is int and item >= 0 for item in items)
    if value is None or value == "all" or (whole and value != 0):
        return value
    raise ValueError(f"expected indices such as [0, 1, 2], how many of the first units, or all, not {shown(value)}")


UnitsField = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...] | Annotated[int, Field(ge=1)] | Literal["all"], BeforeValidator(_units)
]


class RecordSettings(Settings):
    """Traces of some units of a layer, recorded in some presentations while the network learns."""

    layer: int = Field(ge=1, description="whose units: 1 is the first hidden layer, the last one the output")
    what: str = Field(
        default="states",
        description="states: all compartments; the name of one; up, down: what the layers above and below see",
    )
    units: UnitsField | None = Field(
        default=None, description="indices from 0, or how many of the first ones; default: at most 8"
    )
    samples: int = Field(default=1, ge=1, description="how many of the first samples of the batch")
    every: int = Field(default=1, ge=1, description="steps between points")
    updates: int | None = Field(
        default=None, ge=1, description="weight updates between recorded presentations; default: an epoch"
    )
    during: Literal["training"] = Field(default="training", description="tests are not recorded")

    def resolved(self, scenario: Scenario) -> Self:
        width = scenario.sizes[self.layer]
        return self.model_copy(update={"units": min(UNITS_RECORDED, width) if self.units is None else self.units})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        *hidden, width = scenario.sizes[: self.layer + 1]
        if len(hidden) < self.layer:
            top = len(hidden)
            return [
                Problem(
                    "layer", f"{self.layer} is out of range; allowed: 1, the first hidden layer, to {top}, the output"
                )
            ]
        problems = []
        known = ("states", *registry.neurons.get(scenario.neuron.model).compartments, "up", "down")
        if self.what not in known:
            problems.append(Problem("what", f"unknown value {self.what!r}: {suggestion(self.what, known)}"))
        if isinstance(self.units, int) and self.units > width:
            problems.append(Problem("units", f"{self.units} is out of range; layer {self.layer} has {width} units"))
        if isinstance(self.units, tuple) and len({*self.units}) < len(self.units):
            problems.append(Problem("units", f"{list(self.units)} names a unit twice"))
        if isinstance(self.units, tuple):
            problems += [
                Problem(f"units.{place}", f"{unit} is out of range; units of layer {self.layer}: 0 to {width - 1}")
                for place, unit in enumerate(self.units)
                if unit >= width
            ]
        if self.samples > scenario.learning.batch:
            problems.append(
                Problem(
                    "samples",
                    f"{self.samples} is out of range; allowed: 1 to {scenario.learning.batch} (learning.batch)",
                )
            )
        return problems
