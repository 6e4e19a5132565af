"""The feedback section of a scenario: what errors come down through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from analogdp.errors import Problem
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class FeedbackSettings(Settings):
    """What errors come down through from layer to layer. A bare name stands for a path with all its defaults."""

    path: Literal["transposed", "copy", "kolen_pollack", "random"] = Field(
        default="transposed",
        description="transposed: the synapses themselves, read backwards; copy: synapses of their own that start as copies and "
        "get the same updates; kolen_pollack: the same from random weights, and all weights decay; random: fixed random weights",
    )
    gain: Ratio | None = Field(
        default=None,
        gt=0,
        le=100,
        description="random weights are normal with variance gain^2 / fan-in of the synapse that they stand beside; default 1",
    )
    decay: Ratio | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share that every update takes from the weights of both ways with kolen_pollack; default 3e-3",
    )

    @property
    def separate(self) -> bool:
        """Whether errors have synapses of their own."""
        return self.path != "transposed"

    @property
    def starts_random(self) -> bool:
        """Whether these start without knowing the weights that they stand beside."""
        return self.path in ("kolen_pollack", "random")

    @property
    def learns(self) -> bool:
        """Whether these get the updates of the synapses that they stand beside."""
        return self.path in ("copy", "kolen_pollack")

    def resolved(self, scenario: Scenario) -> Self:
        gain = 1.0 if self.gain is None and self.starts_random else self.gain
        decay = 3e-3 if self.decay is None and self.path == "kolen_pollack" else self.decay
        return self.model_copy(update={"gain": gain, "decay": decay})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = []
        if self.gain is not None and not self.starts_random:
            problems.append(Problem("gain", "only random weights have it; use path: random or kolen_pollack"))
        if self.decay is not None and self.path != "kolen_pollack":
            problems.append(Problem("decay", f"{self.decay:g} is only used by path: kolen_pollack"))
        if self.separate and len(scenario.sizes) < 3:
            message = "there are no hidden layers that errors could come down to; use path: transposed"
            problems.append(Problem("path", message))
        if self.path == "copy" and not scenario.synapse.written_by_pulses:
            message = (
                "copies of ideal weights stay equal to them; use path: transposed, or physical cells for the synapses"
            )
            problems.append(Problem("path", message))
        if self.separate and scenario.noise.conductance is not None:
            message = (
                "noise.conductance reaches only the synapses themselves; use path: transposed, or set the noise to null"
            )
            problems.append(Problem("path", message))
        return problems


def _path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


FeedbackField = Annotated[FeedbackSettings, BeforeValidator(_path, json_schema_input_type=str | FeedbackSettings)]
