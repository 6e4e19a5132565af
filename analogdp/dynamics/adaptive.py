"""Integration with inner steps that an error estimate controls, for each sample on its own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from analogdp import registry
from analogdp.dynamics.integrators import Eigenvalues, Growth, Integrator, Noise, Target
from analogdp.errors import RunError
from analogdp.network import Layout

STAGES = (
    (1 / 5, (1 / 5,)),
    (3 / 10, (3 / 40, 9 / 40)),
    (4 / 5, (44 / 45, -56 / 15, 32 / 9)),
    (8 / 9, (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729)),
    (1.0, (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656)),
    (1.0, (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)),
)
"""Time and weights of each stage after the first. The last stage is the solution of fifth order itself, so that its slope
serves as the first of the next step. Dormand & Prince 1980."""

ERROR_WEIGHTS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""The solution of fifth order less the embedded one of fourth order."""

SAFETY, PRESENT_POWER, PREVIOUS_POWER = 0.9, 0.7 / 5, 0.4 / 5
"""Of the PI control: factor = 0.9 error^(-0.7/5) (previous error)^(0.4/5). Hairer & Wanner, Solving ODEs II, IV.2."""

SMALLEST_FACTOR, LARGEST_FACTOR = 0.2, 10.0
SMALLEST_ERROR = 1e-4
"""What the control remembers at least of an accepted step, so that a lucky one does not hold back the next."""

SMALLEST_PART = 1e-10
"""Of dt: who needs shorter inner steps is not solved by them."""

FACTOR_GRAIN = 2.0**-10
"""Factors are rounded to this. The last bits of a power may depend on where in a vector register a sample lies, and a
result must not."""


