"""Everything of a feedforward network but its crossbars, in files that :mod:`analogdp.exports.standalone` reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analogdp import __version__
from analogdp.exports import standalone
from analogdp.exports.base import refused
from analogdp.exports.inference import FeedforwardSettings, Stage
from analogdp.neurons.activations import Activation, LeakyRelu
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import Scenario

FORMAT_VERSION = 1


def write_stages(
    folder: Path, stages: list[Stage], scenario: Scenario, chip: int, settings: FeedforwardSettings
) -> None:
    """``network.json``, ``digital.npz`` and ``stages.py``, the file that reads them.

    Raises:
        InputError: an activation that is none of the package's own.
    """
    kind, described = settings.format, [_described(stage) for stage in stages]
    unknown = [
        f"layer {number}: the activation {stage['activation']['name']} is not known to {kind}"
        for number, stage in enumerate(described, start=1)
        if stage["activation"]["name"] not in standalone.ACTIVATIONS
    ]
    if unknown:
        raise refused(unknown, kind)
    contents = {
        "format": f"analogdp {kind}",
        "format_version": FORMAT_VERSION,
        "version": __version__,
        "name": scenario.name,
        "chip": chip,
        "scenario": dump_scenario(scenario),
        "without": settings.left_out(scenario),
        "stages": described,
    }
    (folder / "network.json").write_text(json.dumps(contents, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    np.savez(folder / "digital.npz", **_arrays(stages))
    source = Path(standalone.__file__).read_text(encoding="utf-8")
    (folder / "stages.py").write_text(source, encoding="utf-8")


def _described(stage: Stage) -> dict[str, Any]:
    wiring = stage.wiring
    parts = {"activity_pool": wiring.activity_pool, "kernel": wiring.kernel, "drive_pool": wiring.drive_pool}
    return {
        "below": wiring.below,
        "read": wiring.read,
        "drives": wiring.drives,
        "above": wiring.above,
        **{name: None if part is None else asdict(part) for name, part in parts.items()},
        "activation": {"name": "identity"} if stage.activation is None else _parameters(stage.activation),
    }


def _parameters(activation: Activation) -> dict[str, Any]:
    slope = {"slope": activation.slope} if isinstance(activation, LeakyRelu) else {}
    return {"name": activation.settings.name, **slope}


def _arrays(stages: list[Stage]) -> dict[str, Any]:
    found: dict[str, Tensor | None] = {}
    for number, stage in enumerate(stages, start=1):
        terms = {name: torch.stack([getattr(term, name) for term in stage.terms]) for name in stage.terms[0]._fields}
        parts = {"bias": stage.bias, "gain": stage.gain, "shift": stage.shift, **terms}
        found |= {f"layer{number}_{name}": values for name, values in parts.items()}
    return {name: values.numpy() for name, values in found.items() if values is not None}
