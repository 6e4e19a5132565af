"""The characteristic equation of a nudged network: a few outputs decide on the eigenvalues of all its neurons.

Where the compartments share their slopes, all of a network's loops lead through its n_L outputs (:mod:`.loops`). With h what
every neuron makes of its target (1 / lambda for the synchronous map with multiplier lambda, 1 / (1 + tau p) for the ODE),

    det(1 + C sum_m h^{2m} A_m) = 0                     gradients at the drive (DP)
    det(1 + h N + sum_m h^{2m+1} A_m C) = 0             gradients at the outputs' own mean (DP-transposed)

so 1 / h are the eigenvalues of d target / d state that are not zero: those of a block companion matrix.

In general, with an h of each compartment's own, slopes that differ, feedback of its own and messages that take time, a layer's
answer to its own errors, a_k = P_k delta_k, follows from that of the layer below (phi, kappa, psi, chi: see
:mod:`~analogdp.analysis.stability.linearisation`), and the equation is

    P_1 = 0        P_{k+1} = e^{-p (d_up + d_down)} W (phi P_k (1 - psi P_k)^-1 chi + kappa) B
    det(1 + M P_L) prod_k det(1 - psi P_k) = 0
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp.analysis.stability.contours import Complex, Count, Rectangle, Root, count_zeros, rightmost_zero
from analogdp.analysis.stability.linearisation import Linear, Linearisation
from analogdp.analysis.stability.loops import loop_operators, output_closing, shares_slopes
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Continuous
from analogdp.dynamics.integrators import Euler, ExponentialAdamsBashforth2, ExponentialEuler
from analogdp.errors import InputError

BESIDE_POLE = 0.02
"""Of the decay of the slowest neuron alone, where there is a pole: how close to it roots are searched for."""
LEAST_MULTIPLIER = 1e-3
"""Of a clock's step: what decays faster is not searched for; neurons alone may be at rest after one step."""
SMALLEST = 1e-150
"""Entries of matrices below that are nothing, and their products no numbers."""
SHARPEST = 0.03
"""To which roots are bracketed at first, as a share of how far left of 0 is searched, or of the width of that."""


