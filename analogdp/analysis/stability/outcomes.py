"""What becomes of presented samples in the simulator itself: settled, approaching, oscillating or diverged, if it can be told.

Clock, steps, delays, mismatch and number type are those of the simulation. A sample that leaves the bounds stops nobody: others
go on beside it. Its distance from rest is followed; where something fluctuates in time no distance from rest ever vanishes, and
a twin takes its place that has the same noise and clock but another start: a network that is stable forgets where it began, and
its largest Lyapunov exponent, the growth of the distance between the two, is negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from analogdp.dynamics import Clock, Poisson, Simulation
from analogdp.dynamics.divergence import LARGEST_STATE
from analogdp.dynamics.timed import TOLERANCE_PER_BETA
from analogdp.network import Network
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream

Outcome = Literal["settled", "approaching", "oscillating", "diverged", "undecided"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""In their order, which is that of their numbers: the first two are stable, the next two are not, of the last nobody knows."""

LEAST_SWEEPS = 100
"""Of clocks without a time, whose own limit is often a single sweep: from a few nobody could tell what grows."""
MOST_LOOKS = 200
"""At the state of one presentation: bounds the memory of what is seen."""
FEWEST_LOOKS = 16
LOOKS_OF_A_TREND = 3
"""Two are on a line in any case."""
MOVED = 0.1
"""Standard deviation of what a twin's start is moved by: about what nudging moves, where rates are of order 1."""
CLEAR = 0.02
"""Change of the logarithm of a distance, over half of the time, from which on it counts as one."""
ROUNDING = 30
"""Distances within so many roundings of the state are none."""


@dataclass(frozen=True)
class Outcomes:
    """What became of each sample, ``(chips, batch)``.

    Attributes:
        kind: numbers of :data:`OUTCOMES`, int64. *Settled*: within the tolerance, and staying there to the end. *Approaching*:
            not there yet, but coming nearer. *Oscillating*: bounded, not coming nearer. *Diverged*: left the bounds of the
            simulator, or was still moving away steadily at the end. *Undecided*: none of these, because it was seen too few
            times in the second half of the time, or for too short for nudging to go up and down the layers.
        steps: after which a settled sample stayed within the tolerance, int64; -1 for others.
        growth: of the logarithm of the distance in one step, in the second half of the time; NaN where there was nothing left to
            see, or nothing finite.
        distance: at the end, from rest or from the twin.
        taken: how many steps were taken.
    """

    kind: Tensor
    steps: Tensor
    growth: Tensor
    distance: Tensor
    taken: int

    @property
    def stable(self) -> Tensor:
        """Whether a sample settled or would with more time, ``(chips, batch)``; only where :attr:`decided`."""
        return self.kind <= OUTCOMES.index("approaching")

    @property
    def decided(self) -> Tensor:
        """Whether it is known what became of a sample, ``(chips, batch)``."""
        return self.kind != OUTCOMES.index("undecided")


def observe(
    network: Network,
    clock: Clock,
    inputs: Tensor,
    labels: Tensor,
    beta: float | Tensor,
    stream: Stream,
    *,
    noise: NoiseSettings | None = None,
    tau: float | None = None,
    tolerance: float | Tensor | None = None,
) -> Outcomes:
    """Present samples to a network at rest, nudged from the beginning, and see what becomes of them.

    Nothing is read back from the device while they move.

    Args:
        network: as it is now.
        clock: its limit of steps counts, but for sweeps, of which at least 100 are made.
        inputs, labels: ``(chips or 1, batch, in)`` and ``(chips or 1, batch, out)``.
        beta: nudging strength, a number or ``(chips, 1, 1)``.
        stream: of noise and clock, and of the twin's start.
        noise, tau: as of :class:`analogdp.dynamics.Simulation`.
        tolerance: largest distance of a settled sample, a number or ``(chips, 1)``; default: the clock's, or beta / 500.
    """
    simulation = Simulation(network, clock, noise, tau)
    simulation.present(inputs, labels, beta, stream, quiet=not simulation.noisy)
    together = [simulation]
    if simulation.noisy:
        twin = Simulation(network, clock, noise, tau)
        twin.present(inputs, labels, beta, stream)
        for number, layer in enumerate(twin.state):
            start = stream.child("twin").at(number).normal((len(layer), *layer.shape[2:]), std=MOVED)
            layer.add_(start.transpose(0, 1))
        together.append(twin)
    steps = clock.steps if clock.timestep is not None else max(clock.steps, LEAST_SWEEPS)
    distances, moments, extent = _watched(together, steps, _interval(clock, steps))
    if tolerance is None:
        tolerance = clock.tolerance or TOLERANCE_PER_BETA * _per_chip(beta)
    return judge(distances, moments, extent, tolerance, simulation.patience, _round_trip(network, clock))


