"""Steps, bounds and shape of laws by least squares of the filter's standardised surprises, with its gains held."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analogdp.devices.pulsed import PulsedDevice
from analogdp.fitting.families import SPAN, Family
from analogdp.fitting.filtering import Filtered, LawTable, Reads, refollow, sensitivities
from analogdp.fitting.traces import Values

OWN_LOWEST = (np.log(1e-6), np.log(1e-6), 0.02, -20.0)
OWN_HIGHEST = (np.log(SPAN), np.log(SPAN), 20.0, -0.02)
_PRIOR = (3.0, 3.0, 1.0, 1.0)
"""Standard deviations around the start, of ln step and of a bound: as wide as half the range that was seen, so that a bound
that no read tells of stays near the last read, and one that reads tell of is theirs."""
_SHAPE_PRIOR = 10.0
_DIFFERENCE = 1e-4
_MOST_STEPS = 8
_SETTLED = 1e-5
"""Relative fall of the sum of squares that ends a search."""


@dataclass(frozen=True)
class Law:
    """A family's law of several devices.

    Attributes:
        family: which.
        form: of the cycle noise.
        own: ln step up, ln step down, upper and lower bound of each device, ``(devices, 4)``.
        shape: of the family.
    """

    family: Family
    form: str
    own: Values
    shape: Values

    @property
    def step(self) -> float:
        """Mean size of all devices' steps."""
        return float(np.exp(self.own[:, :2]).mean())

    @property
    def device(self) -> PulsedDevice:
        return self.family.device(self.shape, self.step, self.form)

    @property
    def table(self) -> LawTable:
        return LawTable(self.device, steps_and_bounds(self.own))


def steps_and_bounds(own: Values) -> Values:
    """Steps themselves instead of their logarithms."""
    return np.concatenate((np.exp(own[..., :2]), own[..., 2:]), axis=-1)


class Regression:
    """The sum of squares of all surprises and of what was known before, as a function of a law's numbers.

    Unknowns are the own numbers of one device after the other, then the shape.
    """

    def __init__(self, law: Law, reads: Reads, held: Filtered) -> None:
        """``held``: gains, spreads and scales; what was known before is ``law``'s own and its family's shape."""
        self._law, self._reads, self._held = law, reads, held
        devices, family = len(law.own), law.family
        self.lowest, self.highest = (
            np.concatenate((np.tile(own, devices), shape))
            for own, shape in ((OWN_LOWEST, family.lowest), (OWN_HIGHEST, family.highest))
        )
        self._expected = np.concatenate((law.own.ravel(), family.start))
        self._precision = np.concatenate((np.tile(_PRIOR, devices), np.full(len(family.start), _SHAPE_PRIOR))) ** -2.0

    def best(self) -> Law:
        """The law of the least squares, by Levenberg's and Marquardt's method within the ranges."""
        unknowns = np.concatenate((self._law.own.ravel(), self._law.shape))
        held, squares = self._at(unknowns)
        damping = 1e-3
        for _ in range(_MOST_STEPS):
            information, fall = self._normal(unknowns, held)
            last = squares
            for _ in range(_MOST_STEPS):
                trial = self._stepped(unknowns, information, fall, damping)
                new, found = self._at(trial)
                if found < squares:
                    unknowns, held, squares, damping = trial, new, found, damping / 10
                    break
                damping *= 10
            if last - squares < _SETTLED * last:
                break
        return self._law_of(unknowns)

    def information(self) -> Values:
        """Inverse covariance of the unknowns at the law itself."""
        unknowns = np.concatenate((self._law.own.ravel(), self._law.shape))
        return self._normal(unknowns, self._held)[0]

    def _law_of(self, unknowns: Values) -> Law:
        own, shape = np.split(unknowns, [self._law.own.size])
        return Law(self._law.family, self._law.form, own.reshape(-1, 4), shape)

    def _at(self, unknowns: Values) -> tuple[Filtered, float]:
        found = refollow(self._law_of(unknowns).table, self._reads, self._held)
        prior = (self._precision * (unknowns - self._expected) ** 2).sum()
        return found, float((found.standardised**2).sum() + prior)

    def _stepped(self, unknowns: Values, information: Values, fall: Values, damping: float) -> Values:
        """One damped step; what stands at an end of its range and would go beyond it stays there."""
        free = ~(((unknowns <= self.lowest) & (fall < 0)) | ((unknowns >= self.highest) & (fall > 0)))
        step = np.zeros_like(unknowns)
        damped = information + damping * np.diag(np.diag(information))
        step[free] = np.linalg.solve(damped[np.ix_(free, free)], fall[free])
        return np.asarray(np.clip(unknowns + step, self.lowest, self.highest))

    def _normal(self, unknowns: Values, held: Filtered) -> tuple[Values, Values]:
        """Matrix and right-hand side of the normal equations: half the squares' curvature, and half their fall."""
        changes = self._changes(unknowns, held).transpose(2, 0, 1)
        products = changes @ changes.swapaxes(1, 2)
        falls = -(changes @ held.standardised.T[:, :, None])[..., 0]
        devices, own = len(changes), 4 * len(changes)
        information = np.diag(self._precision)
        for device in range(devices):
            block = slice(4 * device, 4 * device + 4)
            information[block, block] += products[device, :4, :4]
            information[block, own:] = products[device, :4, 4:]
            information[own:, block] = products[device, 4:, :4]
        information[own:, own:] += products[:, 4:, 4:].sum(axis=0)
        fall = np.concatenate((falls[:, :4].ravel(), falls[:, 4:].sum(axis=0)))
        return information, fall - self._precision * (unknowns - self._expected)

    def _changes(self, unknowns: Values, held: Filtered) -> Values:
        """Derivatives of all surprises by a device's own four numbers and by the shape, ``(4 + shape, pulses, devices)``."""
        law = self._law_of(unknowns)
        device, room = law.device, law.shape + _DIFFERENCE < law.family.highest
        differences = np.where(room, _DIFFERENCE, -_DIFFERENCE)
        of_own = [LawTable(device, steps_and_bounds(law.own + _DIFFERENCE * way)) for way in np.eye(4)]
        of_shape = [replace(law, shape=law.shape + shift).table for shift in np.diag(differences)]
        by = np.concatenate((np.full(4, _DIFFERENCE), differences))
        return np.asarray(sensitivities(law.table, [*of_own, *of_shape], self._reads, held) / by[:, None, None])