@dataclass(frozen=True)
class LoopEquation:
    """The loops of a network whose neurons all move alike, and how its outputs close them.

    Attributes:
        loops: A_m, the topmost hidden layer's first, ``(layers - 1, chips, batch, out, out)``; of outputs that take gradients at
            their own mean, with its slopes.
        gain, own: C and N, ``(chips, batch, out, out)``; see :class:`~analogdp.analysis.stability.loops.Closing`.
        at_mean: which of the two equations holds.
    """

    loops: Tensor
    gain: Tensor
    own: Tensor
    at_mean: bool

    def eigenvalues(self) -> Tensor:
        """Eigenvalues of d target / d state, complex ``(chips, batch, count)``; all that are missing are zero."""
        numbers = range(1, len(self.loops) + 1)
        if self.at_mean:
            terms, powers = self.loops @ self.gain, [2 * m + 1 for m in numbers]
        else:
            terms, powers = self.gain @ self.loops, [2 * m for m in numbers]
        if not powers or bool(self.own.any()):
            terms, powers = torch.cat([self.own.unsqueeze(0), terms]), [1, *powers]
        common = reduce(gcd, powers)
        values = _inverse_roots([power // common for power in powers], terms)
        angles = 2 * torch.pi / common * torch.arange(common, dtype=self.gain.dtype, device=values.device)
        turns = torch.polar(torch.ones_like(angles), angles)
        roots: Tensor = values.unsqueeze(-1).pow(1 / common) * turns
        return roots.flatten(-2)

    def sweep_multipliers(self, order: str) -> Tensor:
        """Multipliers of a sweep, complex ``(chips, batch, count)``; all that are missing are zero.

        In a forward-backward sweep errors go down and up again through all loops at once. In forward and odd_even sweeps, which
        are consistent orders of a block tridiagonal matrix, the loop through the m-th layer from the top takes m sweeps: but for
        N, multipliers are the squares of the synchronous map's (Young 1954). The outputs jump twice.

        Args:
            order: ``forward_backward``, ``forward`` or ``odd_even``.
        """
        loops = self.loops.sum(0, keepdim=True) if order == "forward_backward" else self.loops
        delays, size = len(loops), self.gain.shape[-1]
        # Of the outputs' mean, and of the errors of the last sweeps, the latest first.
        matrix = self.gain.new_zeros(*self.gain.shape[:-2], (1 + delays) * size, (1 + delays) * size)
        matrix.diagonal(-size, -2, -1)[..., size:].fill_(1)
        first = torch.cat([-self.own, *loops], -1)
        matrix[..., :size, :] = -self.own @ first
        matrix[..., :size, size:] += first[..., size:]
        matrix[..., size : 2 * size, :] = -self.gain @ first
        return _eigenvalues(matrix)


def has_loop_equation(linearisation: Linearisation) -> bool:
    """Whether the characteristic equation is one of the outputs' size: all compartments share their slopes."""
    return bool((shares_slopes(linearisation) & output_closing(linearisation).exact).all())


def loop_equation(linearisation: Linearisation) -> LoopEquation:
    """The characteristic equation of a network whose neurons all move alike.

    Raises:
        InputError: compartments differ in their slopes (at a nudged fixed point of a curved activation, with mismatched gains).
    """
    if not has_loop_equation(linearisation):
        raise InputError(
            "the compartments have unequal slopes here, so the characteristic equation is none of the outputs' size; "
            "use spectrum, CharacteristicFunction, or linearise at the free state"
        )
    closing, loops = output_closing(linearisation), loop_operators(linearisation, asymmetric=True)
    if closing.at_mean:
        loops = closing.through.unsqueeze(-1) * loops
    return LoopEquation(loops, closing.gain, closing.own, closing.at_mean)


def _inverse_roots(powers: list[int], terms: Tensor) -> Tensor:
    """All x at which the determinant of ``x^d + sum_j x^(d - powers[j]) terms[j]``, d the last of the powers, is zero."""
    degree, size = powers[-1], terms.shape[-1]
    companion = terms.new_zeros(*terms.shape[1:-2], degree * size, degree * size)
    companion.diagonal(-size, -2, -1).fill_(1)
    for power, term in zip(powers, terms, strict=True):
        companion[..., :size, (power - 1) * size : power * size] = -term
    return _eigenvalues(companion)


def _eigenvalues(matrices: Tensor) -> Tensor:
    """Of square matrices, also where saturated outputs have left numbers so small that they confuse LAPACK."""
    values: Tensor = torch.linalg.eigvals(matrices.masked_fill(matrices.abs() < SMALLEST, 0.0))
    return values


class CharacteristicFunction:
    """``det(1 - h(p) d target / d state)`` of one chip and sample at complex frequencies p, with all that makes neurons unequal.

    Zeros p are the exponents of deviations, exp(p t). With a clock they are those of its steps: exp(p dt) is a multiplier.

    Args:
        linearisation: of a small network; its weights are written out.
        chip, sample: which.
        clock: with exponential Euler, Euler or etd_ab2 steps, and its axons' delays; None for the differential equation.
        delays: without a clock, of messages up and down between neighbouring layers in seconds, ``(up, down)``, each one for all
            pairs or one for each.

    Attributes:
        poles: exponents of neurons that are left alone, ascending.

    Raises:
        InputError: a method of another kind, or events, which no linear equation describes.
    """

    def __init__(
        self,
        linearisation: Linearisation,
        chip: int = 0,
        sample: int = 0,
        clock: Continuous | None = None,
        delays: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0,), (0.0,)),
    ) -> None:
        if clock is not None:
            _refuse_unless_linear(clock)
            delays = clock.axons.delay.bottom_up, clock.axons.delay.top_down
        self._clock, pairs, system = clock, len(linearisation.hidden), linearisation.system
        self._delays = np.sum([own * pairs if len(own) == 1 else own for own in delays], 0)
        place = (slice(None), chip, sample)
        self._hidden = [
            tuple(
                _numbers(part.expand_as(own.drive)[place]) for part in (own.drive, own.push, own.mean, own.difference)
            )
            for own in linearisation.hidden
        ]
        output = linearisation.output
        self._drive, self._sent = (
            _numbers(output.drive[place]),
            _numbers(output.difference.expand(2, *output.drive.shape[1:-1])[place]),
        )
        self._own = _numbers(output.own[(slice(None), *place)])
        units = [layer.units for layer in system.network.layers]
        self._up = [_matrix(way, system, n)[chip, sample] for way, n in zip(linearisation.up, units, strict=False)]
        self._down = [
            _matrix(way, system, n)[chip, sample] for way, n in zip(linearisation.down, units[1:], strict=True)
        ]
        tau = _numbers(system.tau.expand(system.chips, 1, -1)[chip, 0])
        self._tau = [tau[part].reshape(2, -1) for part in system.places]
        # Compartments of unequal speed answer with unequal slopes, too.
        alike = bool(shares_slopes(linearisation)[chip, sample]) and all((own[0] == own[1]).all() for own in self._tau)
        most = self._drive.shape[-1] if alike else np.inf
        self._passes = [min(*way.shape, most) for way in self._up]
        with np.errstate(divide="ignore"):
            self.poles = np.unique(
                -1 / tau if clock is None else np.log(np.abs(1 - _gain(clock, tau))) / clock.timestep
            )

    def __call__(self, exponents: Complex) -> tuple[Complex, NDArray[np.float64]]:
        """Phase factors and logarithms of the modulus at exponents p in 1/s, ``(points,)``."""
        answer = np.zeros((len(exponents), *2 * self._up[0].shape[1:]), complex) if self._up else None
        signs, logarithms = np.ones(len(exponents), complex), np.zeros(len(exponents))
        for k, (drive, push, mean, difference) in enumerate(self._hidden):
            h = self._followed(exponents, k)
            phi, kappa = (mean * drive * h).sum(1), (mean * push * h).sum(1)
            psi, chi = (difference * drive * h).sum(1), (difference * push * h).sum(1)
            inner = np.eye(len(drive[0])) - psi[:, :, None] * answer
            signs, logarithms = _times(signs, logarithms, inner)
            raised = phi[:, :, None] * (answer @ np.linalg.solve(inner, chi[:, :, None] * np.eye(len(drive[0]))))
            turned = raised + kappa[:, :, None] * np.eye(len(drive[0]))
            late = np.exp(-exponents * self._delays[k])[:, None, None]
            answer = late * (self._up[k] @ turned @ self._down[k])
        return self._closed(exponents, answer, signs, logarithms)

    def count(self, region: Rectangle) -> Count:
        """How many zeros lie in a rectangle to the right of all poles."""
        return count_zeros(self, region)

    def rightmost(self, region: Rectangle | None = None) -> Root:
        """The exponent that grows fastest, in 1/s; one of a pair has a positive imaginary part.

        Args:
            region: where to look; default: everything to the right of neurons that are left alone, which bounds of the
                Jacobian limit. No zero there means that the slowest of these decides.
        """
        root = Root(None, True)
        for whole in self._reaches() if region is None else [region]:
            sizes = whole.right - whole.left, abs(whole.left)
            root = rightmost_zero(self, whole, SHARPEST * min(own for own in sizes if own))
            if root.value is not None or not root.certain:
                break
        return root

    def _followed(self, exponents: Complex, layer: int) -> Complex:
        """h of the compartments of a layer, ``(points, 2, units)``."""
        p, tau = exponents[:, None, None], self._tau[layer]
        if self._clock is None:
            return np.asarray(1 / (1 + tau * p))
        gain, multiplier = _gain(self._clock, tau), np.exp(p * self._clock.timestep)
        follows = gain
        if self._clock.integrator is ExponentialAdamsBashforth2:
            follows = gain + (1 - gain * tau / self._clock.timestep) * (1 - 1 / multiplier)
        return np.asarray(follows / (multiplier - 1 + gain))

    def _closed(
        self, exponents: Complex, answer: Complex | None, signs: Complex, logarithms: NDArray[np.float64]
    ) -> tuple[Complex, NDArray[np.float64]]:
        """With the outputs, which may follow their own states."""
        points, size = len(exponents), self._drive.shape[-1]
        h = self._followed(exponents, -1).reshape(points, 2 * size, 1)
        own = self._own.transpose(0, 2, 1, 3).reshape(2 * size, 2 * size)
        inner = np.eye(2 * size) - h * own
        signs, logarithms = _times(signs, logarithms, inner)
        if answer is None:
            return signs, logarithms
        states = np.linalg.solve(inner, h * self._drive.reshape(2 * size, size))
        errors = (self._sent.reshape(2 * size, 1) * states).reshape(points, 2, size, size).sum(1)
        return _times(signs, logarithms, np.eye(size) - errors @ answer)

    def _reaches(self) -> list[Rectangle]:
        """Where zeros to the right of all poles can be; each reaches further left, where delays amplify, than the one before."""
        last = -np.inf if np.isinf(self.poles[-1]) else self.poles[-1] + BESIDE_POLE * abs(self.poles[-1])
        if self._clock is not None:
            last = max(last, np.log(LEAST_MULTIPLIER) / self._clock.timestep)
        stages = max(0, int(np.ceil(np.log2(max(1.0, -last * sum(self._delays))))))
        return [self._reach(float(last) / 2**stage) for stage in range(stages, -1, -1)]

    def _reach(self, left: float) -> Rectangle:
        """Where zeros to the right of a real part, and of all poles, can be."""
        # h is at most 1 / |1 + tau p|, or that of a step. Nothing is amplified by delays to the right of 0.
        size, spacing = self._norm(), self._spacing()
        if self._clock is None:
            fastest = min(own.min() for own in self._tau)
            # A loop of two turns, up and down, is late by the delay of a pair.
            high = (1 + size * float(np.exp(-min(left, 0.0) * max([0.0, *self._delays]) / 2))) / fastest
            return Rectangle(left, (1 + size) / fastest, -high, high, spacing)
        dt = self._clock.timestep
        # The lower edge lies off the symmetry axes, where zeros are likely.
        return Rectangle(left, float(np.log(2 + 2 * size)) / dt, -0.3 / dt, (2 * np.pi - 0.3) / dt, spacing)

    def _spacing(self) -> float:
        """A distance in which phases turn by one at most: the inverse of the largest delay in the determinant.

        Each pair of layers is passed as often as its smaller layer allows; where no slopes differ, as often as there are outputs.
        """
        longest = float(sum(own * delay for own, delay in zip(self._passes, self._delays, strict=True)))
        if self._clock is not None:
            longest += self._clock.timestep * sum(own.size for own in self._tau)
        return 1 / longest if longest else np.inf

    def _norm(self) -> float:
        """A bound of how much larger a state's target is than the state."""
        sent = [np.abs(np.concatenate(own[2:])).max() for own in self._hidden] or [1.0]
        received = [np.abs(np.concatenate(own[:2])).max() for own in self._hidden] or [1.0]
        links = [float(np.linalg.norm(way, 2)) for way in (*self._up, *self._down)] or [0.0]
        outputs = np.linalg.norm(self._drive.reshape(-1, self._drive.shape[-1]), 2) * max(links)
        return float(4 * max(sent) * max(*received, 1.0) * max(links) + 2 * outputs + np.abs(self._own).sum())


