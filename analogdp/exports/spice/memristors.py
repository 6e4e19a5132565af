"""Cells with a state equation as subcircuits: a capacitor holds the state, a behavioural source moves it, another one conducts.

The voltage of node ``x`` is the state's share of its range, from 0 to 1. The node's capacitor has as many farads as a write pulse
has seconds, so that currents are changes by one pulse:

    C dx/dt = I        I = C * rate * flow(x, v) * gate        gate = 0 at the bound that the flow goes to, else 1

The gate closes over the last millionth of the range, as simulators dislike jumps. Equations stand in the modules of the devices:
:mod:`analogdp.devices.vteam`, :mod:`analogdp.devices.yakopcic`, :mod:`analogdp.devices.ion_drift`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from analogdp.devices import DeviceModel, DeviceState
from analogdp.devices.ion_drift import IonDrift
from analogdp.devices.state_equation import StateEquationDevice
from analogdp.devices.vteam import Vteam
from analogdp.devices.windows import WindowName
from analogdp.devices.yakopcic import Yakopcic
from analogdp.errors import InputError
from analogdp.exports.spice.dialects import Dialect
from analogdp.exports.spice.netlist import Netlist

CELL = "memristor"
"""The subcircuit of a cell."""

GATE = 1e-6
"""Share of the range over which a state stops at its bound."""

DEFAULTS = {"state": 0.5, "lower": 0.0, "upper": 1.0, "rate": 1.0, "threshold": 1.0}
"""Parameters of a cell's subcircuit: shares of the state's range, and factors on the card's speed and thresholds."""

MODELS = ("ion_drift", "vteam", "yakopcic")
"""Models of devices that have such subcircuits."""


class Memristor:
    """What is written of one kind of cell.

    Args:
        device: of the crossbar's cells.
        card: its name, for messages.

    Raises:
        InputError: the device has no such subcircuit.
    """

    def __init__(self, device: DeviceModel, card: str) -> None:
        self._equations = _EQUATIONS.get(type(device))
        if self._equations is None or not isinstance(device, StateEquationDevice):
            raise InputError(
                f"cells: memristors: the cells of {card!r} have no state equation that a circuit could hold. It needs a card of "
                f"model {', '.join(MODELS)}, and none of the sections that age, wear or break cells; else use cells: resistors"
            )
        self.device = device

    def parameters(self, cells: DeviceState) -> dict[str, Tensor]:
        """Of the subcircuits of cells, in doubles; without those that no cell has other than the default."""
        lowest, span = self.device.lowest, self.device.highest - self.device.lowest
        found = {name: (cells.variables | cells.parameters)[name].double() for name in DEFAULTS}
        shares = {name: (found[name] - lowest) / span for name in ("state", "lower", "upper")}
        found |= {name: values.clamp(0, 1) for name, values in shares.items()}
        return {name: own for name, own in found.items() if name == "state" or bool((own != DEFAULTS[name]).any())}

    def write(self, netlist: Netlist) -> None:
        """Add the subcircuit :data:`CELL` with ports ``top`` and ``bottom``; positive voltages point from top to bottom."""
        dialect, equations = netlist.dialect, self._equations
        assert equations is not None
        own = {name: dialect.parameter(name) for name in ("lower", "upper", "rate", "threshold")}
        chord, rising, falling = equations(self.device, dialect, own["threshold"])
        width = self.device.pulses.width
        with netlist.subcircuit(CELL, ("top", "bottom"), DEFAULTS):
            netlist.comment("the state, from 0 to 1, and what moves it up and down")
            netlist.capacitor("x", "x", "0", width, initial="{state}")
            for name, flow, room in (
                ("up", rising, f"{own['upper']} - V(x)"),
                ("down", falling, f"V(x) - {own['lower']}"),
            ):
                gate = dialect.clamp(f"({room})*{1 / GATE!r}", "0", "1")
                nodes = ("0", "x") if name == "up" else ("x", "0")
                netlist.behavioural_current(name, *nodes, f"{width!r}*{own['rate']} * {flow} * {gate}")
            netlist.comment("what it conducts")
            netlist.behavioural_current("cell", "top", "bottom", chord)


