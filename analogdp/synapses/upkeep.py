"""What a crossbar does to its cells beside updates: handing weights on to slow devices, and winning back used-up range."""

from __future__ import annotations

import torch
from torch import Tensor

from analogdp.devices import DeviceModel, DeviceState
from analogdp.streams import Stream
from analogdp.synapses.mapping import Mapping
from analogdp.synapses.parts import ProgrammingSettings, WriteSettings
from analogdp.synapses.programming import ProgrammingReport, program
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.writing import pulse_counts


def transfer_counts(
    cells: Tensor, resting: Tensor | float, mapping: Mapping, increment: float, write: WriteSettings, stream: Stream
) -> Tensor:
    """Pulses that ask the slow devices of some lines for what the fast ones beside them hold.

    Args:
        cells: conductances that were read, in siemens ``(chips, cells, out, in)``.
        resting: what fast devices conduct that hold nothing, broadcastable to ``(chips, out, in)``.
        mapping: of the cells.
        increment: nominal change of a device by one pulse, in siemens.
        write: whose ``transfer`` says how much is handed on.
        stream: of the dice.
    """
    assert write.transfer is not None
    expected = torch.zeros_like(cells)
    for polarity in range(len(mapping.signs)):
        expected[:, 2 * polarity + 1] = (cells[:, 2 * polarity] - resting) * (write.transfer.rate / increment)
    return pulse_counts(expected, write.model_copy(update={"rounding": "stochastic"}), stream)


def restore_pairs(
    device: DeviceModel,
    state: DeviceState,
    mapping: Mapping,
    weights: Tensor,
    settings: CrossbarSettings,
    stream: Stream,
) -> ProgrammingReport:
    """Reset pairs of which one cell has come near the end of its range, and program their difference anew, in place.

    Args:
        device: the model of the cells.
        state: the cells.
        mapping: of the cells.
        weights: that the pairs hold, ``(chips, out, in)``.
        settings: whose ``refresh`` says which, and ``programming`` how; by pulses and reads in turn where that is ``exact``.
        stream: of the devices' randomness and of the reads' noise.
    """
    assert settings.refresh is not None
    cells, programming = device.conductance(state), settings.programming
    limit = mapping.low + settings.refresh.above * (mapping.high - mapping.low)
    tired = torch.stack([mapping.unit(cells, polarity) for polarity in range(2)], 1).amax(1, keepdim=True) > limit
    chosen = tired.expand_as(cells)
    wanted = mapping.wanted(weights, None)
    device.reset(state, chosen, stream.child("reset"))
    method = programming if programming.method != "exact" else ProgrammingSettings(method="write_verify")
    report = program(device, state, wanted, method, stream.child("programming"), chosen)
    assert report is not None
    return report
