"""A nudged network as a system of equations: for every chip and sample a vector that moves towards its target.

Reads are exact and numbers are double: what can be linearised. Targets are those of the very neurons that are simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from analogdp.dynamics.krylov import Product
from analogdp.dynamics.step_limit import exact_twin
from analogdp.errors import InputError
from analogdp.network import Field, Network
from analogdp.neurons.dyadic import Dyadic
from analogdp.scenario.measure import NOT_ANALYSED


class System:
    """The states ``(chips, batch, size)`` of a network of dyads with clamped samples, and where they are heading.

    A vector holds one layer after the other, the first hidden one first, and of each layer one compartment after the other.

    Args:
        network: of dyads; taken as it is now.
        inputs: ``(chips or 1, batch, in)``.
        labels: ``(chips or 1, batch, out)``.
        beta: nudging strength, a number or ``(chips, 1, 1)``.

    Attributes:
        network: in double precision, with exact reads.
        field: its targets, with the samples clamped.
        chips, batch, size: the shape of a state.
        widths: numbers of each layer in a vector.
        tau: time constants in seconds, ``(chips or 1, 1, size)``.

    Raises:
        InputError: the neurons are not dyads, jump, or are damped.
    """

    def __init__(self, network: Network, inputs: Tensor, labels: Tensor, beta: float | Tensor) -> None:
        refuse_unless_dyadic(network)
        self.network = exact_twin(network, None)
        self.chips, self.batch = network.chips, inputs.shape[1]
        self.field = Field(self.network, self.batch)
        self.nudge(inputs, labels, beta)
        self._compartments = self.network.compartments
        self.widths = tuple(self._compartments * units for units in self.network.sizes[1:])
        self.size = sum(self.widths)
        self.tau = self._time_constants()

    def nudge(self, inputs: Tensor, labels: Tensor, beta: float | Tensor) -> None:
        """Clamp samples, as many as before; arguments as of the class."""
        strength = beta.double() if isinstance(beta, Tensor) else beta
        self.field.clamp(inputs.double(), labels.double(), strength)

    @property
    def places(self) -> tuple[slice, ...]:
        """Where each layer lies in a vector."""
        ends = accumulate(self.widths)
        return tuple(slice(end - width, end) for end, width in zip(ends, self.widths, strict=True))

    def rest(self) -> Tensor:
        """The state at zero."""
        like = self.network.synapses[0].weights
        return like.new_zeros(self.chips, self.batch, self.size)

    def layers(self, state: Tensor) -> list[Tensor]:
        """Each layer of a vector, ``(compartments, chips, batch, units)``."""
        parts = (state[..., place] for place in self.places)
        return [part.reshape(*part.shape[:-1], self._compartments, -1).movedim(-2, 0) for part in parts]

    def vector(self, layers: Sequence[Tensor | Sequence[Tensor]]) -> Tensor:
        """A vector from its layers."""
        return torch.cat([torch.cat(list(layer), -1) for layer in layers], -1)

    def targets(self, state: Tensor) -> Tensor:
        """Where a state is heading; can be differentiated."""
        return self.vector(self.field.targets(self.layers(state)))

    def residual(self, state: Tensor) -> Tensor:
        """The largest distance of a neuron from its target, ``(chips, batch)``."""
        with torch.no_grad():
            return (self.targets(state) - state).abs().amax(-1)

    def jacobian(self, state: Tensor) -> Product:
        """The product of a vector with d target / d state at a state, by autograd through :meth:`targets`."""
        at = state.detach().clone().requires_grad_()
        with torch.enable_grad():
            return derivative(self._dependent(at), at)

    def jacobian_matrix(self, state: Tensor) -> Tensor:
        """d target / d state ``(chips, batch, size, size)``: as many products as a state has numbers, all at once."""
        at = state.detach().clone().requires_grad_()
        units = torch.eye(self.size, dtype=state.dtype, device=state.device)
        rows = units.reshape(self.size, 1, 1, self.size).expand(self.size, *state.shape)
        with torch.enable_grad():
            (matrix,) = torch.autograd.grad(self._dependent(at), at, rows, is_grads_batched=True)
        return matrix.movedim(0, -2)

    def _dependent(self, state: Tensor) -> Tensor:
        """Targets that autograd takes for functions of the state, as those of outputs without hidden layers may not be."""
        return self.targets(state) + 0 * state

    def _time_constants(self) -> Tensor:
        like = self.network.synapses[0].weights
        parts = []
        for layer in self.network.layers:
            tau = torch.as_tensor(layer.tau, dtype=like.dtype, device=like.device)
            shape = (self._compartments, tau.shape[-3] if tau.dim() else 1, 1, layer.units)
            parts.append(tau.expand(shape).movedim(0, -2).flatten(-2))
        chips = max(part.shape[0] for part in parts)
        return torch.cat([part.expand(chips, 1, -1) for part in parts], -1)


def derivative(values: Tensor, at: Tensor) -> Product:
    """The product of a vector with d values / d at, of tensors in one autograd graph."""
    with torch.enable_grad():
        probe = torch.zeros_like(values, requires_grad=True)
        # Linear in the probe, so that its derivative by the probe is the transposed of a transposed.
        (back,) = torch.autograd.grad(values, at, probe, create_graph=True)

    def product(vector: Tensor) -> Tensor:
        (ahead,) = torch.autograd.grad(back, probe, vector, retain_graph=True)
        return ahead

    return product


def refuse_unless_dyadic(network: Network) -> None:
    """Refuse networks that the theory of asymmetric nudging says nothing about.

    Raises:
        InputError: as the message says.
    """
    for neuron in network.neurons:
        name = type(neuron).__name__
        if not isinstance(neuron, Dyadic):
            raise _not_analysed("neuron.model", name)
        if neuron.jumps:
            raise _not_analysed("neuron.activation", name)
        if neuron.damping is not None:
            raise _not_analysed("neuron.damping")
        if isinstance(neuron.input_gain, Tensor) or neuron.input_gain:
            raise _not_analysed("neuron.input_strength")
    if network.normalisations:
        raise _not_analysed("network.layers")


def _not_analysed(setting: str, name: str = "") -> InputError:
    return InputError(f"{setting}: {NOT_ANALYSED[setting].format(name=name)}")
