"""Putting cells at wanted conductances: exactly, by counted pulses, or by pulses and reads in turn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.devices import DeviceModel, DeviceState
from analogdp.devices.energy import pulse_energy
from analogdp.streams import Stream
from analogdp.synapses.parts import BUDGET, TOLERANCE, ProgrammingSettings


@dataclass(frozen=True)
class ProgrammingReport:
    """What programming took, and what it left.

    Attributes:
        pulses: of every cell, in both directions, ``(chips, cells, out, in)``.
        error: conductance less the wanted one, in siemens, without read noise, ``(chips, cells, out, in)``.
        unfinished: whether a cell was still out of tolerance at its last read; None without reads.
        reads: of every cell.
        energy: of the pulses in joules ``(chips,)``; None if the card does not state their voltages.
    """

    pulses: Tensor
    error: Tensor
    unfinished: Tensor | None
    reads: Tensor
    energy: Tensor | None

    def of_lines(self, outputs: int) -> ProgrammingReport:
        """The same for the first ``outputs`` output lines; the energy stays that of all."""
        unfinished = None if self.unfinished is None else self.unfinished[..., :outputs, :]
        pulses, error = (array[..., :outputs, :] for array in (self.pulses, self.error))
        return ProgrammingReport(pulses, error, unfinished, self.reads[..., :outputs, :], self.energy)


def program(
    device: DeviceModel,
    state: DeviceState,
    wanted: Tensor,
    settings: ProgrammingSettings,
    stream: Stream,
    chosen: Tensor | None = None,
) -> ProgrammingReport | None:
    """Program cells, in place.

    Args:
        device: their model.
        state: the cells.
        wanted: conductances in siemens, of the cells' shape.
        settings: how.
        stream: of the devices' randomness and of the reads' noise.
        chosen: which cells to program, of a method with pulses; None: all.

    Returns:
        None of the exact method, which takes no pulses.
    """
    if settings.method == "exact":
        device.program(state, wanted, stream)
        return None
    pulses, reads = torch.zeros_like(wanted), torch.zeros_like(wanted)
    active = torch.ones_like(wanted, dtype=torch.bool) if chosen is None else chosen.expand_as(wanted).clone()
    joules: Tensor | None = None
    verifies = settings.method == "write_verify"
    for number in range((settings.budget or BUDGET) if verifies else 1):
        own = stream.at(number)
        seen = device.read(state, own.child("read")) if verifies else device.conductance(state)
        missing = wanted - seen
        if verifies:
            reads += active
            active &= missing.abs() > (settings.tolerance or TOLERANCE) * (device.high - device.low)
            # Programming is no part of training: looking at the cells costs nothing that counts.
            if not bool(active.any()):
                break
        count = _burst(missing, device, settings, at_least_one=verifies).mul_(active)
        spent = None if device.write_pulse is None else pulse_energy(count, seen, device.write_pulse)
        joules = spent if joules is None or spent is None else joules + spent
        device.pulse(state, count, own.child("pulses"))
        pulses += count.abs()
    return ProgrammingReport(pulses, device.conductance(state) - wanted, active if verifies else None, reads, joules)


def _burst(missing: Tensor, device: DeviceModel, settings: ProgrammingSettings, at_least_one: bool) -> Tensor:
    """How many pulses a nominal device would need, at mid-range."""
    count = (missing / device.increment).round_()
    if at_least_one:
        count = torch.where(count == 0, missing.sign(), count)
    if settings.most_pulses is not None:
        count.clamp_(-settings.most_pulses, settings.most_pulses)
    return count.clamp_(min=0) if device.unidirectional else count
