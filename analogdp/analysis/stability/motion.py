"""One step of a clock near a state, as a linear map: what it makes of small deviations.

A sweep is a Gauss-Seidel iteration on the Jacobian J, a step of an integrator that method on tau dx/dt = (J - 1) x, a tick of
random clocks the mean over who ticks. Messages arrive at once, and nothing fluctuates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from analogdp.analysis.stability.system import System, derivative
from analogdp.dynamics import Clock, Continuous, Poisson, RungeKutta4, Sweep
from analogdp.dynamics.draws import Blocks
from analogdp.dynamics.krylov import Product
from analogdp.errors import InputError
from analogdp.streams import Stream

FINE_STEP = 0.05
"""dt / tau of the steps that stand for those of adaptive methods: RK4 errs by 1e-9 in each."""

MOST_WRITTEN = 10_000_000
"""Numbers of Jacobians up to which they are written out: a product is then one of matrices, which is quicker than autograd."""

MOST_SHUFFLED_LAYERS = 8
"""The mean over all orders of L layers takes a product for each of L 2^(L - 1) pairs of a layer and those before it."""


def row_products(system: System, state: Tensor) -> tuple[Product, ...]:
    """For each layer the product of its rows of the Jacobian with a vector: ``(chips, batch, size)`` to its own width.

    Each costs as much as its neighbours are large, so a sweep costs little more than one product with the whole Jacobian.
    """
    if (matrix := _written(system, state)) is not None:
        return tuple(partial(_times, matrix[..., place, :]) for place in system.places)
    at = state.detach().clone().requires_grad_()
    with torch.enable_grad():
        targets = [torch.cat(list(target), -1) for target in system.field.targets(system.layers(at))]
        return tuple(derivative(target, at) for target in targets)


def jacobian_product(system: System, state: Tensor) -> Product:
    """The product of a vector with d target / d state, by the matrix where that is small."""
    matrix = _written(system, state)
    return system.jacobian(state) if matrix is None else partial(_times, matrix)


def _written(system: System, state: Tensor) -> Tensor | None:
    return system.jacobian_matrix(state) if state.numel() * system.size <= MOST_WRITTEN else None


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def transposed_rows(system: System, state: Tensor) -> tuple[Product, ...]:
    """The transposed of :func:`row_products`: from a layer's own width to ``(chips, batch, size)``."""
    at = state.detach().clone().requires_grad_()
    with torch.enable_grad():
        targets = [torch.cat(list(target), -1) for target in system.field.targets(system.layers(at))]

    def product(target: Tensor, vector: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(target, at, vector, retain_graph=True)
        return back

    return tuple(partial(product, target) for target in targets)


def jumped(system: System, rows: Sequence[Product], vector: Tensor, layer: int) -> Tensor:
    """A vector after one layer's jump to its target; outputs jump twice, as in the simulator's sweeps."""
    moved = vector.clone()
    for _ in range(2 if layer == len(rows) - 1 else 1):
        moved[..., system.places[layer]] = rows[layer](moved)
    return moved


def jumps(order: str, layers: int) -> tuple[int, ...]:
    """Which layers jump one after the other in a sweep of a fixed order; the output's double jump counts as one."""
    if order == "forward_backward":
        return (*range(layers), *range(layers - 2, -1, -1))
    if order == "odd_even":
        return (*range(0, layers, 2), *range(1, layers, 2))
    return tuple(range(layers))


def linear_step(system: System, state: Tensor, clock: Clock, stream: Stream | None = None) -> Product:
    """What moves deviations from a state on by one step of a clock.

    Steps of methods with a memory (etd_ab2) go on from the last call's. Adaptive methods count as exact.

    Args:
        system: the network with its samples.
        state: a fixed point, ``(chips, batch, size)``.
        clock: continuous, sweeps, or random clocks, which stand for their mean.
        stream: of random orders and clocks, for those that a simulation with this stream takes one after the other; default: the
            mean over all.

    Raises:
        InputError: a clock of another kind, or the mean over orders of too many layers.
    """
    if isinstance(clock, Continuous):
        return _integrated(system, state, clock)
    if isinstance(clock, Poisson):
        return _mean_ticks(system, state, clock) if stream is None else _ticks(system, state, clock, stream)
    if not isinstance(clock, Sweep):
        raise InputError(
            f"dynamics.clock: {type(clock).__name__} cannot be linearised; use continuous, sweep or poisson"
        )
    rows = row_products(system, state)
    if clock.order != "random":
        return _swept(system, rows, jumps(clock.order, len(rows)))
    return shuffled_mean(system, rows) if stream is None else _shuffled(system, rows, stream)


def step_map(system: System, state: Tensor, clock: Clock) -> Product:
    """One step of a clock as a map; arguments as of :func:`linear_step`.

    Raises:
        InputError: also for methods with a memory, whose step is no map of the state alone.
    """
    if isinstance(clock, Continuous) and clock.integrator(state, clock.timestep, 1.0, **clock.options).tensors():
        name = clock.integrator.__name__
        raise InputError(f"dynamics.integrator: a step of {name} depends on the one before; use exp_euler")
    return linear_step(system, state, clock)


def tick_probability(clock: Poisson) -> float:
    """That a random clock ticks in a time step."""
    return -math.expm1(-clock.rate * clock.timestep)


def shuffled_mean(system: System, rows: Sequence[Product]) -> Product:
    """The mean of a sweep over all orders of the layers.

    Of the layers in a set, each is equally often the last: the mean over orders of the set is that over its last layer of the
    mean over orders of the others.

    Raises:
        InputError: too many layers.
    """
    refuse_many_layers(len(rows))

    def product(vector: Tensor) -> Tensor:
        means = [vector]
        for members in range(1, 2 ** len(rows)):
            own = [layer for layer in range(len(rows)) if members >> layer & 1]
            ends = [jumped(system, rows, means[members ^ 1 << layer], layer) for layer in own]
            means.append(torch.stack(ends).mean(0))
        return means[-1]

    return product


def refuse_many_layers(layers: int) -> None:
    """Refuse means over too many orders.

    Raises:
        InputError: with the limit.
    """
    if layers > MOST_SHUFFLED_LAYERS:
        raise InputError(
            f"dynamics.order: the mean over all orders of {layers} layers is out of reach; allowed: up to {MOST_SHUFFLED_LAYERS} "
            "layers, or the growth of drawn orders (analysis.stability.almost_sure_growth)"
        )


def _integrated(system: System, state: Tensor, clock: Continuous) -> Product:
    jacobian, method, parts = jacobian_product(system, state), clock.integrator, 1
    if method.adaptive:
        method, parts = RungeKutta4, math.ceil(clock.timestep / (FINE_STEP * float(system.tau.min())))
    integrator = method(torch.zeros_like(state), clock.timestep / parts, system.tau)

    def step(vector: Tensor) -> Tensor:
        moved = vector.clone()
        for _ in range(parts):
            integrator.step(moved, jacobian(moved), lambda state, _: jacobian(state), 0.0, None)
        return moved

    integrator.start()
    return step


def _mean_ticks(system: System, state: Tensor, clock: Poisson) -> Product:
    jacobian, share = jacobian_product(system, state), tick_probability(clock) * clock.share
    return lambda vector: torch.lerp(vector, jacobian(vector), share)


def _ticks(system: System, state: Tensor, clock: Poisson, stream: Stream) -> Product:
    """The simulator's own ticks: the same dice, in the same order."""
    jacobian, probability, units = jacobian_product(system, state), tick_probability(clock), system.network.sizes[1:]
    clocks = units if clock.scope == "neuron" else (1,) * len(units)
    dice = Blocks(system.batch * sum(clocks), Stream.uniform)
    dice.start(stream.child("clock"))
    taken, compartments = 0, system.network.compartments

    def step(vector: Tensor) -> Tensor:
        nonlocal taken
        dice.load(taken)
        taken += 1
        ticks = torch.split((dice.row() < probability).to(vector.dtype), [system.batch * count for count in clocks], 1)
        shapes = [(len(own), system.batch, count) for own, count in zip(ticks, clocks, strict=True)]
        parts = [
            own.reshape(shape).expand(-1, -1, width).repeat(1, 1, compartments)
            for own, shape, width in zip(ticks, shapes, units, strict=True)
        ]
        return torch.addcmul(vector, torch.cat(parts, -1), jacobian(vector) - vector, value=clock.share)

    return step


def _swept(system: System, rows: Sequence[Product], layers: Sequence[int]) -> Product:
    def sweep(vector: Tensor) -> Tensor:
        for layer in layers:
            vector = jumped(system, rows, vector, layer)
        return vector

    return sweep


def _shuffled(system: System, rows: Sequence[Product], stream: Stream) -> Product:
    taken = 0

    def sweep(vector: Tensor) -> Tensor:
        nonlocal taken
        order = stream.child("clock").at(taken).permutation(len(rows)).tolist()
        taken += 1
        return _swept(system, rows, order)(vector)

    return sweep
