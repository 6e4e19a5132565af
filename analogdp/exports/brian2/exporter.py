"""``brian2``: a folder with a script that repeats a run's inference in Brian2, without this package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from analogdp import __version__, registry
from analogdp.data import Dataset
from analogdp.data import load as load_data
from analogdp.dynamics import Simulation
from analogdp.dynamics.continuous import ContinuousSettings
from analogdp.dynamics.step_limit import exact_twin
from analogdp.dynamics.timed import TimedClock, TimedSettings
from analogdp.errors import InputError, Problem
from analogdp.exports.base import Exporter, OneChipSettings, one_chip
from analogdp.exports.brian2.equations import LayerText, layer_text
from analogdp.exports.brian2.script import NAME, NUMBERS, script
from analogdp.exports.inference import inexact_reads, way_to_lose
from analogdp.learning.evaluation import EVALUATION_BATCH
from analogdp.network import Network
from analogdp.neurons import NeuronModel
from analogdp.scenario import Scenario
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.streams import Stream
from analogdp.verification.presentation import MOTIONS, checkable
from analogdp.verification.refusals import MOST_NUMBERS, refused_parts

MOST_SYNAPSES = 5_000_000
"""Up and down; Brian2 takes some dozens of bytes for each, and in every step some nanoseconds."""


class Brian2Settings(OneChipSettings):
    """Inference as a Brian2 script."""

    format: Literal["brian2"] = "brian2"
    samples: int = Field(
        default=10, ge=1, le=EVALUATION_BATCH, description="how many of the first test samples go with it"
    )
    lossy: tuple[Literal["converters"], ...] = Field(
        default=(), description="what may be lost; converters: crossbars are read without"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario)
        _, test = scenario.data.counts()
        if self.samples > test:
            refusal = f"{self.samples} is more than there are test samples; allowed: 1 to {min(test, EVALUATION_BATCH)}"
            problems.append(Problem("samples", refusal))
        return problems + [
            Problem("format", f"brian2 cannot hold {reason}") for reason in _refused(scenario, self.lossy)
        ]


def _refused(scenario: Scenario, lossy: tuple[str, ...]) -> Iterator[str]:
    """What the script cannot do as the run does, with the way out."""
    for part in refused_parts(scenario):
        converters = part.path in ("synapse.dac", "synapse.adc")
        # Noise is off, that of conductances, too.
        if part.path == "noise.conductance" or (converters and lossy):
            continue
        yield _in_scenario(str(part)) + (f", or {way_to_lose(['converters'])}" if converters else "")
    if reason := _no_equations(scenario):
        yield _in_scenario(reason)
    if (synapses := 2 * sum(own.lines * own.fan_in for own in scenario.wirings[1:])) > MOST_SYNAPSES:
        yield f"network.layers: {synapses} synapses between layers, up and down; allowed: up to {MOST_SYNAPSES}"
    dynamics = scenario.dynamics
    if not isinstance(dynamics, TimedSettings):
        return
    if not isinstance(dynamics, ContinuousSettings):
        yield f"dynamics.clock: {dynamics.clock} is a matter of dice, which no other program throws; use continuous"
    if not dynamics.axons.transparent:
        yield "dynamics.axons: messages arrive at once in it; use no delays and no thresholds"


def _in_scenario(refusal: str) -> str:
    """The way out as one of the scenario: ``--set`` of ``analogdp export`` is for options of the format."""
    return refusal.replace("; use --set ", "; in the scenario, use ").replace(" --set ", " ")


def _no_equations(scenario: Scenario) -> str | None:
    """Why a scenario's neurons cannot be written as text, or None."""
    model: type[NeuronModel] = registry.neurons.get(scenario.neuron.model)
    settings, loss = scenario.neuron.resolved(scenario), registry.losses.get(scenario.network.loss)()
    neuron = model.build(settings, loss, MismatchSettings(), 1, Stream(0, "brian2"))
    try:
        neuron.equations(settings, output=False, free=True)
    except InputError as error:
        return str(error)
    return None


@dataclass(frozen=True)
class Inference:
    """What the script has to repeat.

    Attributes:
        inputs, targets: ``(samples, in)`` and ``(samples, out)``, of the test set.
        labels: ``(samples,)``, or None for regression.
        outputs: ``(samples, out)``, what the layer above would see of settled outputs.
        steps: after how many steps.
    """

    inputs: Tensor
    targets: Tensor
    labels: Tensor | None
    outputs: Tensor
    steps: int

    def arrays(self) -> dict[str, Any]:
        """By name, without what there is not."""
        named = {"inputs": self.inputs, "targets": self.targets, "labels": self.labels, "outputs": self.outputs}
        return {name: values.cpu().numpy() for name, values in named.items() if values is not None}


