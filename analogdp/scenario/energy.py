"""What is assumed to tell the energy and time that a chip would take; none of it changes what is simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from analogdp.errors import Problem
from analogdp.scenario.quantities import Power, Time, Voltage
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario

USUAL_READ_TIME = 100e-9


class EnergySettings(Settings):
    """Assumptions about energy and time. Converters and write pulses state theirs beside what they do."""

    read_voltage: Voltage = Field(default=0.2, gt=0, le=10, description="on a line that carries a message of 1")
    read_time: Time | None = Field(
        default=None,
        gt=0,
        le=1,
        description="how long a read of a sweep takes, default 100 ns; clocks with a time read all the time",
    )
    neuron_power: Power | None = Field(
        default=None, ge=0, le=1, description="that a neuron takes all the time, biases included; null: not counted"
    )

    def resolved(self, scenario: Scenario) -> Self:
        if self.read_time is not None or scenario.dynamics.has_time:
            return self
        return self.model_copy(update={"read_time": USUAL_READ_TIME})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        if self.read_time is None or not scenario.dynamics.has_time:
            return []
        message = f"{self.read_time:g} s is of reads in a sweep; with clock: {scenario.dynamics.clock} lines conduct all the time"
        return [Problem("read_time", f"{message}; set it to null")]
