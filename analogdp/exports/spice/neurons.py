"""Neurons as circuits: every compartment a capacitor that is charged through a resistor by a source of its target.

    R C dv/dt = target - v,    R C = tau        one volt stands for one network unit

Messages and targets are behavioural voltages of what the neurons' own equations say. Nodes are called
``layer<k>_<what>_<unit>``, layers counted from 1, the first one above the input.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analogdp.dynamics.clocks import tidy
from analogdp.exports.spice.expressions import Expressions
from analogdp.exports.spice.netlist import Netlist
from analogdp.network.network import Layer
from analogdp.neurons.base import Equations

LEAK = 1e3
"""Ohms through which a capacitor is charged: with microseconds it has nanofarads, and currents are milliamperes."""

MESSAGES = ("upward", "downward")
"""What neighbours see of a neuron: a node each."""

GIVEN = ("bottom_up", "top_down")
"""What a neuron is given by its neighbours: nodes that somebody else drives."""


def node(number: int, what: str, unit: int) -> str:
    """The name of a node of layer ``number``."""
    return f"layer{number}_{what}_{unit}"


def nodes(number: int, what: str, units: int) -> list[str]:
    """Those of all units of a layer."""
    return [node(number, what, unit) for unit in range(units)]


class Population:
    """The neurons of one layer of one chip.

    Args:
        number: of the layer, from 1.
        layer: the neurons.
        equations: what they do.
    """

    def __init__(self, number: int, layer: Layer, equations: Equations) -> None:
        self._number, self._layer, self._equations = number, layer, equations
        self.compartments = layer.neuron.compartments
        self._own = {name: value for name, value in equations.parameters.items() if isinstance(value, Tensor)}

    @property
    def shared(self) -> dict[str, float]:
        """The parameters that all neurons have in common, which are sources of the deck."""
        return {name: float(value) for name, value in self._equations.parameters.items() if name not in self._own}

    def write(self, netlist: Netlist) -> None:
        """Add the circuits of all units, whose ``bottom_up`` and ``top_down`` nodes others drive.

        Raises:
            InputError: equations that a circuit cannot have.
        """
        units = range(self._layer.units)
        expressions = [Expressions(self._equations.definitions, self._values(unit)) for unit in units]
        for name, part in self._equations.sums.items():
            terms = " + ".join(own.of(part) for own in expressions)
            netlist.behavioural_voltage(self._sum(name), self._sum(name), "0", terms)
            # Simulators guess 0 V at first, and a softmax divides by its sum.
            netlist.line(f".ic V({self._sum(name)})={self._layer.units}")
        for unit, own in enumerate(expressions):
            for place, compartment in enumerate(self.compartments):
                self._integrator(netlist, compartment, unit, own, self._tau(place, unit))
            for message in MESSAGES:
                name = node(self._number, message, unit)
                netlist.behavioural_voltage(name, name, "0", own.of(self._equations.definitions[message]))

    def _integrator(self, netlist: Netlist, compartment: str, unit: int, own: Expressions, tau: float) -> None:
        """One compartment, which starts at 0."""
        state, target = (node(self._number, what, unit) for what in (compartment, f"{compartment}_target"))
        netlist.behavioural_voltage(target, target, "0", own.of(f"{compartment}_target"))
        netlist.resistor(state, target, state, LEAK)
        netlist.capacitor(state, state, "0", tidy(tau / LEAK), initial=0.0)

    def _tau(self, place: int, unit: int) -> float:
        tau = self._layer.tau
        return float(tau[place, 0, 0, unit]) if isinstance(tau, Tensor) else tau

    def _values(self, unit: int) -> Mapping[str, str | float]:
        """What stands for the names in a unit's equations."""
        seen = (*self.compartments, *MESSAGES, *GIVEN)
        return {
            **{name: f"V({node(self._number, name, unit)})" for name in seen},
            **{name: f"V({name})" for name in self.shared},
            **{name: f"V({self._sum(name)})" for name in self._equations.sums},
            **{name: float(torch.as_tensor(value[0, 0, unit])) for name, value in self._own.items()},
            "label": f"V(label_{unit})",
            "nudging": "V(beta)",
            # What alpha is off by fluctuates only where there is noise; who wants it otherwise changes alpha's source.
            "asymmetry": 0.0,
        }

    def _sum(self, name: str) -> str:
        return f"layer{self._number}_{name}"
