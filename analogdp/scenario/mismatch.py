"""How neurons deviate from their nominal values, as a scenario says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag

from analogdp import registry
from analogdp.errors import Problem
from analogdp.scenario.quantities import Ratio, Time, to_si
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

WIDEST = {"normal": 0.33, "uniform": 1 / math.sqrt(3), "lognormal": 1.0}
"""Largest standard deviations of a factor: up to here 0.12 % of the normal and no uniform ones would be zero or negative."""

_WITHOUT_LOGNORMAL = {
    "alpha": "has no upper limit, but mixing, which alpha varies too, ends at 1; give it to push and pull instead",
    "mixing": "has no upper limit, but mixing ends at 1; use normal or uniform",
    "offset": "needs a positive mean, but offsets lie around 0; use normal or uniform",
}


class Spread(Settings):
    """How a parameter varies: from neuron to neuron, and further between the compartments of one neuron.

    Compartments lie side by side on a chip and match much better than distant neurons do. How well matters: a difference in
    gain or offset between them is an error signal that no label asked for.
    """

    std: Ratio = Field(default=0.0, ge=0, le=1, description="standard deviation from neuron to neuron")
    compartments: Ratio = Field(
        default=0.0, ge=0, le=1, description="standard deviation between a neuron's compartments"
    )
    distribution: Literal["normal", "lognormal", "uniform"] = Field(
        default="normal", description="shape of both spreads; lognormal only for tau, gain, push and pull"
    )

    def __bool__(self) -> bool:
        return bool(self.std or self.compartments)


class TimeSpread(Spread):
    """How a time constant varies, in seconds. A resolved scenario has the ratio to the time constant instead."""

    std: Time = Field(default=0.0, ge=0, description="standard deviation from neuron to neuron")
    compartments: Time = Field(default=0.0, ge=0, description="standard deviation between a neuron's compartments")

    def relative_to(self, nominal: float) -> Spread:
        """The same spread as a ratio to a time constant in seconds."""
        return Spread(std=self.std / nominal, compartments=self.compartments / nominal, distribution=self.distribution)


def _spread(value: Any) -> Any:
    return {"std": value} if isinstance(value, int | float | str) else value


def _kind_of_spread(value: Any) -> str:
    """A spread is one in time if all of its numbers are written with units of time: plain numbers are ratios."""
    if isinstance(value, Spread):
        return type(value).__name__
    scales = [value[name] for name in ("std", "compartments") if name in value] if isinstance(value, Mapping) else []
    return "TimeSpread" if scales and all(map(_is_time, scales)) else "Spread"


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _has_unit(value, "second") and not _has_unit(value, "dimensionless")


def _has_unit(value: str, unit: str) -> bool:
    try:
        to_si(value, unit)
    except ValueError:
        return False
    return True


SpreadField = Annotated[Spread, BeforeValidator(_spread, json_schema_input_type=Ratio | Spread)]
OptionalSpreadField = Annotated[Spread | None, BeforeValidator(_spread, json_schema_input_type=Ratio | Spread | None)]
TimeSpreadField = Annotated[
    Annotated[Spread, Tag("Spread")] | Annotated[TimeSpread, Tag("TimeSpread")],
    Discriminator(_kind_of_spread),
    BeforeValidator(_spread, json_schema_input_type=Ratio | Time | Spread | TimeSpread),
]


class MismatchSettings(Settings):
    """Device-to-device variation of the neurons; drawn once for every chip. A bare number is a standard deviation."""

    tau: TimeSpreadField = Field(default=Spread(), description="membrane time constant: relative, or a time")
    alpha: SpreadField = Field(
        default=Spread(), description="push gain, pull gain and mixing weight, each on its own; absolute"
    )
    push: OptionalSpreadField = Field(default=None, description="push gain, absolute; null: as alpha says")
    pull: OptionalSpreadField = Field(default=None, description="pull gain, absolute; null: as alpha says")
    mixing: OptionalSpreadField = Field(default=None, description="mixing weight, absolute; null: as alpha says")
    gain: SpreadField = Field(default=Spread(), description="factor of the transfer function, relative")
    offset: SpreadField = Field(default=Spread(), description="added to the drive, absolute")

    def of(self, parameter: Literal["push", "pull", "mixing"]) -> Spread:
        """How one of the three varies that follow alpha unless they have a spread of their own."""
        own: Spread | None = getattr(self, parameter)
        return self.alpha if own is None else own

    def resolved(self, scenario: Scenario) -> Self:
        if not isinstance(self.tau, TimeSpread):
            return self
        return self.model_copy(update={"tau": self.tau.relative_to(scenario.neuron.tau)})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        lognormal = [
            Problem(f"{name}.distribution", f"a lognormal spread {reason}")
            for name, reason in _WITHOUT_LOGNORMAL.items()
            if (spread := getattr(self, name)) is not None and spread.distribution == "lognormal"
        ]
        split = [
            Problem(
                f"{name}.compartments",
                f"push, pull and mixing belong to the neuron as a whole: push acts on s+ alone, pull on s-; use {name}.std",
            )
            for name in ("alpha", "push", "pull", "mixing")
            if (spread := getattr(self, name)) is not None and spread.compartments
        ]
        nominal = scenario.neuron.tau if isinstance(self.tau, TimeSpread) else 1.0
        unused = []
        if not registry.neurons.get(scenario.neuron.model).asymmetric:
            unused = [
                Problem(name, f"neurons of model {scenario.neuron.model!r} have no push, pull and mixing; remove it")
                for name in ("alpha", "push", "pull", "mixing")
                if getattr(self, name)
            ]
        if self.tau and not scenario.dynamics.uses_tau:
            refusal = f"clock: {scenario.dynamics.clock} moves neurons without their time constants; remove it"
            unused.append(Problem("tau", refusal))
        return unused + lognormal + split + _too_wide("tau", self.tau, nominal) + _too_wide("gain", self.gain, 1.0)


def _too_wide(name: str, spread: Spread, nominal: float) -> list[Problem]:
    """What is wrong with a spread of factors around 1, given in units of which one is ``nominal``."""
    unit = " s" if isinstance(spread, TimeSpread) else ""
    widest = WIDEST[spread.distribution]
    problems = []
    for scale in ("std", "compartments"):
        written: float = getattr(spread, scale)
        if written / nominal > widest:
            allowed = f"allowed with distribution: {spread.distribution}: 0 to {widest * nominal:g}{unit}"
            if spread.distribution == "lognormal":
                problem = f"{written:g}{unit} is more than the mean; {allowed}"
            else:
                share = _share_below_zero(written / nominal, spread.distribution)
                problem = (
                    f"{written:g}{unit} would make {name} zero or negative in {share:.2g} % of all draws; {allowed}; or use "
                    f"distribution: lognormal, always positive, up to {WIDEST['lognormal'] * nominal:g}{unit}"
                )
            problems.append(Problem(f"{name}.{scale}", problem))
    return problems


def _share_below_zero(std: float, distribution: str) -> float:
    """Percent of factors of mean 1 that a normal or uniform distribution would make zero or negative."""
    if distribution == "uniform":
        return 50 * (1 - 1 / (math.sqrt(3) * std))
    return 50 * math.erfc(1 / (math.sqrt(2) * std))
