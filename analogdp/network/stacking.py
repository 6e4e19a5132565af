"""Networks of several runs side by side on the chips axis, so that one program computes them all.

Every chip keeps the numbers that it has in its own run: they are drawn by that run's seed, and neurons whose settings differ
get one number for each chip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import torch
from torch import Tensor

from analogdp.network.build import build, build_neurons, network_stream, time_constants
from analogdp.network.network import Network
from analogdp.neurons import NeuronModel
from analogdp.scenario.schema import Scenario

SECOND_AXIS = ("limits",)
"""Last names of tensors whose chips lie along the second axis; those of all others lie along the first."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Replicas:
    """Runs that are simulated together; their scenarios differ only in what chips may differ in.

    Attributes:
        scenarios: resolved, one for each run; their chips lie one after the other. Spreads of mismatch may differ, but for gains
            and offsets of which some runs have a spread and others none.
    """

    scenarios: tuple[Scenario, ...]

    @property
    def chips(self) -> tuple[int, ...]:
        """Every chip's index in its own run."""
        return tuple(chip for scenario in self.scenarios for chip in scenario.simulated_chips)

    @property
    def seed(self) -> int | tuple[int, ...]:
        """The seed of all runs, or of every chip's run where they differ."""
        seeds = [scenario.seed for scenario in self.scenarios]
        return seeds[0] if len(set(seeds)) == 1 else self.of_chips(seeds)

    @property
    def rows(self) -> tuple[slice, ...]:
        """Where the chips of each run lie."""
        ends = accumulate(self.counts, initial=0)
        return tuple(slice(start, end) for start, end in pairwise(ends))

    @property
    def counts(self) -> list[int]:
        """How many chips each run has."""
        return [len(scenario.simulated_chips) for scenario in self.scenarios]

    def of_chips(self, values: Sequence[Value]) -> tuple[Value, ...]:
        """One value for each chip, from one for each run."""
        pairs = zip(self.scenarios, values, strict=True)
        return tuple(value for scenario, value in pairs for _ in scenario.simulated_chips)


def build_together(replicas: Replicas) -> Network:
    """The networks of all runs as one, with as many chips as these have together."""
    network = build(replicas.scenarios[0], replicas.chips, replicas.seed)
    put_side_by_side(replicas, network, network.dtype)
    return network


def put_side_by_side(replicas: Replicas, network: Network, dtype: torch.dtype) -> None:
    """Give each chip of a network the neurons of its own run, where they differ.

    Args:
        replicas: whose chips the network has.
        network: changed in place.
        dtype: of numbers that a run alone has as Python's: the network's where it is simulated, and float64 before it is
            linearised, as w p - (1 - w) q of DP-transposed is zero in double precision, but 1e-9 of single numbers.
    """
    first, *others = replicas.scenarios
    if all((other.neuron, other.mismatch) == (first.neuron, first.mismatch) for other in others):
        return
    like = torch.empty(0, dtype=dtype, device=network.device)
    for number, layer in enumerate(network.layers, start=1):
        layer.neuron = _neurons_together(replicas, network, layer.units, number, like)
        layer.tau = _time_constants_together(replicas, network, layer.units, number, like)
    network.layers[-1].neuron = network.layers[-1].neuron.as_output()


def part_of(tensors: Mapping[str, Tensor], chips: slice) -> dict[str, Tensor]:
    """What belongs to some of the chips, of the named tensors of all; numbers without axes belong to each."""
    return {name: own[_place(name, own, chips)] for name, own in tensors.items()}


def put_together(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The named tensors of all chips from those of each run: what :func:`part_of` took apart."""
    return {
        name: torch.cat([part[name] for part in parts], _axis(name)) if own.dim() else own
        for name, own in parts[0].items()
    }


def _axis(name: str) -> int:
    return int(name.rpartition(".")[2] in SECOND_AXIS)


def _place(name: str, tensor: Tensor, chips: slice) -> tuple[slice, ...]:
    return (slice(None),) * _axis(name) + (chips,) if tensor.dim() else ()


def _neurons_together(replicas: Replicas, network: Network, units: int, layer: int, like: Tensor) -> NeuronModel:
    """One layer's neurons of all runs."""
    each = [
        build_neurons(scenario, network.loss, units, network_stream(scenario).child(f"layer{layer}"))
        for scenario in replicas.scenarios
    ]
    together = each[0]
    for name in vars(together):
        values = [getattr(neurons, name) for neurons in each]
        setattr(together, name, _side_by_side(values, replicas.counts, like))
    return together


def _time_constants_together(
    replicas: Replicas, network: Network, units: int, layer: int, like: Tensor
) -> Tensor | float:
    """One layer's time constants of all runs."""
    each = [
        time_constants(scenario, network.compartments, units, network_stream(scenario).child(f"layer{layer}"))
        for scenario in replicas.scenarios
    ]
    together = _side_by_side(each, replicas.counts, like)
    assert isinstance(together, Tensor | float)
    return together


def _side_by_side(values: Sequence[object], counts: Sequence[int], like: Tensor) -> object:
    """A parameter of neurons from those of each run, which has so many chips.

    Numbers that are equal stay one; others become ``(chips, 1, 1)``. Tensors have their chips on the third axis from the end,
    and numbers beside them take their shape. Everything else is the same for all runs.
    """
    first = values[0]
    if isinstance(first, tuple):
        return tuple(_side_by_side(parts, counts, like) for parts in zip(*values, strict=True))
    shape = next((value.shape for value in values if isinstance(value, Tensor)), None)
    if shape is not None:
        parts = zip(values, counts, strict=True)
        return torch.cat(
            [
                own if isinstance(own, Tensor) else like.new_full((*shape[:-3], n, *shape[-2:]), own)  # type: ignore[arg-type]
                for own, n in parts
            ],
            -3,
        )
    if isinstance(first, float) and any(value != first for value in values):
        return torch.cat([like.new_full((n, 1, 1), own) for own, n in zip(values, counts, strict=True)])  # type: ignore[arg-type]
    return first