@registry.exporters.register("brian2")
class Brian2(Exporter):
    """A script and its numbers."""

    Settings = Brian2Settings
    file_name = "brian2"
    folder = True

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        network = exact_twin(one_chip(network, scenario, self.settings.chip), None)
        dynamics = checkable(scenario).dynamics
        assert isinstance(dynamics, ContinuousSettings)
        clock: TimedClock = registry.clocks.get(dynamics.clock).build(dynamics)
        inference = _inference(network, clock, load_data(scenario.data, scenario.seed), self.settings.samples)
        _refuse_if_too_large(network, inference)
        layers = [layer_text(network, scenario, index) for index in range(len(network.layers))]
        (path / NAME).write_text(_script(network, scenario, dynamics, inference, layers), encoding="utf-8")
        numbers: dict[str, Any] = {
            f"layer{k}.{name}": own for k, layer in enumerate(layers, start=1) for name, own in layer.arrays.items()
        }
        np.savez(path / NUMBERS, **inference.arrays(), **numbers)


def _inference(network: Network, clock: TimedClock, data: Dataset, samples: int) -> Inference:
    """The first samples of the test as a run does it: in batches, which settle until all samples have."""
    data = data.to(network.device, network.dtype)
    inputs = data.test_inputs[:EVALUATION_BATCH]
    simulation = Simulation(network, clock)
    simulation.present(inputs.unsqueeze(0))
    settling = simulation.settle()
    outputs = network.neurons[-1].upward(settling.state[-1])[0]
    labels = None if data.test_labels is None else data.test_labels[:samples]
    return Inference(inputs[:samples], data.test_targets[:samples], labels, outputs[:samples], settling.steps)


def _refuse_if_too_large(network: Network, inference: Inference) -> None:
    states = network.compartments * sum(network.sizes[1:])
    samples, steps = len(inference.inputs), inference.steps
    if (numbers := states * samples * steps) > MOST_NUMBERS:
        raise InputError(
            f"brian2: the script keeps {states} states of {samples} samples after each of {steps} steps, {numbers} numbers; "
            f"allowed: up to {MOST_NUMBERS}. Take fewer samples"
        )


def _script(
    network: Network, scenario: Scenario, dynamics: ContinuousSettings, inference: Inference, layers: list[LayerText]
) -> str:
    constants = {name: value for layer in layers for name, value in layer.constants.items()}
    listed = [f'"{name}": {value!r}{" * second" if name == "tau" else ""}' for name, value in constants.items()]
    states = [f'"{name}"' for name in network.neurons[0].compartments]
    settings = [
        "# A sample is shown for so many steps; then the outputs are read. All states are at rest, at 0, when it appears.",
        f"DT = {dynamics.dt!r} * second",
        f"STEPS = {inference.steps}",
        f'METHOD = "{MOTIONS[dynamics.integrator]}"',
        f"STATES = ({', '.join(states)}{',' if len(states) == 1 else ''})",
        f"CONSTANTS = {{{', '.join(listed)}}}",
    ]
    titles = [f"layer {number}: {units} neurons" for number, units in enumerate(network.sizes[1:], start=1)]
    texts = [(title, layer.equations) for title, layer in zip(titles, layers, strict=True)]
    return script(_about(network, scenario, dynamics), settings, texts)


def _about(network: Network, scenario: Scenario, dynamics: ContinuousSettings) -> list[str]:
    """The paragraphs at the script's head."""
    sizes, (chip,) = "-".join(map(str, network.sizes)), network.chip_indices
    left_out = ["labels and nudging (outputs are free)", "learning", "noise of any kind"]
    left_out += ["converters of the crossbars"] * ("converters" in inexact_reads(scenario))
    about = [
        f"Inference of the trained network {scenario.name!r}, chip {chip}, in Brian2; written by analogdp {__version__}.",
        f"    python {NAME}                       on numpy\n"
        f"    python {NAME} --target cython       compiled\n"
        f"    python {NAME} --standalone FOLDER   as a C++ program in a new folder",
        f"A {sizes} network of {scenario.neuron.model} neurons, seed {scenario.seed}. Its weights ({NUMBERS}) are those that "
        f"an exact read of the trained synapses ({scenario.synapse.model}) finds, in network units; mismatch of the neurons is "
        "in it. "
        "All states follow the targets of their equations with time constant tau, all layers at once.",
        f"Not in it: {', '.join(left_out)}. Samples are shown one after the other, "
        "each as long as the slowest of the run's test batch takes to settle.",
    ]
    if isinstance(scenario.dynamics, ContinuousSettings) and scenario.dynamics.integrator != dynamics.integrator:
        about.append(
            f"The run was integrated by {scenario.dynamics.integrator}, which looks at the neurons between two steps, where "
            f"Brian2's sums are not known; this is {dynamics.integrator} with the same step, which settles at the same states."
        )
    return about
