"""Refusing a time step that is too long for the network at hand."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import Samples
from analogdp.dynamics.clocks import Clock
from analogdp.dynamics.continuous import Continuous
from analogdp.dynamics.integrators import ExponentialEuler
from analogdp.dynamics.simulation import Simulation
from analogdp.dynamics.stability import stable_step_limit
from analogdp.errors import InputError
from analogdp.network import Layer, Network
from analogdp.neurons import NeuronModel
from analogdp.synapses.base import Synapse
from analogdp.synapses.ideal import IdealSynapse

SAMPLES, CHIPS = 4, 8
"""How many samples and chips are looked at; each further one costs as much again."""


def refuse_unstable_step(
    clock: Clock, network: Network, inputs: Samples | Tensor, labels: Samples | Tensor, beta: float | Tensor
) -> None:
    """Refuse a time step at which small deviations from where the network settles would grow.

    The Jacobian is that of the nudged network with its present weights, settled for a few samples.

    Args:
        clock: anything but a continuous clock with a fixed step is let through.
        network: as it is simulated; one of neurons that jump, which has no Jacobian, is let through.
        inputs, labels: ``(samples, in)`` and ``(samples, out)``; the first few count.
        beta: nudging strength.

    Raises:
        InputError: with the limit.
    """
    jumping = any(neuron.jumps for neuron in network.neurons)
    if not isinstance(clock, Continuous) or clock.integrator.adaptive or jumping:
        return
    exact = exact_twin(network)
    tau = exact.fastest_tau
    simulation = Simulation(exact, Continuous(ExponentialEuler, tau / 10, 40 * len(exact.layers) + 80, tolerance=None))
    simulation.present(inputs[:SAMPLES].double().unsqueeze(0), labels[:SAMPLES].double().unsqueeze(0), beta)
    simulation.advance(simulation.clock.steps)
    field = simulation.field
    flat = torch.cat([layer.reshape(-1) for layer in simulation.state])
    if not bool(torch.isfinite(flat).all()):
        return  # It diverges at any step, which the run will tell with its time and place.
    limit = stable_step_limit(clock.integrator, field, flat, exact.tau(field.layout))
    # A limit of zero means that the network itself is unstable: no step could help.
    if limit and clock.timestep > limit:
        name = next(
            (name for name in registry.integrators.names() if registry.integrators.get(name) is clock.integrator),
            clock.integrator.__name__,
        )
        raise InputError(
            f"dynamics.dt: {clock.timestep:g} s is too long for {name} on this network, whose feedback makes small deviations "
            f"grow from step to step; allowed: up to {limit:.3g} s ({limit / tau:.3g} tau), or integrator: exp_euler"
        )


def exact_twin(network: Network, most: int | None = CHIPS) -> Network:
    """A network in double precision, with reads that are exact: what can be linearised.

    Args:
        network: as it is now.
        most: only so many of its chips; None for all.
    """
    chips = network.chip_indices[:most]
    rows = slice(len(chips))

    def twin(synapse: Synapse | None) -> Synapse | None:
        return None if synapse is None else IdealSynapse(synapse.weights[rows].double())

    layers = [
        Layer(
            _in_double(layer.neuron, rows, network.chips),
            layer.units,
            layer.tau[:, rows].double() if isinstance(layer.tau, Tensor) else layer.tau,
            None if layer.bias is None else layer.bias[rows].double(),
        )
        for layer in network.layers
    ]
    synapses = [IdealSynapse(synapse.weights[rows].double()) for synapse in network.synapses]
    paths = [twin(path) for path in network.feedback_paths]
    wirings = [projection.wiring for projection in network.projections]
    return Network(layers, synapses, network.loss, chips, paths, wirings)


def _in_double(neuron: NeuronModel, rows: slice, chips: int) -> NeuronModel:
    """The same neurons with the parameters of some chips in double precision; the chips axis is the third from the end."""

    def converted(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(map(converted, value))
        if isinstance(value, Tensor) and value.is_floating_point():
            own = value[..., rows, :, :] if value.dim() > 2 and value.shape[-3] == chips else value
            return own.double()
        return value

    twin = copy(neuron)
    for name, value in vars(neuron).items():
        setattr(twin, name, converted(value))
    return twin
