"""The published equations of the models with a state, in plain numpy, and cards with their parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analogdp import registry
from analogdp.devices import DeviceState, StateEquationDevice, WritePulse
from analogdp.streams import Stream


@dataclass(frozen=True)
class Case:
    """A model with parameters: its own formula of dx/dt, its resistance, and a write pulse that moves it about 1 %."""

    model: str
    parameters: dict[str, Any]
    low: float
    high: float
    up: float
    down: float
    width: float

    def device(self, shape: str = "rectangular", **changes: Any) -> StateEquationDevice:
        model = registry.devices.get(self.model)
        parameters = model.Settings.model_validate(self.parameters | changes)
        pulse = WritePulse.model_validate({"up": self.up, "down": self.down, "width": self.width, "shape": shape})
        return model.build(parameters, self.low, self.high, pulse)

    def flow(self, x: Any, v: Any) -> Any:
        return FLOWS[self.model](x, v, self.parameters)


def ion_drift(x, v, p):
    current = v / (p["r_on"] * x + p["r_off"] * (1 - x))
    power = 2 * p.get("window_power", 2)
    windows = {
        "none": 1,
        "joglekar": 1 - (2 * x - 1) ** power,
        "biolek": 1 - (x - (1 if current <= 0 else 0)) ** power,
        "prodromakis": p.get("window_scale", 1) * (1 - ((x - 0.5) ** 2 + 0.75) ** p.get("window_power", 2)),
    }
    return p["mobility"] * p["r_on"] / p["thickness"] ** 2 * current * windows[p["window"]]


def vteam(x, v, p):
    if v > p["v_off"]:
        return p["k_off"] * (v / p["v_off"] - 1) ** p["alpha_off"]
    if v < p["v_on"]:
        return p["k_on"] * (v / p["v_on"] - 1) ** p["alpha_on"]
    return 0.0


def yakopcic(x, v, p):
    if v > p["v_p"]:
        g = p["a_p"] * (np.exp(v) - np.exp(p["v_p"]))
    elif v < -p["v_n"]:
        g = -p["a_n"] * (np.exp(-v) - np.exp(p["v_n"]))
    else:
        g = 0.0
    eta = p.get("eta", 1)
    if eta * v >= 0:
        w = (p["x_p"] - x) / (1 - p["x_p"]) + 1
        f = np.exp(-p["alpha_p"] * (x - p["x_p"])) * w if x >= p["x_p"] else 1.0
    else:
        f = np.exp(p["alpha_n"] * (x + p["x_n"] - 1)) * x / (1 - p["x_n"]) if x <= 1 - p["x_n"] else 1.0
    return eta * g * f


def stanford_pku(x, v, p):
    kb, q = 1.380649e-23, 1.602176634e-19
    current = p["i_0"] * np.exp(-x / p["g_0"]) * np.sinh(v / p["v_0"])
    kt = kb * (298.0 + abs(v * current * p["thermal_resistance"]))
    gamma = p["gamma_0"] - p["beta"] * (x / 1e-9) ** 3
    if gamma * abs(v) / p["thickness"] < p["smallest_field"]:
        return 0.0
    hops = np.sinh(gamma * p["hopping_distance"] * q * v / (p["thickness"] * kt))
    return -p["velocity"] * np.exp(-p["activation_energy"] * q / kt) * hops


FLOWS = {"ion_drift": ion_drift, "vteam": vteam, "yakopcic": yakopcic, "stanford_pku": stanford_pku}

TIO2 = {"r_on": 100.0, "r_off": 16e3, "mobility": 1e-14, "thickness": 10e-9}
VTEAM = {
    "r_on": 50.0,
    "r_off": 1000.0,
    "x_on": 0.0,
    "x_off": 3e-9,
    "k_on": -10.0,
    "k_off": 5e-4,
    "alpha_on": 3.0,
    "alpha_off": 1.0,
    "v_on": -0.2,
    "v_off": 0.02,
}
YAKOPCIC = {
    "a1": 0.17,
    "a2": 0.17,
    "b": 0.05,
    "v_p": 0.16,
    "v_n": 0.15,
    "a_p": 4000.0,
    "a_n": 4000.0,
    "x_p": 0.3,
    "x_n": 0.5,
    "alpha_p": 1.0,
    "alpha_n": 5.0,
}
STANFORD = {
    "gap_min": 0.2e-9,
    "gap_max": 1.7e-9,
    "i_0": 1e-3,
    "g_0": 0.25e-9,
    "v_0": 0.25,
    "thermal_resistance": 2.1e3,
    "gamma_0": 16.0,
    "beta": 0.8,
    "thickness": 12e-9,
    "smallest_field": 1.4e9,
    "velocity": 10.0,
    "activation_energy": 0.6,
    "hopping_distance": 0.25e-9,
}
CASES = {
    **{
        f"ion drift, {window}": Case(
            "ion_drift", {**TIO2, "window": window}, 1 / 16e3, 1e-3, up=1.0, down=-1.0, width=0.5e-3
        )
        for window in ("none", "joglekar", "biolek", "prodromakis")
    },
    "vteam": Case("vteam", VTEAM, 1e-3, 20e-3, up=-0.22, down=0.42, width=0.3e-9),
    "vteam, exponential": Case(
        "vteam", {**VTEAM, "resistance": "exponential"}, 1e-3, 20e-3, up=-0.22, down=0.42, width=3e-9
    ),
    "yakopcic": Case("yakopcic", YAKOPCIC, 0.1e-3, 8.4e-3, up=0.3, down=-0.3, width=20e-6),
    "yakopcic, reversed": Case("yakopcic", {**YAKOPCIC, "eta": -1}, 0.1e-3, 8.4e-3, up=-0.3, down=0.3, width=20e-6),
    "stanford": Case("stanford_pku", STANFORD, 20e-6, 1.5e-3, up=1.4, down=-1.4, width=0.1e-9),
}


def cells(device: StateEquationDevice, shares: Any, dtype: torch.dtype = torch.float64) -> DeviceState:
    """Cells of one chip at these shares of their range."""
    shares = torch.as_tensor(shares, dtype=dtype)
    state = device.sample((len(shares),), Stream(3, "fabrication", dtype=dtype))
    span = state.parameters["upper"] - state.parameters["lower"]
    state.variables["state"].copy_(state.parameters["lower"] + shares * span)
    return state
