"""The crossbars of one chip for IBM's aihwkit: every device's state and parameters, and a script that builds the tiles from them.

aihwkit's pulsed devices are those of this package: a normalised weight w between bounds of its own, steps of its own, and a law.
What both call a weight differs by a factor; a tile holds w. Devices of a tile take their parameters one by one through
``set_hidden_parameters``, under names of aihwkit 1.2 (src/rpucuda/rpu_*_device.h); laws are those of its documentation
(aihwkit.simulator.configs.devices).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.imperfect import ImperfectDevice
from analogdp.devices.pulsed import PulsedDevice
from analogdp.errors import Problem
from analogdp.exports.base import Exporter, one_chip, refused, why_no_cells
from analogdp.exports.inference import FeedforwardSettings, inference_stages
from analogdp.exports.stage_files import write_stages
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.synapses import Crossbar, CrossbarSettings

Loss = Literal["converters", "imperfections", "messages", "read_noise", "wires", "write_noise"]

PAIRS = ("reference", "offset")
"""Of one device, whose weight 0 is that of the pair."""

ROUNDING = 1e-5
"""Of weights in single precision, relative to the largest."""

SCRIPT = '''"""Builds the network of this folder on tiles of aihwkit 1.2 (https://github.com/IBM/aihwkit), and runs it.

Usage: python run.py inputs.npy outputs.npy     inputs are (batch, units)
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

try:
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator import configs
except ImportError as error:
    sys.exit(f"this script needs the package aihwkit: pip install aihwkit ({error})")

from stages import answer, read_stages

FOLDER = Path(__file__).resolve().parent


class Crossbar:
    """An analog layer of normalised weights, and how large one of them is in network units."""

    def __init__(self, number, device, scale):
        config = configs.SingleRPUConfig(device=getattr(configs, device["class"])(**device["parameters"]))
        config.forward.is_perfect = config.backward.is_perfect = True
        with np.load(FOLDER / f"layer{number}.npz", allow_pickle=False) as arrays:
            values = {name: torch.tensor(arrays[name], dtype=torch.float32) for name in arrays}
        weights = values.pop("weights")
        outputs, inputs = weights.shape
        self.layer = AnalogLinear(inputs, outputs, bias=False, rpu_config=config)
        tile = next(self.layer.analog_tiles())
        hidden = tile.get_hidden_parameters()
        if missing := set(values) - set(hidden):
            raise SystemExit(f"this version of aihwkit has devices without {sorted(missing)}; use 1.2")
        hidden.update(values)
        tile.set_hidden_parameters(hidden)
        self.layer.set_weights(weights)
        self.scale = scale

    def __call__(self, rows):
        with torch.no_grad():
            return self.scale * self.layer(torch.tensor(rows, dtype=torch.float32)).numpy()


def load():
    """The stages of the network, and the crossbar of each."""
    crossbars = json.loads((FOLDER / "crossbars.json").read_text(encoding="utf-8"))
    scales = enumerate(crossbars["scales"], start=1)
    return read_stages(FOLDER), [Crossbar(number, crossbars["device"], scale) for number, scale in scales]


if __name__ == "__main__":
    np.save(sys.argv[2], answer(*load(), np.load(sys.argv[1])))
'''


class AihwkitSettings(FeedforwardSettings):
    """Devices, their parameters, and a script."""

    format: Literal["aihwkit"] = "aihwkit"
    lossy: tuple[Loss, ...] = Field(
        default=(),
        description="what may be lost; converters: they are ideal; imperfections: what a card has beside its model, and a "
        "lifetime, act no more; messages: what free neurons whose compartments differ send down; read_noise: cells are read "
        "without; wires: lines have no resistance; write_noise: cells show noise of their own after loading, of the same "
        "distribution",
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        found, synapse = super().contradictions(scenario), scenario.synapse
        if not isinstance(synapse, CrossbarSettings):
            return [*found, *why_no_cells(scenario, "aihwkit")]
        return [*found, *(Problem("format", f"aihwkit {reason}") for reason in _why_no_device(synapse))]

    def losses(self, scenario: Scenario) -> dict[str, str]:
        synapse = scenario.synapse
        return super().losses(scenario) | (_losses(synapse) if isinstance(synapse, CrossbarSettings) else {})


@registry.exporters.register("aihwkit")
class Aihwkit(Exporter):
    """A folder with every device of one chip."""

    Settings = AihwkitSettings
    file_name = "aihwkit"
    folder = True

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        own = one_chip(network, scenario, self.settings.chip)
        stages, synapse = inference_stages(own), scenario.synapse
        assert isinstance(synapse, CrossbarSettings)
        exact = not {"imperfections", "wires", "write_noise"} & set(_losses(synapse))
        crossbars = [(number, each) for number, each in enumerate(own.synapses, start=1) if isinstance(each, Crossbar)]
        problems = [problem for number, crossbar in crossbars if (problem := _not_held(number, crossbar, exact))]
        if problems:
            raise refused(problems, "aihwkit")
        write_stages(path, stages, scenario, own.chip_indices[0], self.settings)
        scales = [_scale(crossbar) for _, crossbar in crossbars]
        contents = {
            "device": device_parameters(synapse),
            "scales": scales,
            "scale_unit": "network units per tile weight",
        }
        (path / "crossbars.json").write_text(json.dumps(contents, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for number, crossbar in crossbars:
            held = _devices(crossbar).items()
            arrays: dict[str, Any] = {name: values.detach().cpu().numpy() for name, values in held}
            np.savez(path / f"layer{number}.npz", **arrays)
        (path / "run.py").write_text(SCRIPT, encoding="utf-8")


def device_parameters(synapse: CrossbarSettings) -> dict[str, Any]:
    """The class of aihwkit's device, and the fields that its card gives."""
    card = synapse.device
    own: Any = card.parameters
    kind, law = DEVICES[card.model]
    parameters = {
        "dw_min": own.step,
        "dw_min_dtod": own.step_spread,
        "dw_min_dtod_log_normal": own.step_distribution == "lognormal",
        "dw_min_std": own.cycle_noise,
        "up_down": own.asymmetry,
        "up_down_dtod": own.asymmetry_spread,
        "w_max": own.upper,
        "w_max_dtod": own.upper_spread,
        "w_min": own.lower,
        "w_min_dtod": own.lower_spread,
        "write_noise_std": own.write_noise,
        **law(own),
    }
    return {"class": kind, "parameters": parameters}


def _linear(own: Any) -> dict[str, Any]:
    slopes = {
        "gamma_up": own.slope_up,
        "gamma_down": own.slope_down,
        "gamma_up_dtod": own.slope_up_spread,
        "gamma_down_dtod": own.slope_down_spread,
    }
    return {**slopes, "mean_bound_reference": False, "mult_noise": own.cycle_noise_form == "multiplicative"}


def _constant(own: Any) -> dict[str, Any]:
    """A linear step without a slope: aihwkit's own constant step has no write noise."""
    slopes = dict.fromkeys(("gamma_up", "gamma_down", "gamma_up_dtod", "gamma_down_dtod"), 0.0)
    return {**slopes, "mean_bound_reference": False, "mult_noise": True}


def _exponential(own: Any) -> dict[str, Any]:
    return {
        "A_up": own.factor_up,
        "A_down": own.factor_down,
        "gamma_up": own.exponent_up,
        "gamma_down": own.exponent_down,
        "a": own.scale,
        "b": own.offset,
        "dw_min_std_add": own.cycle_noise_offset,
        "dw_min_std_slope": own.cycle_noise_slope,
    }


def _power(own: Any) -> dict[str, Any]:
    """Exponents of both directions as their mean and its lean; a mean of 0 has none."""
    mean = (own.exponent_up + own.exponent_down) / 2
    lean = (own.exponent_up - own.exponent_down) / (2 * mean) if mean else 0.0
    return {"pow_gamma": mean, "pow_up_down": lean, "pow_gamma_dtod": own.exponent_spread, "pow_up_down_dtod": 0.0}


DEVICES: Mapping[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "constant": ("LinearStepDevice", _constant),
    "linear": ("LinearStepDevice", _linear),
    "soft_bounds": ("SoftBoundsDevice", lambda own: {"mult_noise": own.cycle_noise_form == "multiplicative"}),
    "exponential": ("ExpStepDevice", _exponential),
    "power": ("PowStepDevice", _power),
    "piecewise": (
        "PiecewiseStepDevice",
        lambda own: {"piecewise_up": list(own.steps_up), "piecewise_down": list(own.steps_down)},
    ),
}
"""By the model of a card: aihwkit's class, and the fields of its law."""

MULTIPLICATIVE_ONLY = ("exponential", "power", "piecewise")
"""Models whose devices in aihwkit know no additive noise."""


def _scale(crossbar: Crossbar) -> float:
    """Network units per tile weight."""
    device: Any = crossbar.device.inner if isinstance(crossbar.device, ImperfectDevice) else crossbar.device
    return float(crossbar.mapping.scale * device.siemens)


def _devices(crossbar: Crossbar) -> dict[str, Tensor]:
    """Tile weights, and devices' parameters by their names there, ``(out, in)``."""
    cells = {
        name.removeprefix("cell_"): values[0, 0]
        for name, values in crossbar.named_buffers()
        if name.startswith("cell_")
    }
    up, down = cells["step_up"], -cells["step_down"]
    found = {
        "weights": cells["stored"],
        "max_bound": cells["upper"],
        "min_bound": cells["lower"],
        "dwmin_up": up,
        "dwmin_down": down,
    }
    kind = crossbar.settings.device.model
    if kind == "linear":
        found |= {"slope_up": -cells["rate_up"] * up, "slope_down": -cells["rate_down"] * down}
    elif kind == "soft_bounds":
        found |= {"slope_up": -up / cells["upper"], "slope_down": -down / cells["lower"]}
    elif kind == "power":
        found |= {"gamma_up": cells["power_up"], "gamma_down": cells["power_down"]}
    return found


def _not_held(layer: int, crossbar: Crossbar, exact: bool) -> str | None:
    """What keeps the cells of this very crossbar from being a tile's.

    Args:
        layer: its number.
        crossbar: with its cells.
        exact: whether its reads are to be those of its devices.
    """
    if not isinstance(crossbar.device, PulsedDevice | ImperfectDevice):
        return f"layer {layer}: its cells were measured, and follow no law of a device"
    if exact and not _close(_scale(crossbar) * _devices(crossbar)["weights"], crossbar.weights[0]):
        return f"layer {layer}: its reads are compensated for drift, which those of a tile are not"
    return None


def _why_no_device(synapse: CrossbarSettings) -> list[str]:
    """What keeps a crossbar from being a tile of single devices, whatever may be lost."""
    card, pair = synapse.device, synapse.completed().pair
    own: Any = card.parameters
    if card.model not in DEVICES:
        return [
            f"has no counterpart of the model {card.model!r} of card {card.name!r}; it has {', '.join(sorted(DEVICES))}"
        ]
    reasons = {
        f"holds weights of one device, and synapse.pair: {pair} has others; use {' or '.join(PAIRS)}": pair
        not in PAIRS,
        "holds weights of one device, and synapse.unit has several": synapse.unit.devices > 1,
        f"does not raise and reset cells as card {card.name!r} does": own.unidirectional,
        f"has no additive noise of steps of the model {card.model!r}": own.cycle_noise_form == "additive"
        and card.model in MULTIPLICATIVE_ONLY,
        f"reads weights from 0, and card {card.name!r} from a reference of every device": getattr(
            own, "reference", "zero"
        )
        != "zero"
        or getattr(own, "reference_std", 0.0) > 0,
    }
    return [words for words, holds in reasons.items() if holds]


def _losses(synapse: CrossbarSettings) -> dict[str, str]:
    card = synapse.device
    found: dict[Loss, bool] = {
        "converters": synapse.dac is not None or synapse.adc is not None,
        "imperfections": bool(card.imperfections) or getattr(card.parameters, "lifetime", None) is not None,
        "read_noise": synapse.noisy_reads,
        "wires": synapse.wires is not None,
        "write_noise": getattr(card.parameters, "write_noise", 0.0) > 0,
    }
    return {kind: f"the {kind.replace('_', ' ')} of the crossbars" for kind, there in found.items() if there}


def _close(held: Tensor, read: Tensor) -> bool:
    return bool(((held - read).abs() <= ROUNDING * read.abs().max()).all())