Expressions = tuple[str, str, str]
"""Current in amperes, and the speeds of the state upwards and downwards in 1/s, both at least 0; of V(x) and V(top,bottom)."""

_V = "V(top,bottom)"


def _vteam(device: StateEquationDevice, dialect: Dialect, threshold: str) -> Expressions:
    assert isinstance(device, Vteam)
    own = device.parameters
    span = own.x_off - own.x_on
    if own.resistance == "linear":
        current = f"{_V} / ({own.r_on!r} + {own.r_off - own.r_on!r}*V(x))"
    else:
        current = f"{_V} / {own.r_on!r} * exp(-ln({own.r_off / own.r_on!r})*V(x))"

    def speed(factor: float, level: float, exponent: float, rising: bool) -> str:
        beyond = f"{_V}/({level!r}*{threshold}) - 1"
        # The slope of a power below 1 is infinite at the threshold, which a condition keeps out of the equations.
        drive = dialect.choose(f"{beyond} > 0", dialect.power(beyond, repr(exponent)), "0")
        shape = _window(own.window, own.window_power, own.window_scale, rising, dialect)
        return f"{abs(factor) / span!r} * {drive} * {shape}"

    rising = speed(own.k_off, own.v_off, own.alpha_off, rising=True)
    return current, rising, speed(own.k_on, own.v_on, own.alpha_on, rising=False)


def _yakopcic(device: StateEquationDevice, dialect: Dialect, threshold: str) -> Expressions:
    assert isinstance(device, Yakopcic)
    own = device.parameters
    amplitude = dialect.choose(f"{_V} >= 0", repr(own.a1), repr(own.a2))
    slow_up = f"exp(-{own.alpha_p!r}*(V(x) - {own.x_p!r}))*(1 - V(x))/{1 - own.x_p!r}"
    slow_down = f"exp({own.alpha_n!r}*(V(x) - {1 - own.x_n!r}))*V(x)/{1 - own.x_n!r}"
    up = dialect.choose(f"V(x) >= {own.x_p!r}", slow_up, "1")
    down = dialect.choose(f"V(x) <= {1 - own.x_n!r}", slow_down, "1")
    positive = f"{own.a_p!r} * max(exp({_V}) - exp({own.v_p!r}*{threshold}), 0)"
    negative = f"{own.a_n!r} * max(exp(-{_V}) - exp({own.v_n!r}*{threshold}), 0)"
    rising, falling = (positive, negative) if own.eta > 0 else (negative, positive)
    current = f"V(x) * {amplitude} * sinh({own.b!r}*{_V})"
    return current, f"{rising} * {up}", f"{falling} * {down}"


def _ion_drift(device: StateEquationDevice, dialect: Dialect, threshold: str) -> Expressions:
    assert isinstance(device, IonDrift)
    own = device.parameters
    current = f"{_V} / ({own.r_on!r}*V(x) + {own.r_off!r}*(1 - V(x)))"
    speed = own.mobility * own.r_on / own.thickness**2

    def drift(sign: str, rising: bool) -> str:
        shape = _window(own.window, own.window_power, own.window_scale, rising, dialect)
        return f"{speed!r} * max({sign}{current}, 0) * {shape}"

    return current, drift("", rising=True), drift("-", rising=False)


def _window(name: WindowName, power: float, scale: float, rising: bool, dialect: Dialect) -> str:
    """See :mod:`analogdp.devices.windows`."""
    if name == "none":
        return "1"
    if name == "prodromakis":
        inner = dialect.power("(V(x) - 0.5)*(V(x) - 0.5) + 0.75", repr(power))
        return f"max({scale!r}*(1 - {inner}), 0)"
    base = "2*V(x) - 1" if name == "joglekar" else "V(x)" if rising else "V(x) - 1"
    return f"max(1 - {dialect.power(f'abs({base})', repr(2 * power))}, 0)"


_EQUATIONS: Mapping[type[DeviceModel], Callable[[StateEquationDevice, Dialect, str], Expressions]] = {
    Vteam: _vteam,
    Yakopcic: _yakopcic,
    IonDrift: _ion_drift,
}
