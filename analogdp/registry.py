"""Names for pluggable parts: one registry each for neurons, devices, synapses, clocks, data sets, exporters and so on.

A registry knows a part by name. The package's own parts register themselves with a decorator when their
room is imported, which a registry does at its first look-up. Other packages add parts, without a change here, by
an entry point in the group of the same name, for example in their ``pyproject.toml``::

    [project.entry-points."analogdp.devices"]
    my_device = "my_package.devices:MyDevice"
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from analogdp.errors import InputError

Member = TypeVar("Member")


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, if one is near, and lists them all.

    >>> suggestion("idael", ["ideal", "crossbar"])
    "did you mean 'ideal'? Known: crossbar, ideal"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}Known: {', '.join(names) or 'none'}"


class Registry(Generic[Member]):
    """The known members of one kind.

    Args:
        kind: what a member is called in messages, for example ``"device model"``.
        room: the package that registers the built-in members, and the entry-point group of further ones.
    """

    def __init__(self, kind: str, room: str) -> None:
        self.kind = kind
        self.room = room
        self._members: dict[str, Member] = {}
        self._entry_points: dict[str, EntryPoint] | None = None

    def register(self, name: str) -> Callable[[Member], Member]:
        """Decorator that adds a member under ``name``; a name can be taken once only."""

        def add(member: Member) -> Member:
            if name in self._members:
                raise ValueError(f"there is already a {self.kind} named {name!r}")
            self._members[name] = member
            return member

        return add

    def names(self) -> list[str]:
        """All known names, sorted."""
        offered = self._load()
        return sorted({*self._members, *offered})

    def get(self, name: str) -> Member:
        """The member called ``name``.

        Raises:
            InputError: no member has that name; the message lists the known ones and the nearest.
        """
        offered = self._load()
        if name not in self._members:
            if name not in offered:
                raise InputError(f"unknown {self.kind} {name!r}: {suggestion(name, self.names())}")
            self._members[name] = offered[name].load()
        return self._members[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __repr__(self) -> str:
        return f"Registry({self.kind}: {', '.join(self.names())})"

    def _load(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            importlib.import_module(self.room)
            self._entry_points = {point.name: point for point in entry_points(group=self.room)}
        return self._entry_points


# The members' types live in rooms above this one; their rooms state them where they register.
activations: Registry[Any] = Registry("activation", "analogdp.neurons")
modulators: Registry[Any] = Registry("modulator", "analogdp.neurons")
losses: Registry[Any] = Registry("loss", "analogdp.neurons")
neurons: Registry[Any] = Registry("neuron model", "analogdp.neurons")
devices: Registry[Any] = Registry("device model", "analogdp.devices")
synapses: Registry[Any] = Registry("synapse model", "analogdp.synapses")
integrators: Registry[Any] = Registry("integrator", "analogdp.dynamics")
clocks: Registry[Any] = Registry("clock", "analogdp.dynamics")
plasticity: Registry[Any] = Registry("plasticity rule", "analogdp.learning")
trainers: Registry[Any] = Registry("learning mode", "analogdp.learning")
datasets: Registry[Any] = Registry("data set", "analogdp.data")
exporters: Registry[Any] = Registry("export format", "analogdp.exports")


def all_registries() -> list[Registry[Any]]:
    """Every registry, in the order of a scenario's sections."""
    return [
        datasets,
        neurons,
        activations,
        modulators,
        losses,
        synapses,
        devices,
        clocks,
        integrators,
        trainers,
        plasticity,
        exporters,
    ]