def judge(
    distances: Tensor,
    moments: Tensor,
    extent: Tensor,
    tolerance: float | Tensor,
    patience: int = 0,
    least: float | Tensor = 0.0,
) -> Outcomes:
    """What became of samples, from how far they were from where they should be.

    Args:
        distances: at every look, ``(looks, chips, batch)``.
        moments: steps taken before each look, ``(looks,)``.
        extent: the largest number in any state of a sample, ``(chips, batch)``; not finite where one was not.
        tolerance: a number or ``(chips, 1)``.
        patience: steps for which a sample has to stay within it.
        least: steps from which on a sample without a clear trend counts as oscillating, a number or ``(chips, 1)``.
    """
    near = distances < tolerance
    # Looks at the end of which all were near; a sample has settled at the first of them.
    staying = near.flip(0).cumprod(0).sum(0)
    first = (len(moments) - staying).clamp_max(len(moments) - 1)
    since = moments[first]
    bounded = extent <= LARGEST_STATE
    floor = ROUNDING * torch.finfo(distances.dtype).eps * extent.clamp_min(1.0)
    growth, scatter = _trend(distances, moments, floor, len(moments) // 2)
    late, _ = _trend(distances, moments, floor, 3 * len(moments) // 4)
    span = moments[-1] - moments[len(moments) // 2]
    clear = (growth.abs() * span > CLEAR) & (growth.abs() * span > scatter)
    # What saturates has grown, but does not any longer.
    growing = clear & (growth > 0) & ~(late < growth / 2) & (distances[-1] > floor)
    settled = bounded & (staying > 0) & (since <= moments[-1] - patience) & ~growing
    kind = torch.full_like(since, OUTCOMES.index("undecided"))
    kind[growth.isfinite() & (moments[-1] >= least)] = OUTCOMES.index("oscillating")
    kind[clear & (growth < 0)] = OUTCOMES.index("approaching")
    kind[settled] = OUTCOMES.index("settled")
    kind[growing | ~bounded] = OUTCOMES.index("diverged")
    steps = torch.where(settled, since, -1)
    return Outcomes(kind, steps, growth.masked_fill(~bounded, torch.nan), distances[-1], int(moments[-1]))


def _round_trip(network: Network, clock: Clock) -> float | Tensor:
    """Steps in which the slowest neuron of every layer follows on the way up and down, ``(chips, 1)``; 0 without a time."""
    if clock.timestep is None:
        return 0.0
    if isinstance(clock, Poisson):
        return 2 * len(network.layers) / (clock.rate * clock.share * clock.timestep)
    like = network.synapses[0].weights
    slowest = like.new_zeros(network.chips)
    for layer in network.layers:
        tau = torch.as_tensor(layer.tau, dtype=like.dtype, device=like.device)
        slowest = torch.maximum(slowest, tau.amax(dim=(0, 2, 3)) if tau.dim() else tau)
    return (2 * len(network.layers) * slowest / clock.timestep).unsqueeze(1)


def _interval(clock: Clock, steps: int) -> int:
    """Steps between looks: the clock's own, unless these would be too many or too few."""
    return max(-(-steps // MOST_LOOKS), min(clock.check_every, max(1, steps // FEWEST_LOOKS)))


def _watched(together: Sequence[Simulation], steps: int, every: int) -> tuple[Tensor, Tensor, Tensor]:
    """Distances at every look, their moments, and the largest numbers seen; see :func:`judge`."""
    first = together[0]
    network, batch = first.network, first.field.layout.batch
    moments = torch.tensor([*range(every, steps, every), steps], device=network.device)
    extent = network.synapses[0].weights.new_zeros(network.chips, batch)
    distances = extent.new_empty(len(moments), network.chips, batch)
    for row in distances:
        count = min(every, steps - first.step)
        for simulation in together:
            simulation.advance(count, row)
            extent = torch.maximum(extent, _largest(simulation.state))
        if len(together) > 1:
            one, other = (simulation.state for simulation in together)
            row.copy_(_largest([a - b for a, b in zip(one, other, strict=True)]))
    return distances, moments, extent


def _largest(layers: Sequence[Tensor]) -> Tensor:
    """The largest number of each sample in layers ``(compartments, chips, batch, units)``; NaN where one is."""
    return torch.stack([layer.abs().amax(dim=(0, 3)) for layer in layers]).amax(0)


def _trend(distances: Tensor, moments: Tensor, floor: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """By how much the logarithm of a distance grows in a step, by least squares over the looks from ``start`` on, and how
    far it lies from that line, as a standard deviation; looks at distances that are nothing but rounding do not count."""
    counted = ((distances > floor) & distances.isfinite())[start:]
    weight = counted.double()
    logarithm = distances[start:].double().where(counted, 1.0).log()
    time = moments[start:].double().view(-1, 1, 1)
    looks = weight.sum(0)
    mean = (weight * logarithm).sum(0) / looks
    time = time - (weight * time).sum(0) / looks
    slope = (weight * time * logarithm).sum(0) / (weight * time**2).sum(0)
    left = (weight * (logarithm - mean - slope * time) ** 2).sum(0) / looks
    return slope.masked_fill(looks < LOOKS_OF_A_TREND, torch.nan), left.sqrt()


def _per_chip(beta: float | Tensor) -> float | Tensor:
    return beta.flatten(1) if isinstance(beta, Tensor) else beta
