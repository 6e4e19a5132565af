"""The network section of a scenario: layers, and what the output should do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from analogdp import registry
from analogdp.errors import Problem
from analogdp.scenario.architectures import Layers, known, layers_of
from analogdp.scenario.data import DataSettings
from analogdp.scenario.layers import AnyLayer, ImageShape, LayerSettings
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import NameIn, ProblemList, Settings
from analogdp.scenario.weights import match, shapes_in
from analogdp.scenario.wiring import Wiring, wire

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class NetworkSettings(Settings):
    """Layers and what the output should do."""

    layers: tuple[Annotated[int | ImageShape | LayerSettings, AnyLayer()], ...] = Field(
        default=(64, 128, 64, 10),
        min_length=2,
        max_length=1000,
        description="units per layer, the clamped input first; images and convolutions as sections; null: not given",
        json_schema_extra={"type": ["array", "null"]},
    )
    architecture: Annotated[str, AfterValidator(known)] | None = Field(
        default=None,
        description="in place of layers: lenet5, vgg16, or mlp with its hidden sizes, such as mlp-512-512; mlp alone has none",
    )
    loss: Annotated[str, NameIn(registry.losses)] = Field(
        default="least_squares", description="what the nudged output lowers"
    )
    bias: bool = Field(default=True, description="every neuron has a trained resting drive")
    gain: Ratio = Field(
        default=1.0, ge=0, le=100, description="initial weights are normal with variance gain^2 / fan-in"
    )
    weights: Path | None = Field(
        default=None,
        strict=False,
        description="a safetensors file of initial weights and biases, named as in a torch state_dict; a relative path in a "
        "scenario file is beside that file; null: random weights",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null_layers(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("layers", ()) is None:
            return {name: item for name, item in value.items() if name != "layers"}
        return value

    def layers_for(self, data: DataSettings) -> Layers:
        """The layers, also where an architecture stands for them.

        Raises:
            ValueError: the architecture does not take such data.
        """
        if self.architecture is None:
            return self.layers
        return layers_of(self.architecture, data.shape(), data.sizes()[1])

    def resolved(self, scenario: Scenario) -> Self:
        return self.model_copy(update={"layers": self.layers_for(scenario.data)})

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        try:
            layers = self.layers_for(scenario.data)
            wirings = wire(layers)
        except ProblemList as error:
            return [Problem(f"layers.{problem.path}", problem.message) for problem in error.problems]
        except ValueError as error:
            return [Problem("architecture", str(error))]
        if self.architecture and "layers" in self.model_fields_set and self.layers != layers:
            way_out = "leave layers away (--set network.layers=null) or this"
            return [Problem("architecture", f"{self.architecture} has layers of its own; {way_out}")]
        if wirings[-1].kernel is not None:
            return [Problem(f"layers.{len(wirings)}", "the last layer, the output, is a number of units")]
        data, shape = scenario.data, scenario.data.shape()
        inputs, outputs = data.sizes()
        ends = (("first", wirings[0].inputs, inputs, "inputs"), ("last", wirings[-1].outputs, outputs, "outputs"))
        problems = [
            Problem("layers", f"the {end} layer has {units} units, but {data.name} has {size} {what}")
            for end, units, size, what in ends
            if units != size
        ]
        if not problems and len(shape) == len(wirings[0].below) == 3 and shape != wirings[0].below:
            problems.append(Problem("layers.0", f"{layers[0]} is not the shape of {data.name}, {ImageShape(*shape)}"))
        if not problems and self.weights is not None:
            problems += self._misfits(wirings)
        return problems + [
            Problem(f"layers.{place}.normalise", refusal)
            for place, wiring in enumerate(wirings, start=1)
            if wiring.normalised and (refusal := self._why_not_normalised(scenario, wiring.positions))
        ]

    def _misfits(self, wirings: Sequence[Wiring]) -> list[Problem]:
        """What does not fit in the file of initial weights."""
        assert self.weights is not None
        if self.gain != 1:
            return [
                Problem("gain", f"{self.gain:g} is of random weights, and weights names a file; leave one of them away")
            ]
        folded = "batch normalisation is folded into weights that are read from a file; leave it away"
        if normalised := [place for place, wiring in enumerate(wirings, start=1) if wiring.normalised]:
            return [Problem(f"layers.{place}.normalise", folded) for place in normalised]
        try:
            match(shapes_in(self.weights), wirings, self.bias)
        except ProblemList as error:
            return [Problem("weights", f"{self.weights}: {'; '.join(map(str, error.problems))}")]
        except ValueError as error:
            return [Problem("weights", str(error))]
        return []

    @staticmethod
    def _why_not_normalised(scenario: Scenario, positions: int) -> str | None:
        """The reason why drives of so many positions cannot be normalised over a batch, or None if they can."""
        model = scenario.neuron.model
        if not registry.neurons.get(model).batch_normalises:
            able = [name for name in registry.neurons.names() if registry.neurons.get(name).batch_normalises]
            return f"neurons of model {model} settle every sample by itself; leave it away, or use neuron: {' or '.join(able)}"
        if getattr(scenario.dynamics, "order", None) != "forward_backward":
            return "samples of a batch are computed together only in sweeps; use dynamics: sweep, of order forward_backward"
        if scenario.learning.batch == 1:
            return "the drives of one sample have no spread; use a learning.batch of 2 or more"
        train, batch = scenario.data.counts()[0], scenario.learning.batch
        if positions == 1 and train % batch == 1:
            refusal = f"batches of {batch} leave one of {train} training samples alone, whose drives have no spread"
            limit = "train_limit" if scenario.data.draw is None else "draw"
            return f"{refusal}; use another learning.batch, or data.{limit}: {train - 1}"
        return None
