"""Many pulses of a law that is not affine: an exact first pulse, and the flow dw/dn = f(w) for all that follow.

With f(w) the mean step at w, n pulses from w_0 lead to w_1 = w_0 + f(w_0) and from there on as far as the flow goes in
n - 1 pulses. Discrete steps differ from the flow, to second order in f'(w), by the end terms of the Euler-Maclaurin sum

    T(w_n) - T(w_1) = n - 1 - 1/2 ln(f(w_n) / f(w_1)),     T(w) = integral dw / f,

which move the result by -1/2 f(w_n) ln(f(w_n) / f(w_1)). A deviation after pulse m grows by f(w_n) / f(w_m) until the end,
and f(w_m) / f(w_m+1) hardly changes on the way, so with the noise s(w) of one pulse

    Var[w_n] = n / 2 [s(w_0)^2 (f(w_n) / f(w_1))^2 + s(w_n-1)^2],     f(w_n-1) = f(w_n) f(w_0) / f(w_1).

One pulse is exact in distribution, but for cards of fine exponential steps, see there. Compared with the loop over up to 1000
pulses, in steps, without noise the mean is wrong by

- 0.03 for the ReRAM card, 0.005 for power steps of 1/50 of the range, 0.01 for piecewise ones;
- 0.5 of 43 for the phase-change card, whose second pulse is half as large as its first.

With noise of 0.4 of a step mean and spread are right to 0.02 and 8 %, and for the ReRAM card with noise of 5 steps to 0.25 and
8 % where its step hardly changes within a pulse's noise. Where it does the form is rough: from 150 steps below the upper bound,
where a pulse down takes 6 +- 31 steps, it is 6 % short after 34 pulses, and scatters 11 % too much; phase-change cells scatter
up to 30 % too much after 10 pulses; after 50, when their noise has filled the range, by up to two thirds, and means are off by
20 steps of 200; after 100 by a factor of two, and 40 steps.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from analogdp.devices.moments import root
from analogdp.devices.pulsed import PulsedDevice


class FlowDevice(PulsedDevice):
    """A pulsed device whose law has a closed flow; a model adds its relative step and the way that the flow goes."""

    @abstractmethod
    def relative_step(self, weight: Tensor, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        """Mean size of one pulse relative to the device's step, >= 0, in a new tensor.

        Args:
            weight: normalised weight.
            parameters: of the cells.
            rising: 1 where the pulses are up, 0 elsewhere.
        """

    @abstractmethod
    def travel(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> Tensor:
        """How far the flow dw/dn = step relative_step(w) leads in ``pulses`` pulses, exactly 0 for none; a new tensor."""

    def pulse_noise(self, weight: Tensor, change: Tensor, step: Tensor) -> Tensor:
        """Standard deviation of one pulse with mean ``change`` at ``weight``."""
        return (step if self.additive else change).abs().mul_(self.parameters.cycle_noise)

    def change(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> tuple[Tensor, Tensor]:
        tiny = torch.finfo(weight.dtype).tiny
        start = self.relative_step(weight, parameters, rising).clamp_(min=tiny)
        first = start * step
        mean = first * pulses.clamp(max=1.0)
        after = weight + mean
        second = self.relative_step(after, parameters, rising).clamp_(min=tiny)
        mean.add_(self.travel(after, step, (pulses - 1.0).clamp_(min=0.0), parameters, rising))
        end = self.relative_step(weight + mean, parameters, rising).clamp_(min=tiny)
        growth = torch.where(pulses > 1.0, end / second, 1.0)
        mean.addcmul_(step * end, growth.log(), value=-0.5)
        if not self.parameters.cycle_noise:
            return mean, torch.zeros_like(mean)
        last = growth * first
        before = torch.where(pulses > 1.0, weight + mean - last, weight)
        variance = growth.mul_(self.pulse_noise(weight, first, step)).square_()
        variance.add_(self.pulse_noise(before, last, step).square_()).mul_(pulses).mul_(0.5)
        return mean, root(variance, pulses)

    @property
    def increment(self) -> float:
        """Of an average pulse at mid-range: up and down, or up alone where no pulse lowers a cell."""
        own = self.parameters
        bounds = {"upper": torch.tensor([own.upper] * 2), "lower": torch.tensor([own.lower] * 2)}
        middle = (bounds["upper"] + bounds["lower"]) / 2
        steps = self.relative_step(middle, self.shape_parameters(bounds), torch.tensor([1.0, 0.0]))
        sizes = steps[:1] if self.unidirectional else steps
        return sizes.mean().item() * own.nominal_step * self.siemens
