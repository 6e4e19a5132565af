"""Subcircuits of crossbars, as ngspice finds them, against the package's own reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.exports.spice.crossbar import Circuit, Direction, write_crossbar
from analogdp.exports.spice.dialects import DIALECTS, Ngspice
from analogdp.exports.spice.netlist import Netlist
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate
from tests.exports.spice.simulators import needs_ngspice, printed, run

LOSSY = {"word_line": "40 ohm", "bit_line": "70 ohm", "source": "300 ohm", "sense": "100 ohm"}
NO_WORD = {"word_line": 0, "bit_line": "70 ohm", "source": 0, "sense": "100 ohm"}
NO_BIT = {"word_line": "40 ohm", "bit_line": 0, "source": "300 ohm", "sense": 0}
PAIRS = ["reference", "balanced", "one_sided", "offset", "offset_column"]
UNIT = {"devices": 2, "significance": [4.0, 1.0]}
CASES: list[dict[str, Any]] = [
    *({"pair": pair} for pair in PAIRS),
    *({"pair": pair, "wires": LOSSY, "tile": "3x2", "unit": UNIT} for pair in PAIRS),
    {"wires": LOSSY},
    {"wires": NO_WORD, "tile": "4x4", "pair": "balanced"},
    {"wires": NO_BIT, "tile": "4x4", "pair": "offset_column"},
    {"device": "yakopcic_example", "pair": "balanced"},
    {"unit": {"devices": 2, "bits": 2}, "pair": "balanced", "programming": {"method": "open_loop"}},
]


def trained(**settings: Any) -> Crossbar:
    """One chip of 7 x 4 weights, with the spread of its devices, after an update."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    stream = Stream(3, "spice", (0,), dtype=torch.float64)
    device = "idealized" if settings.get("pair") == "one_sided" else "reram_sb"
    whole = CrossbarSettings.model_validate({"device": device, "weight_range": 1.0, **settings})
    crossbar = Crossbar.build(whole, 0.3 * normal(1, 4, 7), stream)
    crossbar.apply_update(LocalUpdate(0.02 * normal(1, 5, 4), normal(1, 5, 7)), stream.at(0))
    return crossbar


def in_ngspice(
    crossbar: Crossbar, direction: Direction, message: torch.Tensor, folder: Path, drive: float = 1.0
) -> np.ndarray:
    netlist = Netlist(DIALECTS["ngspice"], "one crossbar")
    circuit = Circuit.of(crossbar, drive=drive)
    write_crossbar(netlist, "layer0", circuit, direction)
    driven, sensed = circuit.ports(direction)
    for port, value in zip(driven, message.tolist(), strict=True):
        netlist.voltage_source(port, port, "0", value)
    netlist.instance("layer0", [*driven, *sensed], "layer0")
    netlist.tolerances()
    netlist.operating_point([f"V({port})" for port in sensed], "results.txt")
    netlist.end()
    netlist.write(folder / "network.cir")
    run(folder / "network.cir")
    found = printed(folder / "results.txt")
    return np.array([found[f"v({port})"] for port in sensed])


@needs_ngspice
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_ngspice_reads_what_the_package_reads(case: dict[str, Any], direction: Direction, tmp_path: Path) -> None:
    crossbar = trained(**case)
    lines = crossbar.inputs if direction == "up" else crossbar.outputs
    message = torch.linspace(-1, 0.9, lines, dtype=torch.float64).sin()
    read = crossbar.forward if direction == "up" else crossbar.backward_read
    wanted = read(message.view(1, 1, -1))[0, 0].numpy()
    np.testing.assert_allclose(
        in_ngspice(crossbar, direction, message, tmp_path), wanted, rtol=0, atol=1e-9 * abs(wanted).max()
    )


@needs_ngspice
@pytest.mark.parametrize("case", [*CASES[:7], CASES[-2]], ids=str)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_crossbar_of_too_many_ports_for_ngspice_is_written_inline(
    case: dict[str, Any], direction: Direction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossbar = trained(**case)
    message = torch.linspace(-1, 0.9, 7 if direction == "up" else 4, dtype=torch.float64).sin()
    wanted = in_ngspice(crossbar, direction, message, tmp_path, 0.5)
    monkeypatch.setattr(Ngspice, "most_ports", 10)
    found = in_ngspice(crossbar, direction, message, tmp_path, 0.5)
    assert ".subckt" not in (tmp_path / "network.cir").read_text()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * abs(wanted).max())


@needs_ngspice
@pytest.mark.parametrize("pair", ["offset", "offset_column"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_readings_do_not_depend_on_the_voltage_that_lines_are_driven_with(
    pair: str, direction: Direction, tmp_path: Path
) -> None:
    crossbar = trained(pair=pair, wires=LOSSY)
    message = torch.linspace(-1, 0.9, 7 if direction == "up" else 4, dtype=torch.float64)
    one, fifth = (in_ngspice(crossbar, direction, message, tmp_path, drive) for drive in (1.0, 0.2))
    np.testing.assert_allclose(fifth, one, rtol=1e-10)


def test_cells_that_conduct_nothing_are_left_out() -> None:
    crossbar = trained()
    crossbar.hold(
        crossbar.device.conductance(crossbar.cells()) * torch.tensor([0.0, 1, 1, 1, 1, 1, 1]), crossbar.reference
    )
    netlist = Netlist(DIALECTS["ngspice"], "one crossbar")
    write_crossbar(netlist, "layer0", Circuit.of(crossbar), "up")
    cells = [line.split()[0] for line in netlist.text().splitlines() if line.startswith("Rplus_c")]
    assert len(cells) == 24
    assert not any(name.startswith("Rplus_c0_") for name in cells)