@registry.integrators.register("dopri5")
class DormandPrince(Integrator):
    """Dormand-Prince 5(4) with PI step control; without noise. A step of dt is made of as many inner steps as it takes.

    Every sample of every chip takes inner steps of its own, and keeps the last one's length for the next step of dt, so that
    its result does not depend on what runs beside it. Its error is the largest of its neurons' |error| / (atol + rtol |s|).
    The host reads back once per attempted inner step whether all samples have arrived.

    A field is asked for all samples at once, and these are at different times: with a ``layout`` it must not depend on time,
    and gets that of the beginning of the step. Without one, the state is a single group and the field gets its time, which
    the host reads once more per step.

    Args:
        like, dt, tau: see :class:`Integrator`.
        rtol, atol: allowed error of an inner step.
        layout: where the samples lie in the state, or None for a single group.

    Attributes:
        evaluations: of one attempted inner step, the nominal number.
        attempts: inner steps, accepted or not, that the slowest sample took in all steps so far.
    """

    order, evaluations, adaptive = 5, 6, True

    def __init__(
        self,
        like: Tensor,
        dt: float,
        tau: Tensor | float,
        rtol: float = 1e-5,
        atol: float = 1e-6,
        layout: Layout | None = None,
    ) -> None:
        if not (rtol > 0 and atol > 0):
            raise ValueError(f"rtol {rtol:g} and atol {atol:g} must be positive")
        super().__init__(like, dt, tau)
        self.gain, self.rtol, self.atol, self.attempts = dt / tau, rtol, atol, 0
        self.slopes = [torch.empty_like(like) for _ in range(len(STAGES) + 1)]
        self.stage, self.error, self.scale = (torch.empty_like(like) for _ in range(3))
        self._groups = _Groups(like, layout)
        # In units of dt, and in double precision whatever the state has: parts have to add up to a whole.
        self.proposal = torch.ones(self._groups.count, device=like.device, dtype=torch.float64)
        self.previous_error = torch.ones_like(self.proposal)

    def start(self) -> None:
        self.proposal.fill_(1.0)
        self.previous_error.fill_(1.0)

    def tensors(self) -> dict[str, Tensor]:
        return {"proposal": self.proposal, "previous_error": self.previous_error}

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        """Advance by dt.

        Raises:
            RunError: a sample needs inner steps below 1e-10 dt.
        """
        self.refuse(noise)
        self._slope(target, state, 0)
        elapsed = torch.zeros_like(self.proposal)
        timed = self._groups.layout is None
        passed, proposal = 0.0, float(self.proposal) if timed else 0.0
        waiting = True
        while waiting:
            left = 1 - elapsed
            part = torch.minimum(self.proposal, left)
            ahead = min(proposal, 1 - passed) if timed else 0.0
            self._attempt(state, part, field, time + passed * self.dt, ahead * self.dt)
            error = self._largest_error(state, part)
            accepted = (error <= 1) & (part > 0)
            self._accept(state, accepted)
            elapsed = torch.where(accepted, torch.where(part == left, 1.0, elapsed + part), elapsed)
            self._control(part, error, accepted)
            late = elapsed < 1
            stuck = late & (self.proposal < SMALLEST_PART)
            waiting, failed, passed, proposal = torch.stack(
                (late.any().double(), stuck.any().double(), elapsed[0], self.proposal[0])
            ).tolist()
            if failed:
                self._give_up(stuck, time)
            self.attempts += 1

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        """That of the exact solution, which the inner steps follow within the tolerance."""
        return np.exp(z * (gamma.real - 1))

    def _slope(self, target: Tensor, state: Tensor, index: int) -> None:
        """What a state would move by in dt."""
        torch.sub(target, state, out=self.slopes[index]).mul_(self.gain)

    def _attempt(self, state: Tensor, part: Tensor, field: Target, time: float, ahead: float) -> None:
        """The stages of one inner step, from ``time`` to ``ahead`` later; the solution is the last of them."""
        length, stage = self._groups.spread(part.to(state.dtype)), self.stage
        for index, (fraction, weights) in enumerate(STAGES, start=1):
            self._combine(weights, stage).mul_(length).add_(state)
            self._slope(field(stage, time + fraction * ahead), stage, index)

    def _largest_error(self, state: Tensor, part: Tensor) -> Tensor:
        """The error of each sample in units of what is allowed. A maximum has the same bits in whichever order it is taken."""
        torch.maximum(state.abs(), self.stage.abs(), out=self.scale).mul_(self.rtol).add_(self.atol)
        self._combine(ERROR_WEIGHTS, self.error).abs_().div_(self.scale)
        return self._groups.largest(self.error).double() * part

    def _combine(self, weights: tuple[float, ...], out: Tensor) -> Tensor:
        torch.mul(self.slopes[0], weights[0], out=out)
        for weight, slope in zip(weights[1:], self.slopes[1:], strict=False):
            if weight:
                out.add_(slope, alpha=weight)
        return out

    def _accept(self, state: Tensor, accepted: Tensor) -> None:
        chosen, first, last = self._groups.spread(accepted), self.slopes[0], self.slopes[-1]
        torch.where(chosen, self.stage, state, out=state)
        torch.where(chosen, last, first, out=first)

    def _control(self, part: Tensor, error: Tensor, accepted: Tensor) -> None:
        """Propose the next inner steps; a step cut short by the end of dt does not shorten the proposal."""
        factor = SAFETY * error**-PRESENT_POWER * self.previous_error**PREVIOUS_POWER
        # An error that is not a number asks for the shortest next step.
        factor = factor.nan_to_num(nan=SMALLEST_FACTOR).clamp(SMALLEST_FACTOR, LARGEST_FACTOR)
        proposed = part * (factor / FACTOR_GRAIN).round_() * FACTOR_GRAIN
        proposed = torch.where(accepted, torch.where(part < self.proposal, self.proposal, proposed), proposed)
        torch.where(part > 0, proposed, self.proposal, out=self.proposal)
        torch.where(accepted, error.clamp(min=SMALLEST_ERROR), self.previous_error, out=self.previous_error)

    def _give_up(self, stuck: Tensor, time: float) -> None:
        where = self._groups.name(int(stuck.int().argmax()))
        raise RunError(
            f"dopri5 cannot follow the dynamics{where} beyond {time:.6g} s: an inner step below {SMALLEST_PART * self.dt:.3g} s "
            f"still errs by more than rtol {self.rtol:g} and atol {self.atol:g} allow. The state may be diverging; otherwise "
            "allow larger errors, compute in float64, or use integrator: exp_euler"
        )


class _Groups:
    """The parts of a flat state that take steps together: the samples of each chip, or all of it."""

    def __init__(self, like: Tensor, layout: Layout | None) -> None:
        self.layout, self.count = layout, 1
        self._owner: Tensor | None = None
        if layout is not None:
            self.count = layout.chips * layout.batch
            numbers = torch.arange(self.count, device=like.device).view(layout.chips, layout.batch, 1)
            self._owner = layout.expand([numbers] * len(layout.units))

    def spread(self, values: Tensor) -> Tensor:
        """One value for each group, brought to the groups' elements."""
        return values if self._owner is None else values[self._owner]

    def largest(self, flat: Tensor) -> Tensor:
        """The largest value of each group."""
        if self.layout is None:
            return flat.max().view(1)
        return torch.stack([view.amax(dim=(0, 3)) for view in self.layout.views(flat)]).amax(0).flatten()

    def name(self, group: int) -> str:
        if self.layout is None:
            return ""
        chip, sample = divmod(group, self.layout.batch)
        return f" of sample {sample} on chip {chip}"