def _numbers(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu(), dtype=np.float64)


def _gain(clock: Continuous, tau: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the way to its target that a neuron goes in a step."""
    z = clock.timestep / tau
    return z if clock.integrator is Euler else -np.expm1(-z)


def _refuse_unless_linear(clock: Continuous) -> None:
    if clock.integrator not in (ExponentialEuler, Euler, ExponentialAdamsBashforth2):
        raise InputError(
            f"dynamics.integrator: {clock.integrator.__name__} evaluates targets within its steps, which makes another equation; "
            "use exp_euler, euler or etd_ab2"
        )
    if any(way is not None for way in (clock.axons.threshold.bottom_up, clock.axons.threshold.top_down)):
        raise InputError("dynamics.axons.threshold: events are not linear; set it to null")


def _times(signs: Complex, logarithms: NDArray[np.float64], matrices: Complex) -> tuple[Complex, NDArray[np.float64]]:
    """With the determinants of matrices."""
    phases, sizes = np.linalg.slogdet(matrices)
    return signs * phases, logarithms + sizes


def _matrix(way: Linear, system: System, inputs: int) -> NDArray[np.float64]:
    """A way of messages, written out ``(chips, batch, outputs, inputs)``."""
    unit, columns = torch.zeros(system.chips, system.batch, inputs, dtype=torch.float64, device=system.tau.device), []
    for column in range(inputs):
        unit[..., column] = 1
        columns.append(way(unit).clone())
        unit[..., column] = 0
    return _numbers(torch.stack(columns, -1))
