"""One layer of free neurons as Brian2's users write it: equations, constants, and the numbers that differ between neurons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp.network import Network
from analogdp.scenario import Scenario

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerText:
    """One layer of one chip.

    Attributes:
        equations: of its NeuronGroup.
        constants: what all neurons share, by name; those that end in ``tau`` in seconds.
        arrays: ``weights`` ``(units, below)``; ``feedback`` ``(below, units)`` where messages go down a path of their own; and
            parameters ``(units,)``.
    """

    equations: str
    constants: Mapping[str, float]
    arrays: Mapping[str, Array]


def layer_text(network: Network, scenario: Scenario, index: int) -> LayerText:
    """A layer of a network of one chip.

    Args:
        network: in double precision.
        scenario: whose neurons it has.
        index: 0 for the lowest layer of neurons.

    Raises:
        InputError: there is no text of these neurons.
    """
    layer, path = network.layers[index], network.feedback_paths[index]
    output = index == len(network.layers) - 1
    text = layer.neuron.equations(scenario.neuron, output, free=True)
    compartments = layer.neuron.compartments
    targets = [f"{name}_target" for name in compartments]
    messages = ["upward"] + (["downward"] if index else [])
    definitions = _needed(text.definitions, [*targets, *messages])
    own_taus = isinstance(layer.tau, Tensor)
    taus = {name: f"{name}_tau" if own_taus else "tau" for name in compartments}
    parameters: dict[str, Tensor | float] = {"tau": layer.tau} if isinstance(layer.tau, float) else {}
    if isinstance(layer.tau, Tensor):
        parameters |= {taus[name]: layer.tau[place] for place, name in enumerate(compartments)}
    if layer.bias is not None:
        parameters["bias"] = layer.bias
    mentioned = _words(definitions.values())
    parameters |= {name: value for name, value in text.parameters.items() if name in mentioned}
    vectors = {name: _numbers(value).reshape(-1) for name, value in parameters.items() if isinstance(value, Tensor)}
    lines = [f"d{name}/dt = ({name}_target - {name}) / {taus[name]} : 1" for name in compartments]
    for name, formula in definitions.items():
        lines.append(f"{name} = {formula} : 1{' (constant over dt)' if name in targets else ''}")
    lines += _inputs(index, output, layer.bias is not None)
    lines += [f"{name} : {'second' if name.endswith('_tau') else 1} (constant)" for name in vectors]
    matrices = {"weights": _numbers(network.synapses[index].weights[0])}
    if path is not None:
        matrices["feedback"] = _numbers(path.weights[0])
    constants = {name: value for name, value in parameters.items() if not isinstance(value, Tensor)}
    return LayerText("\n".join(lines), constants, matrices | vectors)


def _inputs(index: int, output: bool, biased: bool) -> Iterator[str]:
    """What a neuron is given, and by whom."""
    yield f"bottom_up = drive{' + bias' if biased else ''} : 1"
    yield "drive : 1" if index else "drive = stimulus(t, i) : 1"
    if not output:
        yield "top_down : 1"


def _needed(definitions: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """The definitions that the wanted ones rest on, these included, in their order."""
    found, waiting = set[str](), list(wanted)
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found.add(name)
            waiting += _words([definitions[name]])
    return {name: formula for name, formula in definitions.items() if name in found}


def _words(formulas: Iterable[str]) -> set[str]:
    return {word for formula in formulas for word in re.findall(r"[A-Za-z_]\w*", formula)}


def _numbers(values: Tensor) -> Array:
    numbers: Array = values.detach().to("cpu", torch.float64).numpy()
    return numbers
