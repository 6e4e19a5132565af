"""Cells under a voltage that varies in time: continuous writing, and the pinched current-voltage loop under a sine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.devices.base import DeviceModel, DeviceState
from analogdp.devices.state_equation import StateEquationDevice
from analogdp.errors import InputError
from analogdp.streams import Stream

_SHARE = 0.01
"""Of its range, the most that a state may be about to move in one substep."""
_MOST_SUBSTEPS = 200
"""Of a step; what switches faster than this resolves has switched within the step in any case."""


@dataclass(frozen=True)
class Hysteresis:
    """Cells under a sine, at equally spaced times from 0 to the last period's end, both included.

    Attributes:
        time: in seconds, ``(points,)``.
        voltage: across every cell in volts, ``(points,)``.
        current: in amperes, ``(points, chips)``.
        state: in the model's units, ``(points, chips)``.
    """

    time: Tensor
    voltage: Tensor
    current: Tensor
    state: Tensor


def integrate(
    device: StateEquationDevice,
    state: DeviceState,
    voltage: Callable[[float], float],
    dt: float,
    steps: int,
    stream: Stream | None = None,
) -> Tensor:
    """Let cells follow a voltage, in place, and return their states at the ``steps + 1`` times ``0, dt, 2 dt...``

    Steps in which the fastest cell is about to move by more than 1 % of its range are divided, up to 200 times. One
    number per step is read back from the device for that.

    Args:
        device: the model.
        state: the cells.
        voltage: across every cell in volts, a function of the time in seconds.
        dt: seconds between the states returned.
        steps: how many.
        stream: of a diffusion of the state; None leaves it away.

    Returns:
        Tensor ``(steps + 1, chips, *cells)``.
    """
    cells = state.variables["state"]
    track = cells.new_empty((steps + 1, *cells.shape))
    track[0] = cells
    for step in range(steps):
        parts = _substeps(device, state, [voltage((step + share) * dt) for share in (0.0, 0.5, 1.0)], dt)
        for part in range(parts):
            middle = cells.new_tensor(voltage((step + (part + 0.5) / parts) * dt))
            device.advance(state, middle, dt / parts, None if stream is None else stream.at(step, part))
        track[step + 1] = cells
    return track


def _substeps(device: StateEquationDevice, state: DeviceState, voltages: list[float], dt: float) -> int:
    cells, parameters = state.variables["state"], state.parameters
    flows = torch.stack([device.flow(state, cells.new_tensor(voltage)) for voltage in voltages])
    flows = torch.where(cells <= parameters["lower"], flows.clamp(min=0.0), flows)
    flows = torch.where(cells >= parameters["upper"], flows.clamp(max=0.0), flows)
    moved = float(flows.abs().max()) * dt / (device.highest - device.lowest)
    return max(1, math.ceil(min(moved / _SHARE, _MOST_SUBSTEPS)))


def with_state_equation(device: DeviceModel) -> StateEquationDevice:
    """The device, if its state has an equation.

    Raises:
        InputError: it has none.
    """
    if not isinstance(device, StateEquationDevice):
        raise InputError(
            "a hysteresis loop needs a bare model with a state equation: ion_drift, vteam, yakopcic or stanford_pku, and "
            "none of the sections that age, wear or break cells"
        )
    return device


def hysteresis(
    device: DeviceModel,
    amplitude: float,
    frequency: float,
    periods: int = 2,
    steps: int = 1000,
    chips: int = 1,
    stream: Stream | None = None,
) -> Hysteresis:
    """The response of one cell per chip to ``amplitude * sin(2 pi frequency t)``, from the middle of its state's range.

    Args:
        device: a model with a state equation.
        amplitude: in volts, above 0.
        frequency: in hertz, above 0.
        periods: how many.
        steps: per period.
        chips: how many cells, each fabricated on its own; ignored where ``stream`` names the chips.
        stream: of the fabrication and, if the model has one, the diffusion of the state; float64 draws with seed 0 if None.

    Raises:
        InputError: the model has no state equation, a number is out of range, or the voltage is beyond the equations.
    """
    device = with_state_equation(device)
    for name, value in (("amplitude", amplitude), ("frequency", frequency)):
        if not 0 < value < math.inf:
            raise InputError(f"{name}: {value:g} is out of range; allowed: above 0")
    for name, number, least in (("periods", periods, 1), ("steps", steps, 20), ("chips", chips, 1)):
        if number < least:
            raise InputError(f"{name}: {number} is out of range; allowed: at least {least}")
    device.check_voltage(amplitude)
    stream = stream or Stream(0, "hysteresis", tuple(range(chips)), dtype=torch.float64)
    state = device.sample((1,), stream.child("fabrication"))
    state.variables["state"].copy_((state.parameters["lower"] + state.parameters["upper"]) / 2)
    dt = 1 / (frequency * steps)

    def voltage(time: float) -> float:
        return amplitude * math.sin(2 * math.pi * frequency * time)

    track = integrate(device, state, voltage, dt, periods * steps, stream.child("motion"))[..., 0]
    points = torch.arange(len(track), dtype=torch.float64)
    # The sine of an integer multiple of half a period is to be exactly 0, where the loop is pinched.
    phase = (points % steps) / steps
    voltages = torch.where(2 * phase % 1 == 0, 0.0, amplitude * torch.sin(2 * math.pi * phase)).to(track)
    current = device.chord(track, voltages.unsqueeze(1)) * voltages.unsqueeze(1)
    return Hysteresis(points * dt, voltages, current, track)
