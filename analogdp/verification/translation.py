"""From a presentation to the job that asks an independent engine for the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from analogdp.dynamics import AxonSettings
from analogdp.dynamics.continuous import ContinuousSettings
from analogdp.dynamics.poisson import PoissonSettings
from analogdp.verification.job import Array, Axon, Job, LayerPlan, Plan
from analogdp.verification.presentation import MOTIONS, Presentation, Trajectory


def job_for(presentation: Presentation, trajectory: Trajectory) -> Job:
    """The job of which ``trajectory`` is this package's answer."""
    layers: list[LayerPlan] = []
    numbers: dict[str, Array] = {"inputs": presentation.inputs.numpy(), "labels": presentation.labels.numpy()}
    for index in range(len(presentation.network.layers)):
        layer, own = _layer(presentation, index, trajectory.packets)
        layers.append(layer)
        numbers |= {f"layer{index}.{name}": each.numpy() for name, each in own.items()}
    numbers |= _fluctuations(presentation, trajectory)
    samples, dynamics = len(presentation.inputs), presentation.scenario.dynamics
    plan = Plan(presentation.clock.timestep, presentation.steps, samples, "ticks", presentation.beta, tuple(layers))
    if isinstance(dynamics, PoissonSettings):
        assert dynamics.rate is not None
        return Job(replace(plan, rate=dynamics.rate, share=dynamics.share), numbers | _dice(presentation, dynamics))
    assert isinstance(dynamics, ContinuousSettings)
    return Job(replace(plan, motion=MOTIONS[dynamics.integrator]), numbers)


def _layer(presentation: Presentation, index: int, packets: dict[str, int]) -> tuple[LayerPlan, dict[str, Tensor]]:
    network, scenario = presentation.network, presentation.scenario
    layer, synapse, path = network.layers[index], network.synapses[index], network.feedback_paths[index]
    last = len(network.layers) - 1
    equations = layer.neuron.equations(scenario.neuron, output=index == last)
    compartments = layer.neuron.compartments
    parameters: dict[str, Tensor | float] = dict(equations.parameters)
    parameters |= {
        f"{name}_tau": layer.tau[place] if isinstance(layer.tau, Tensor) else layer.tau
        for place, name in enumerate(compartments)
    }
    shared = {name: value for name, value in parameters.items() if not isinstance(value, Tensor)}
    own = {name: value[0, 0] for name, value in parameters.items() if isinstance(value, Tensor)}
    own["weights"] = synapse.weights[0]
    own["feedback"] = synapse.weights[0].T if path is None else path.weights[0]
    own["bias"] = torch.zeros(layer.units, dtype=torch.float64) if layer.bias is None else layer.bias[0, 0]
    axons = presentation.clock.axons
    up = _axon(axons, "bottom_up", index, presentation.clock.timestep, packets) if index < last else None
    down = _axon(axons, "top_down", index - 1, presentation.clock.timestep, packets) if index > 0 else None
    plan = LayerPlan(layer.units, compartments, equations.definitions, equations.sums, shared, up, down)
    return plan, {name: value.detach() for name, value in own.items()}


def _axon(axons: AxonSettings, way: str, pair: int, dt: float, packets: dict[str, int]) -> Axon:
    delay, threshold = (_of_pair(getattr(part, way), pair) for part in (axons.delay, axons.threshold))
    return Axon(round(delay / dt), threshold, packets.get(f"{way}{pair}", 0))


def _of_pair(values: Any, pair: int) -> Any:
    """The value of one pair of layers: of one for each, one for all, or none."""
    return None if values is None else values[pair if len(values) > 1 else 0]


def _fluctuations(presentation: Presentation, trajectory: Trajectory) -> dict[str, Array]:
    """What fluctuated, in each step."""
    noise, paths = presentation.scenario.noise, trajectory.fluctuations
    found: dict[str, Array] = {}
    if noise.membrane or noise.common:
        found |= _by_compartment(presentation, presentation.membrane_noise(), "noise")
    if "coloured" in paths:
        found |= _by_compartment(presentation, paths["coloured"], "current")
    if "nudging" in paths:
        found["nudging_path"] = (1 + paths["nudging"][:, 0, :, 0]).numpy()
    if "asymmetry" in paths:
        found["asymmetry_path"] = paths["asymmetry"][:, 0, :, 0].numpy()
    return found


def _by_compartment(presentation: Presentation, flat: Tensor, kind: str) -> dict[str, Array]:
    """``(steps, samples x units)`` for each compartment of each layer of ``(steps, size)``."""
    return {
        f"layer{index}.{name}_{kind}": own[:, place].flatten(1).numpy()
        for index, own in enumerate(presentation.layout.views(flat))
        for place, name in enumerate(presentation.network.neurons[index].compartments)
    }


def _dice(presentation: Presentation, dynamics: PoissonSettings) -> dict[str, Array]:
    """One number for each clock and step: a neuron's, or a layer's in each sample."""
    samples, units = len(presentation.inputs), presentation.layout.units
    sizes = [samples * (own if dynamics.scope == "neuron" else 1) for own in units]
    dice = torch.split(presentation.dice(sum(sizes)), sizes, 1)
    return {f"layer{index}.dice": own.numpy() for index, own in enumerate(dice)}
