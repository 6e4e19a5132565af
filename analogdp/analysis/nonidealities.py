"""What is not ideal about the hardware that a scenario describes, and what it would take to switch each of it off.

A non-ideality is a name and a function from a scenario, as the nested mapping that it is dumped as, to the settings that the
scenario would have without it. A scenario has those that would change something. Switched off one after the other, in the order
of :data:`NONIDEALITIES`, they leave a crossbar that is its weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotated_types import Le

from analogdp.devices import DeviceModel
from analogdp.devices.cards import DeviceCard
from analogdp.devices.population import PopulationSettings, PulsedSettings
from analogdp.devices.state_equation import StateEquationSettings
from analogdp.synapses.converter_settings import ConverterSettings

Plain = Mapping[str, Any]
"""A resolved scenario as ``model_dump(mode="json")`` gives it."""
Changes = dict[str, Any]
"""Values by the dotted paths of settings."""

DEVICE = "synapse.device"
PARAMETERS = "synapse.device.parameters"
FINER = 100.0
"""By how much finer steps are that stand for none: rounding of pulse counts then moves a weight by 1/10 of the usual error."""

_SHAPES = {
    "constant": (),
    "linear": ("slope_up", "slope_down"),
    "neurosim": ("nonlinearity_up", "nonlinearity_down"),
}
"""Models that have constant steps where these parameters, and all spreads, are 0."""


@dataclass(frozen=True)
class Nonideality:
    """Something that real hardware has and ideal hardware has not.

    Attributes:
        name: as users write it.
        description: what it is, in a few words.
        ideal: settings of a scenario without it; those that a scenario does not have are left out.
    """

    name: str
    description: str
    ideal: Callable[[Plain], Changes]

    def changes(self, plain: Plain) -> Changes:
        """What switching this off changes in a scenario; nothing if the scenario does not have it."""
        return {path: value for path, value in self.ideal(plain).items() if _get(plain, path, value) != value}


def present(plain: Plain) -> list[Nonideality]:
    """The non-idealities that a scenario has."""
    return [each for each in NONIDEALITIES if each.changes(plain)]


def without(plain: Plain, which: Iterable[Nonideality]) -> Changes:
    """What switching several off, one after the other, changes in a scenario."""
    left: Plain = plain
    for each in which:
        left = changed(left, each.changes(left))
    return differences(plain, left)


def changed(plain: Plain, changes: Plain) -> dict[str, Any]:
    """A copy of a scenario with settings replaced."""
    copied: dict[str, Any] = copy.deepcopy(dict(plain))
    for path, value in changes.items():
        *outer, last = path.split(".")
        section = copied
        for key in outer:
            section = section[key]
        section[last] = copy.deepcopy(value)
    return copied


def differences(before: Plain, after: Plain, path: str = "") -> Changes:
    """Values of ``after`` that differ from ``before``, by their paths; a section with other keys is one value."""
    found: Changes = {}
    for key, value in after.items():
        old, place = before[key], f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(value, Mapping) and old.keys() == value.keys():
            found |= differences(old, value, f"{place}.")
        elif old != value:
            found[place] = value
    return found


def _get(plain: Plain, path: str, default: Any = None) -> Any:
    """The value at a path, or ``default`` where a scenario has no such setting."""
    section: Any = plain
    for key in path.split("."):
        if not isinstance(section, Mapping) or key not in section:
            return default
        section = section[key]
    return section


def _with(settings: Plain) -> Callable[[Plain], Changes]:
    """Fixed settings."""
    return lambda plain: dict(settings)


def _none(*paths: str) -> Callable[[Plain], Changes]:
    return _with(dict.fromkeys(paths))


def _zero(*paths: str) -> Callable[[Plain], Changes]:
    return _with(dict.fromkeys(paths, 0.0))


def _each_converter(*names: str) -> Callable[[Plain], Changes]:
    return _zero(*(f"synapse.{side}.{name}" for side in ("dac", "adc") for name in names))


def _mismatch(*names: str) -> Callable[[Plain], Changes]:
    return _zero(*(f"mismatch.{name}.{scale}" for name in names for scale in ("std", "compartments")))


def _highest(settings: type[ConverterSettings] | type[PopulationSettings], name: str) -> float:
    """The largest value that a setting may have."""
    return next(float(item.le) for item in settings.model_fields[name].metadata if isinstance(item, Le))  # type: ignore[arg-type]


def _exact(side: str) -> Callable[[Plain], Changes]:
    """No converter; where it has noise or mismatch, which stay as they are, one of as many bits as go with the noise."""

    def ideal(plain: Plain) -> Changes:
        path = f"synapse.{side}"
        own = _get(plain, path)
        if not own or not (own["noise"] or own["gain_std"] or own["offset_std"]):
            return {path: None}
        finest, loudest = int(_highest(ConverterSettings, "bits")), _highest(ConverterSettings, "noise")
        # Noise is given in steps between levels.
        noise = {bits: own["noise"] * _levels(bits) / _levels(own["bits"]) for bits in range(own["bits"], finest + 1)}
        bits = max(count for count, steps in noise.items() if steps <= loudest)
        return {f"{path}.bits": bits, f"{path}.noise": noise[bits]}

    return ideal


def _levels(bits: int) -> int:
    return int(2 ** (bits - 1)) - 1


def _equal_devices(plain: Plain) -> Changes:
    """Every spread among the parameters of the device model, whichever it is."""
    parameters = _get(plain, PARAMETERS, {})
    return {f"{PARAMETERS}.{name}": 0.0 for name in parameters if name.endswith("_spread")}


def _constant_steps(plain: Plain) -> Changes:
    """Steps that are the same everywhere and in both directions, as large as those that the controller counts in."""
    device = _get(plain, DEVICE)
    if not device:
        return {}
    card = DeviceCard.model_validate(device)
    if card.model in _SHAPES:
        return {f"{PARAMETERS}.{name}": 0.0 for name in ("asymmetry", *_SHAPES[card.model])}
    if isinstance(card.parameters, PulsedSettings):
        return _as_constant(_straightened(card.parameters, card.device()))
    if isinstance(card.parameters, StateEquationSettings):
        # Pulsed cells take no parts of pulses.
        rounding = _get(plain, "synapse.write.rounding")
        own = {"synapse.write.rounding": "carry" if rounding == "none" else rounding}
        return _as_constant(_instead_of(card.parameters, card.device())) | own
    return {}


def _straightened(own: PulsedSettings, device: DeviceModel) -> Plain:
    """Parameters of constant steps as large as those at mid-range, with as much noise as there."""
    step = device.increment * (own.upper - own.lower) / (device.high - device.low)
    middle = abs(own.upper + own.lower) / 2
    besides = getattr(own, "cycle_noise_offset", 0.0) + getattr(own, "cycle_noise_slope", 0.0) * middle
    noise = own.step / step if own.cycle_noise_form == "additive" else 1.0 + besides / step
    return own.model_dump(mode="json", include=set(PulsedSettings.model_fields)) | {
        "asymmetry": 0.0,
        "step": step,
        "cycle_noise": own.cycle_noise * noise,
        "write_noise": own.write_noise * own.step / step,
    }


def _instead_of(own: StateEquationSettings, device: DeviceModel) -> Plain:
    """The same for cells with a state equation, whose speeds have a spread."""
    return {
        "step": 2 * device.increment / (device.high - device.low),
        "step_spread": own.rate_spread,
        "step_distribution": "lognormal",
        "cycle_noise": own.cycle_noise,
        "read_noise": own.read_noise,
        "read_time": own.read_time,
    }


def _as_constant(parameters: Plain) -> Changes:
    defaults = {name: field.default for name, field in PulsedSettings.model_fields.items()}
    return {f"{DEVICE}.model": "constant", PARAMETERS: defaults | dict(parameters)}


def _fine_steps(plain: Plain) -> Changes:
    """More and finer pulses for the same change of a weight, and what is given per pulse or in steps rescaled with them.

    A pulse of 1/f of a step has noise of 1 / sqrt(f) of a step's, so that what f of them scatter by stays the same.
    """
    parameters = _get(plain, PARAMETERS, {})
    if "levels" in parameters:
        return {f"{PARAMETERS}.levels": None}
    if "step" not in parameters and "pulses" not in parameters:
        return {}
    finer = _finer(parameters)
    factors = {
        f"{PARAMETERS}.step": 1 / finer,
        f"{PARAMETERS}.pulses": finer,
        f"{PARAMETERS}.cycle_noise": math.sqrt(finer),
        f"{PARAMETERS}.cycle_noise_offset": 1 / finer,
        f"{PARAMETERS}.cycle_noise_slope": 1 / finer,
        f"{PARAMETERS}.write_noise": finer,
        f"{DEVICE}.endurance.cycles": finer,
        "synapse.write.most_pulses": finer,
        "synapse.programming.most_pulses": finer,
    }
    found = {path: (_get(plain, path), factor) for path, factor in factors.items()}
    return {
        path: math.ceil(value * factor) if isinstance(value, int) else value * factor
        for path, (value, factor) in found.items()
        if value
    }


def _finer(parameters: Plain) -> float:
    """How much finer steps can be, as noise that is given in steps has its limits."""
    write, cycle = parameters.get("write_noise", 0.0), parameters.get("cycle_noise", 0.0)
    limits = [FINER]
    if write:
        limits.append(_highest(PopulationSettings, "write_noise") / write)
    if cycle:
        limits.append((_highest(PopulationSettings, "cycle_noise") / cycle) ** 2)
    return min(limits)


def _nothing_lost(plain: Plain) -> Changes:
    """What rounding of pulse counts loses is kept for the next update, or there is no rounding."""
    device, write = _get(plain, DEVICE), _get(plain, "synapse.write")
    if not device or not write:
        return {}
    by_sample = write["accumulate"] == "sample"
    if DeviceCard.model_validate(device).device().fractional and not (
        by_sample and plain["learning"]["mode"] == "always_on"
    ):
        return {"synapse.write.rounding": "none"}
    return {"synapse.write.rounding": "stochastic" if by_sample else "carry"}


def _at_once(plain: Plain) -> Changes:
    delays = {way: _get(plain, f"dynamics.axons.delay.{way}", ()) for way in ("bottom_up", "top_down")}
    return {f"dynamics.axons.delay.{way}": [0.0] * len(own) for way, own in delays.items()}


NONIDEALITIES = (
    Nonideality("wires", "resistance of the lines", _none("synapse.wires")),
    Nonideality("converter_noise", "noise of DACs and ADCs", _each_converter("noise")),
    Nonideality(
        "converter_mismatch", "gains and offsets of single DACs and ADCs", _each_converter("gain_std", "offset_std")
    ),
    Nonideality("dac", "resolution and range of DACs", _exact("dac")),
    Nonideality("adc", "resolution and range of ADCs", _exact("adc")),
    Nonideality("faults", "cells that are stuck", _none(f"{DEVICE}.faults")),
    Nonideality("device_spread", "steps and bounds differ from cell to cell", _equal_devices),
    Nonideality(
        "reference_error", "reference cells are not where they should be", _zero(f"{PARAMETERS}.reference_std")
    ),
    Nonideality(
        "cycle_noise",
        "pulses differ from one to the next",
        _zero(f"{PARAMETERS}.cycle_noise", f"{PARAMETERS}.gap_noise"),
    ),
    Nonideality("write_noise", "reads show another weight than the stored one", _zero(f"{PARAMETERS}.write_noise")),
    Nonideality("reset_noise", "resets differ from one to the next", _zero(f"{PARAMETERS}.reset_std")),
    Nonideality(
        "read_noise",
        "reads differ from one to the next",
        _with(
            {f"{PARAMETERS}.read_noise": 0.0, f"{PARAMETERS}.read_time": None, f"{DEVICE}.flicker_noise": None},
        ),
    ),
    Nonideality("nonlinear_steps", "steps depend on the weight and on their direction", _constant_steps),
    Nonideality("finite_steps", "steps, or levels, are not infinitely fine", _fine_steps),
    Nonideality("rounding", "pulse counts are whole numbers", _nothing_lost),
    Nonideality("pulse_limit", "an update has only so many pulses", _none("synapse.write.most_pulses")),
    Nonideality("disturb", "writing a cell disturbs its neighbours", _none("synapse.write.half_select")),
    Nonideality(
        "initial_programming",
        "initial weights are programmed by pulses",
        _with(
            {
                "synapse.programming.method": "exact",
                **dict.fromkeys(f"synapse.programming.{name}" for name in ("tolerance", "budget", "most_pulses")),
            }
        ),
    ),
    Nonideality("programming_error", "closed-loop programming misses its target", _none(f"{DEVICE}.programming_error")),
    Nonideality("relaxation", "filaments settle after a write", _none(f"{DEVICE}.relaxation")),
    Nonideality("drift", "conductances drift", _none(f"{DEVICE}.drift")),
    Nonideality("retention", "cells lose what was written", _none(f"{DEVICE}.retention")),
    Nonideality("leakage", "capacitors leak", _none(f"{PARAMETERS}.lifetime")),
    Nonideality("endurance", "cells wear out", _none(f"{DEVICE}.endurance")),
    Nonideality("tau_mismatch", "time constants differ from neuron to neuron", _mismatch("tau")),
    Nonideality(
        "alpha_mismatch",
        "push, pull and mixing differ from neuron to neuron",
        _mismatch("alpha", "push", "pull", "mixing"),
    ),
    Nonideality("gain_mismatch", "gains differ from neuron to neuron", _mismatch("gain")),
    Nonideality("offset_mismatch", "offsets differ from neuron to neuron", _mismatch("offset")),
    Nonideality("membrane_noise", "noise of every compartment", _zero("noise.membrane")),
    Nonideality("common_noise", "noise that the compartments of a neuron share", _zero("noise.common")),
    Nonideality("coloured_noise", "correlated currents into compartments", _none("noise.coloured")),
    Nonideality("nudging_noise", "the nudging strength fluctuates", _zero("noise.nudging")),
    Nonideality("asymmetry_noise", "the asymmetry of nudging fluctuates", _zero("noise.asymmetry")),
    Nonideality("conductance_noise", "conductances fluctuate in time", _none("noise.conductance")),
    Nonideality("delays", "messages between layers take time", _at_once),
    Nonideality(
        "thresholds",
        "messages between layers are events",
        _none("dynamics.axons.threshold.bottom_up", "dynamics.axons.threshold.top_down"),
    ),
)
"""All that are known, in the order in which they are switched off."""
