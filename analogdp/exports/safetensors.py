"""One chip as a torch ``state_dict`` in a safetensors file, with what its numbers belong to in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from safetensors.torch import save
from torch import nn

from analogdp import registry
from analogdp.exports.base import Exporter, one_chip
from analogdp.exports.inference import FeedforwardSettings
from analogdp.exports.torch_module import torch_module
from analogdp.network import Network
from analogdp.scenario import dump_scenario
from analogdp.scenario.schema import ExportSettings, Scenario

FORMAT = "analogdp-torch-module"
FORMAT_VERSION = 1


class SafetensorsSettings(FeedforwardSettings):
    """The options of a torch ``state_dict``."""

    format: Literal["safetensors"] = "safetensors"
    lossy: tuple[Literal["messages"], ...] = Field(
        default=(), description="what may be lost; messages: what free neurons whose compartments differ send down"
    )


@registry.exporters.register("safetensors")
class Safetensors(Exporter):
    """The ``state_dict`` of what ``result.to_torch()`` gives.

    Metadata: ``format``, ``format_version``, ``scenario`` as YAML, ``chip``, ``without``, which names what else the run has, and
    ``modules``, a JSON list of each module's name, class and description in torch's words.
    """

    Settings: ClassVar[type[ExportSettings]] = SafetensorsSettings
    file_name: ClassVar[str] = "model.safetensors"

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        own = one_chip(network, scenario, self.settings.chip)
        module = torch_module(own)
        metadata = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "scenario": dump_scenario(_without_file(scenario)),
            "chip": str(own.chip_indices[0]),
            "without": ", ".join(self.settings.left_out(scenario)),
            "modules": json.dumps([_described(name, child) for name, child in module.named_children()]),
        }
        # Not `save_file`, whose errors of a disk are none of Python's.
        path.write_bytes(save({name: values.contiguous() for name, values in module.state_dict().items()}, metadata))


def _described(name: str, module: nn.Module) -> dict[str, str]:
    return {"name": name, "class": type(module).__name__, "description": module.extra_repr()}


def _without_file(scenario: Scenario) -> Scenario:
    """The scenario without its initial weights, which lie elsewhere, and are not these."""
    return scenario.model_copy(update={"network": scenario.network.model_copy(update={"weights": None})})
