"""What write pulses dissipate in the cells that they go through."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from analogdp.devices.base import WritePulse

SHAPE_FACTORS = {"rectangular": 1.0, "triangular": 1 / 3, "sine": 1 / 2}
"""Mean over a pulse of (v(t) / amplitude)^2."""


def pulse_energy(count: Tensor, conductance: Tensor, pulse: WritePulse) -> Tensor:
    """Joules that pulses dissipate, the sum over cells of ``|count| V^2 G width`` times the factor of their shape.

    Args:
        count: pulses of every cell ``(chips, ...)``; positive ones are up, negative ones down, as for ``DeviceModel.pulse``.
        conductance: that the pulses find, in siemens, of the same shape.
        pulse: voltages, width and shape.

    Returns:
        float64 ``(chips,)``.
    """
    # A negative slope makes down pulses count by the square of their voltage relative to that of up pulses.
    weighed = leaky_relu(count, -((pulse.down / pulse.up) ** 2)).flatten(1)
    sums = torch.bmm(weighed.unsqueeze(1), conductance.flatten(1).unsqueeze(2)).view(-1)
    return sums.to(torch.float64) * (pulse.up**2 * pulse.width * SHAPE_FACTORS[pulse.shape])
