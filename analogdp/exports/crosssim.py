"""The crossbars of one chip for Sandia's CrossSim, with a script that runs the network on its cores.

CrossSim maps numbers to conductances by itself, so a crossbar is two of its cores: one is given the conductances of the plus
cells as its matrix, one those of the minus cells. With Rmin at the largest conductance G and an infinite on-off ratio a balanced
one-sided core puts a matrix element g >= 0 into one device as g / G, and nothing into its partner: what it simulates is
the array itself. Parameters are those of ``CrossSimParameters.from_json`` (CrossSim 3.2, simulator/parameters).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import Problem
from analogdp.exports.base import Exporter, one_chip, refused, tables, why_no_cells
from analogdp.exports.inference import FeedforwardSettings, inference_stages
from analogdp.exports.stage_files import write_stages
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.synapses import ConductanceTable, CrossbarSettings
from analogdp.synapses.parts import WireSettings

Loss = Literal["converters", "messages", "read_noise", "wires"]

ROUNDING = 1e-5
"""Of weights in single precision, relative to the largest."""

SCRIPT = '''"""Runs the network of this folder in CrossSim 3.2 (https://github.com/sandialabs/cross-sim).

Usage: python run.py inputs.npy outputs.npy     inputs are (batch, units)
"""

import json
import sys
from pathlib import Path

import numpy as np

try:
    from simulator import AnalogCore, CrossSimParameters
except ImportError as error:
    sys.exit(f"this script needs CrossSim, see https://github.com/sandialabs/cross-sim ({error})")

from stages import answer, read_stages

FOLDER = Path(__file__).resolve().parent


class Crossbar:
    """Two cores, whose results are subtracted; weight = scale * (plus - minus)."""

    def __init__(self, number, scale):
        parameters = CrossSimParameters.from_json(FOLDER / f"layer{number}.json")
        arrays = (np.load(FOLDER / f"layer{number}_{sign}.npy") for sign in ("plus", "minus"))
        self.plus, self.minus = (AnalogCore(array, parameters) for array in arrays)
        self.scale = scale

    def __call__(self, rows):
        return self.scale * (self.plus @ rows.T - self.minus @ rows.T).T


def load():
    """The stages of the network, and the crossbar of each."""
    scales = json.loads((FOLDER / "crossbars.json").read_text(encoding="utf-8"))["scales"]
    return read_stages(FOLDER), [Crossbar(number, scale) for number, scale in enumerate(scales, start=1)]


if __name__ == "__main__":
    np.save(sys.argv[2], answer(*load(), np.load(sys.argv[1])))
'''


class CrossSimSettings(FeedforwardSettings):
    """Conductances, parameters of cores, and a script."""

    format: Literal["crosssim"] = "crosssim"
    lossy: tuple[Loss, ...] = Field(
        default=(),
        description="what may be lost; converters: they are ideal; messages: what free neurons whose compartments differ send "
        "down; read_noise: cells are read without; wires: the stretches of lines before the first cell and after the last are as "
        "long as those between cells",
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        return [*super().contradictions(scenario), *why_no_cells(scenario, "crosssim")]

    def losses(self, scenario: Scenario) -> dict[str, str]:
        found, synapse = super().losses(scenario), scenario.synapse
        if not isinstance(synapse, CrossbarSettings):
            return found
        if synapse.dac or synapse.adc:
            found["converters"] = "converters, which are of a pair of cells here and of one core there"
        if synapse.noisy_reads:
            found["read_noise"] = f"the read noise of {synapse.device.name!r}"
        wires = synapse.wires
        if wires is not None and (wires.source < wires.word_line or wires.sense < wires.bit_line):
            found["wires"] = (
                f"a source of {wires.source:g} ohms and a sense of {wires.sense:g} ohms, which are no less than the "
                "stretches of lines between cells there"
            )
        return found


@registry.exporters.register("crosssim")
class CrossSim(Exporter):
    """A folder with every crossbar of one chip."""

    Settings = CrossSimSettings
    file_name = "crosssim"
    folder = True

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        own = one_chip(network, scenario, self.settings.chip)
        stages, cells = inference_stages(own), tables(own)
        synapse = scenario.synapse
        assert isinstance(synapse, CrossbarSettings)
        problems = [problem for number, table, _ in cells if (problem := _not_held(number + 1, table, synapse.wires))]
        if problems:
            raise refused(problems, "crosssim")
        write_stages(path, stages, scenario, own.chip_indices[0], self.settings)
        scales = [float(table.scale) for _, table, _ in cells]
        _write_json(path / "crossbars.json", {"scales": scales, "scale_unit": "network units per siemens"})
        for number, table, _ in cells:
            for sign, values in (("plus", table.plus[0]), ("minus", table.minus[0])):
                np.save(path / f"layer{number + 1}_{sign}.npy", _plain(values))
            _write_json(path / f"layer{number + 1}.json", core_parameters(table, synapse.wires))
        (path / "run.py").write_text(SCRIPT, encoding="utf-8")


def core_parameters(table: ConductanceTable, wires: WireSettings | None) -> dict[str, Any]:
    """Those of both cores of a crossbar, as ``CrossSimParameters.from_json`` takes them; others keep CrossSim's defaults."""
    outputs, inputs = table.plus.shape[-2:]
    rows, columns = table.tile or (inputs, outputs)
    largest = max(table.high, float(table.plus.max()), float(table.minus.max()))
    core = {
        "style": "BALANCED",
        "rows_max": min(rows, inputs),
        "cols_max": min(columns, outputs),
        "balanced": {"style": "ONE_SIDED"},
        "mapping": {
            "weights": {
                "clipping": True,
                "min": -largest,
                "max": largest,
                "percentile": None,
                "row_partition_strategy": "MAX",
                "col_partition_strategy": "MAX",
            }
        },
    }
    device = {"Rmin": 1 / largest, "infinite_on_off_ratio": True, "cell_bits": 0}
    xbar: dict[str, Any] = {"device": device}
    if wires is not None:
        xbar["array"] = {"parasitics": _parasitics(wires)}
    return {"core": core, "xbar": xbar}


def _parasitics(wires: WireSettings) -> dict[str, Any]:
    """Each line of CrossSim begins with a stretch and a terminal in series, and this package's with the source alone."""
    return {
        "enable": True,
        "Rp_row": wires.word_line,
        "Rp_col": wires.bit_line,
        "Rp_row_terminal": max(0.0, wires.source - wires.word_line),
        "Rp_col_terminal": max(0.0, wires.sense - wires.bit_line),
        "current_from_input": True,
    }


def _not_held(layer: int, table: ConductanceTable, wires: WireSettings | None) -> str | None:
    if 1 in table.plus.shape[-2:]:
        return f"layer {layer} has a single line; a core of CrossSim has at least two word lines and two bit lines"
    read = table.scale * (table.plus - table.minus)
    if wires is None and not bool(((read - table.weights).abs() <= ROUNDING * read.abs().max()).all()):
        return f"layer {layer}: its reads are compensated for drift, which CrossSim's are not"
    return None


def _plain(values: Tensor) -> Any:
    return values.detach().cpu().numpy()


def _write_json(path: Path, contents: dict[str, Any]) -> None:
    path.write_text(json.dumps(contents, indent=2, allow_nan=False) + "\n", encoding="utf-8")
