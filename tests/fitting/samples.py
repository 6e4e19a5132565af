"""Traces with a known truth, simulated by the package's own devices."""

from __future__ import annotations

from functools import cache
from typing import Any

from analogdp.devices import DeviceCard
from analogdp.fitting import Trace, sample_traces
from analogdp.fitting.goodness import Fit, fitted

LOW, HIGH = 20e-6, 80e-6
POPULATION = {"step_spread": 0.2, "upper_spread": 0.1, "lower_spread": 0.1, "cycle_noise": 0.3, "write_noise": 0.5}
TRUTHS: dict[str, dict[str, Any]] = {
    "constant": {"step": 0.06, "asymmetry": 0.1, **POPULATION},
    "linear": {"step": 0.05, "slope_up": 0.5, "slope_down": 0.7, **POPULATION},
    "soft_bounds": {"step": 0.08, "asymmetry": 0.1, "asymmetry_spread": 0.05, **POPULATION},
    "exponential": {
        "step": 0.05,
        "factor_up": 0.2,
        "factor_down": 0.3,
        "exponent_up": 4.0,
        "exponent_down": 3.0,
        "scale": 0.5,
        "offset": 0.0,
        **POPULATION,
    },
    "power": {"step": 0.3, "exponent_up": 2.5, "exponent_down": 2.0, **POPULATION, "write_noise": 0.05},
    "neurosim": {"pulses": 50.0, "nonlinearity_up": 2.0, "nonlinearity_down": -3.0, **POPULATION},
    "piecewise": {
        "step": 0.05,
        "steps_up": (0.5, 1.5, 1.0, 0.8, 1.2),
        "steps_down": (1.2, 0.6, 1.0, 1.5, 0.4),
        **POPULATION,
    },
}


def card(model: str, **changes: Any) -> DeviceCard:
    return DeviceCard(
        name="truth",
        model=model,
        material="none",
        source="a test",
        low=LOW,
        high=HIGH,
        parameters={**TRUTHS[model], **changes},
    )


def traces(
    model: str, devices: int = 6, sweeps: int = 2, pulses: int = 45, seed: int = 1, **changes: Any
) -> list[Trace]:
    return sample_traces(card(model, **changes), devices, sweeps, pulses, seed)


@cache
def fit_of(model: str) -> Fit:
    """A model fitted to its own traces, once for all tests."""
    return fitted(model, traces(model))
