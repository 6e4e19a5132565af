"""One layer of neurons as a Brian2 group: equations from the neuron's description, events, delay lines, fluctuations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import brian2
import numpy as np

from analogdp.verification.job import Array, Axon, Job

MESSAGES = {"up": "upward", "down": "downward"}

KICKS = {
    "euler": "sqrt(2 * dt / {0}_tau) * {0}_noise(t, i)",
    "exponential_euler": "sqrt(1 - exp(-2 * dt / {0}_tau)) * {0}_noise(t, i)",
    "ticks": "ticks * sqrt(1 - (1 - share)**2) * {0}_noise(t, i)",
}
"""What noise adds to a compartment in a step: Euler-Maruyama; the exact Ornstein-Uhlenbeck increment; a tick's share of it."""


class Packet(NamedTuple):
    """Events of one size and sign: the size is fixed, so nothing has to be read from the sender at delivery."""

    name: str
    condition: str
    quanta: int


class Population:
    """One layer of neurons, for all samples: neuron ``sample * units + unit``.

    Attributes:
        layer: its plan.
        axons: by direction, of the messages that anybody receives.
        equations: as Brian2 reads them.
        group: Brian2's.
    """

    def __init__(self, job: Job, index: int) -> None:
        self.plan, self.layer = job.plan, job.plan.layers[index]
        self.axons = {way: axon for way, axon in (("up", self.layer.up), ("down", self.layer.down)) if axon}
        self._numbers = job.of_layer(index)
        self._output = index == len(job.plan.layers) - 1
        self._own = [name for name, each in self._numbers.items() if each.ndim == 1 and name != "bias"]
        own_paths = {
            name: each for name, each in self._numbers.items() if name.endswith(("_noise", "_current", "dice"))
        }
        self._paths = {name: each for name, each in job.numbers.items() if name.endswith("_path")} | own_paths
        self.equations = "\n".join(self._equations())
        self.group = brian2.NeuronGroup(
            job.plan.samples * self.layer.units,
            self.equations,
            method="exponential_euler" if job.plan.motion == "exponential_euler" else "euler",
            events={packet.name: packet.condition for way in self.axons for packet in self.packets(way)},
            namespace={name: self._timed(path) for name, path in self._paths.items()},
        )
        self.group.subexpression_updater.when = "targets"
        self._set_constants(job, index)
        self._schedule()

    def packets(self, way: str) -> list[Packet]:
        """The events by which messages in a direction are sent; none where messages are continuous."""
        axon = self.axons[way]
        due = [f"({way}_due // {2**bit}) % 2 == 1" for bit in range(axon.packets)]
        rising = [Packet(f"{way}_rise{bit}", f"{way}_rising and {each}", 2**bit) for bit, each in enumerate(due)]
        falling = [
            Packet(f"{way}_fall{bit}", f"not {way}_rising and {each}", -(2**bit)) for bit, each in enumerate(due)
        ]
        return rising + falling

    def sent(self, way: str) -> Array:
        """Quanta sent in a direction, by each sample."""
        if way not in self.axons or self.axons[way].threshold is None:
            return np.zeros(self.plan.samples)
        sent: Array = np.reshape(getattr(self.group, f"{way}_sent"), (self.plan.samples, self.layer.units)).sum(1)
        return sent

    def _timed(self, path: Array) -> Any:
        return brian2.TimedArray(path, dt=self.plan.dt * brian2.second)

    def _equations(self) -> Iterator[str]:
        for name in self.layer.compartments:
            ticking = self.plan.motion == "ticks"
            yield f"{name} : 1" if ticking else f"d{name}/dt = ({name}_target - {name}) / {name}_tau : 1"
        for names, flags in ((self.layer.shared, "shared, constant"), (self._own, "constant")):
            yield from (f"{name} : {'second' if name.endswith('_tau') else 1} ({flags})" for name in names)
        yield from self._given()
        for name, formula in self.layer.definitions.items():
            current = f"{name.removesuffix('_target')}_current"
            added = f" + {current}(t, i)" if current in self._paths and name.endswith("_target") else ""
            yield f"{name} = {formula}{added} : 1{' (constant over dt)' if name.endswith('_target') else ''}"
        for name, formula in self.layer.sums.items():
            yield from (f"{name} : 1", f"{name}_part = {formula} : 1")
        for way, axon in self.axons.items():
            yield from _axon_equations(way, axon)

    def _given(self) -> Iterator[str]:
        """What a neuron is given, and by whom."""
        yield from ("sample : integer (constant)", "asymmetry : 1", "resting : 1 (constant)", "drive : 1")
        yield "bottom_up = resting + drive : 1"
        if self._output:
            yield from ("label : 1 (constant)", "beta : 1 (shared, constant)", "nudging_factor : 1")
            yield "nudging = beta * nudging_factor : 1"
        else:
            yield "top_down : 1"
        if self.plan.motion == "ticks":
            alone = self._numbers["dice"].shape[1] > self.plan.samples
            yield from ("rate : Hz (shared, constant)", "share : 1 (shared, constant)")
            yield f"ticks = int(dice(t, {'i' if alone else 'sample'}) < 1 - exp(-rate * dt)) : integer"

    def _set_constants(self, job: Job, index: int) -> None:
        group, plan, numbers = self.group, self.plan, self._numbers
        values: dict[str, Any] = dict(self.layer.shared) | {
            name: np.tile(numbers[name], plan.samples) for name in self._own
        }
        values["sample"] = np.repeat(np.arange(plan.samples), self.layer.units)
        resting = np.tile(numbers["bias"], (plan.samples, 1))
        if index == 0:
            resting += job.numbers["inputs"] @ numbers["weights"].T
        values["resting"] = resting.ravel()
        if self._output:
            values |= {"label": job.numbers["labels"].ravel(), "beta": plan.nudging, "nudging_factor": 1}
        if plan.motion == "ticks":
            values |= {"rate": plan.rate * brian2.Hz, "share": plan.share}
        values |= {f"{way}_threshold": axon.threshold for way, axon in self.axons.items() if axon.threshold}
        for name, value in values.items():
            setattr(group, name, value * brian2.second if name.endswith("_tau") else value)

    def _schedule(self) -> None:
        """What Brian2 does in a step besides integrating."""
        group, compartments = self.group, self.layer.compartments
        fluctuating = {"asymmetry": "asymmetry_path"} | ({"nudging_factor": "nudging_path"} if self._output else {})
        slots = {
            "paths": [f"{name} = {path}(t, sample)" for name, path in fluctuating.items() if path in self._paths],
            "send": [line for way, axon in self.axons.items() for line in _delay_line(way, axon)],
            "groups": [f"{name} += ticks * share * ({name}_target - {name})" for name in compartments],
            "noise": [
                f"{name} += {KICKS[self.plan.motion].format(name)}"
                for name in compartments
                if f"{name}_noise" in self._paths
            ],
        }
        if self.plan.motion != "ticks":
            del slots["groups"]
        for slot, lines in slots.items():
            if lines:
                group.run_regularly("\n".join(lines), when=slot)
        for way in self.axons:
            for packet in self.packets(way):
                size = abs(packet.quanta)
                group.run_on_event(packet.name, f"{way}_quanta += {packet.quanta}\n{way}_sent += {size}", when="resets")


def _axon_equations(way: str, axon: Axon) -> Iterator[str]:
    if axon.threshold is None:
        yield from (f"{way}{place} : 1" for place in range(axon.delay + 1))
        return
    message, told = MESSAGES[way], f"{way}_quanta"
    yield from (f"{way}_threshold : 1 (shared, constant)", f"{told} : 1", f"{way}_sent : 1")
    yield f"{way}_due = int(abs({message} / {way}_threshold - {told})) : integer"
    yield f"{way}_rising = {message} > {told} * {way}_threshold : boolean"


def _delay_line(way: str, axon: Axon) -> Iterator[str]:
    """The message moves on by one place in a step; the last place is what arrives."""
    if axon.threshold is None:
        yield from (f"{way}{place} = {way}{place - 1}" for place in range(axon.delay, 0, -1))
        yield f"{way}0 = {MESSAGES[way]}"
