"""The run section of a scenario: where and how it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from analogdp.errors import Problem
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class RunSettings(Settings):
    """Where and how the simulation is computed; nothing here changes what is simulated."""

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$",
        description="one of auto, cpu, cuda, cuda:0, cuda:1, ...",
    )
    dtype: Literal["float32", "float64"] = Field(default="float32", description="of all computed numbers")
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="CPU threads; default: 1 for small networks, else all"
    )
    compile: bool = Field(
        default=False, description="let torch.compile fuse several time steps; needs a C++ compiler on the CPU"
    )
    only_chips: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        min_length=1,
        description="indices of the chips to simulate, of all that the scenario has; null: all",
    )
    directory: Path = Field(default=Path("runs"), strict=False, description="where run directories are made")
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="weight updates between checkpoints; default: an epoch"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = [
            Problem(f"only_chips.{place}", f"{chip} is out of range; chips of this scenario: 0 to {scenario.chips - 1}")
            for place, chip in enumerate(self.only_chips or ())
            if chip >= scenario.chips
        ]
        if len({*(self.only_chips or ())}) < len(self.only_chips or ()):
            problems.append(Problem("only_chips", "a chip is named twice"))
        if not self.compile:
            return problems
        reason = scenario.dynamics.why_not_compiled(scenario) or scenario.learning.why_not_compiled()
        if not all(wiring.plain for wiring in scenario.wirings):
            reason = "layers with convolutions, pools or normalisation cannot be compiled"
        return [*problems, Problem("compile", f"{reason}; set it to false")] if reason else problems
