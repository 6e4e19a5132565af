"""Options of the format ``spice``, and what the scenario alone tells that it cannot hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analogdp.errors import InputError, Problem
from analogdp.exports.base import OneChipSettings, why_no_cells
from analogdp.exports.inference import why_no_forward_pass
from analogdp.exports.spice.memristors import Memristor
from analogdp.exports.spice.network import why_no_dyads
from analogdp.scenario.quantities import Ratio, Time, Voltage
from analogdp.scenario.schema import Scenario
from analogdp.synapses import CrossbarSettings


class SpiceSettings(OneChipSettings):
    """A folder of netlists: a subcircuit for every crossbar, and a deck that reads them."""

    format: Literal["spice"] = "spice"
    dialect: Literal["ngspice", "ltspice", "xyce"] = Field(
        default="ngspice",
        description="whose netlists; those of `ltspice` and `xyce` were never run",
    )
    cells: Literal["resistors", "memristors"] = Field(
        default="resistors",
        description="`memristors`: subcircuits with the card's state equation, which begin with the trained states; for cards of "
        "model `ion_drift`, `vteam` and `yakopcic`",
    )
    layer: int | None = Field(
        default=None, ge=0, description="number of the crossbar that is written, from 0 at the input; `null`: all"
    )
    read_voltage: Voltage | None = Field(
        default=None,
        gt=0,
        le=100,
        description="volts at a line for a message of 1; `null`: 1 V for resistors, the card's `read_voltage` for memristors",
    )
    sample: int = Field(default=0, ge=0, description="index of the test sample whose values the deck applies")
    neurons: Literal["none", "dyads"] = Field(
        default="none",
        description="`none`: every crossbar is read by itself; `dyads`: neurons of dp, dp_transposed or hopfield as leaky "
        "integrators between them, a network that settles",
    )
    beta: Ratio | None = Field(
        default=None, ge=0, le=100, description="nudging strength of dyads; 0: inference; `null`: the scenario's"
    )
    label: int | None = Field(
        default=None,
        ge=0,
        description="number of the class that dyads are nudged towards; `null`: what the sample's own output should be",
    )
    duration: Time | None = Field(
        default=None,
        gt=0,
        description="how long dyads settle; `null`: as long as in the scenario, or longer until they are at rest",
    )
    states: Literal["outputs", "all"] = Field(
        default="outputs", description="layers of dyads that results are written of"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = [*super().contradictions(scenario), *why_no_cells(scenario, self.format)]
        wirings = scenario.wirings
        if self.layer is not None and self.layer >= len(wirings):
            return [*problems, Problem("layer", f"there is no crossbar {self.layer}; allowed: 0 to {len(wirings) - 1}")]
        chosen = wirings if self.layer is None else wirings[self.layer : self.layer + 1]
        windows = any(wiring.kernel for wiring in chosen)
        if windows and self.layer is None and self.neurons == "none":
            refusal = (
                "a convolution reads its array once for every window, which a deck of the whole network cannot hold"
            )
            problems.append(Problem("layer", f"{refusal}; name one crossbar, 0 to {len(wirings) - 1}"))
        if self.neurons == "dyads":
            problems += self._why_no_dyads(scenario)
        else:
            problems += self._unused()
            problems += why_no_forward_pass(scenario, self.format) if len(wirings) > 1 and self.layer != 0 else []
        if self.cells == "memristors" and isinstance(scenario.synapse, CrossbarSettings):
            problems += self._why_no_memristors(scenario.synapse, windows)
        return problems

    def _why_no_dyads(self, scenario: Scenario) -> list[Problem]:
        problems = why_no_dyads(scenario)
        if self.layer is not None:
            problems.append(Problem("layer", f"dyads need all crossbars, not {self.layer} alone; use null"))
        if self.beta and "beta" in type(scenario.neuron).model_fields:
            nudged = scenario.neuron.model_copy(update={"beta": self.beta})
            problems += [each for each in nudged.contradictions(scenario) if each.path == "beta"]
        return problems

    def _unused(self) -> list[Problem]:
        """What only dyads have."""
        given = [name for name in ("beta", "label", "duration") if getattr(self, name) is not None]
        given += ["states"] if self.states != "outputs" else []
        return [Problem(name, "only dyads have it; use neurons: dyads, or leave it out") for name in given]

    def _why_no_memristors(self, synapse: CrossbarSettings, windows: bool) -> list[Problem]:
        card = synapse.device
        try:
            Memristor(card.device(), card.name)
        except InputError as error:
            return [Problem("cells", str(error))]
        if windows:
            return [
                Problem("cells", "memristors remember, and a convolution's windows have no order; use cells: resistors")
            ]
        return []
