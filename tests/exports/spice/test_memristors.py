"""Memristors as circuits: what ngspice makes of a sine and of write pulses, against the package's own simulation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.devices import load_card
from analogdp.devices.hysteresis import hysteresis
from analogdp.devices.state_equation import StateEquationDevice
from analogdp.errors import InputError
from analogdp.exports.spice.dialects import DIALECTS
from analogdp.exports.spice.memristors import CELL, Memristor
from analogdp.exports.spice.netlist import Netlist
from analogdp.streams import Stream
from tests.exports.spice.simulators import needs_ngspice, run, waves

LOOPS: list[tuple[str, float, float, dict[str, Any]]] = [
    ("vteam_example", 0.5, 5e8, {}),
    ("vteam_example", 0.4, 2e8, {"window": "prodromakis", "resistance": "exponential", "alpha_off": 0.7}),
    ("vteam_example", 0.4, 2e8, {"window": "joglekar", "window_power": 0.5}),
    ("yakopcic_example", 0.4, 1e3, {}),
    ("yakopcic_example", 0.4, 1e3, {"eta": -1, "a2": 0.1, "write_pulse": {"up": -0.3, "down": 0.3, "width": 2e-5}}),
    ("ion_drift_tio2", 1.0, 1.0, {}),
]
"""Cards with the amplitude in volts and the frequency in hertz of a sine that opens a wide loop."""


def device_of(card: str, **overrides: Any) -> StateEquationDevice:
    device = load_card(card, {"cycle_noise": 0.0, **overrides}).device()
    assert isinstance(device, StateEquationDevice)
    return device


def simulated(
    device: StateEquationDevice, folder: Path, source: str, cell: dict[str, float], step: float, stop: float
) -> dict[str, np.ndarray]:
    """State ``x`` and current ``i`` of one cell under a source."""
    netlist = Netlist(DIALECTS["ngspice"], "one cell")
    Memristor(device, "card").write(netlist)
    netlist.voltage_source("source", "top", "0", source)
    netlist.ammeter("sense", "bottom", "0")
    netlist.instance("cell", ("top", "bottom"), CELL, cell)
    netlist.tolerances(reltol=1e-6, abstol=1e-12, vntol=1e-9, gmin=1e-18, chgtol=1e-24)
    netlist.transient(step, stop, ["i(vsense)", "v(xcell.x)"], "results.txt", largest=step, initial=True)
    netlist.end()
    netlist.write(folder / "network.cir")
    run(folder / "network.cir")
    found = waves(folder / "results.txt")
    return {"time": found["time"], "i": found["i(vsense)"], "x": found["v(xcell.x)"]}


@needs_ngspice
@pytest.mark.parametrize(("card", "amplitude", "frequency", "overrides"), LOOPS, ids=str)
def test_the_hysteresis_loop_is_the_package_s(
    card: str, amplitude: float, frequency: float, overrides: dict[str, Any], tmp_path: Path
) -> None:
    spreads = {"rate_spread": 0.0} | ({} if card.startswith("ion") else {"threshold_spread": 0.0})
    device = device_of(card, **spreads, **overrides)
    own = hysteresis(device, amplitude, frequency, periods=1, steps=1000)
    sine, step = f"SIN(0 {amplitude!r} {frequency!r})", 1 / frequency / 1000
    found = simulated(device, tmp_path, sine, {"state": 0.5}, step, 1 / frequency)
    state = ((own.state[:, 0] - device.lowest) / (device.highest - device.lowest)).numpy()
    assert np.ptp(state) > 0.1
    np.testing.assert_allclose(np.interp(own.time, found["time"], found["x"]), state, rtol=0, atol=2e-4)
    current = own.current[:, 0].numpy()
    np.testing.assert_allclose(
        np.interp(own.time, found["time"], found["i"]), current, rtol=0, atol=5e-3 * abs(current).max()
    )


@needs_ngspice
@pytest.mark.parametrize(
    ("card", "overrides"),
    [("vteam_example", {}), ("vteam_example", {"x_on": 1e-9}), ("yakopcic_example", {}), ("ion_drift_tio2", {})],
    ids=str,
)
@pytest.mark.parametrize("count", [1, -1])
def test_a_write_pulse_changes_a_cell_as_the_package_says(
    card: str, overrides: dict[str, Any], count: int, tmp_path: Path
) -> None:
    device = device_of(card, rate_spread=0.3, bound_spread=0.01, **overrides)
    cells = device.sample((1,), Stream(5, "cell", (0,), dtype=torch.float64))
    cell = {name: float(values[0, 0]) for name, values in Memristor(device, card).parameters(cells).items()}
    assert {"state", "lower", "upper", "rate"} <= set(cell)
    width, volts = device.pulses.width, device.pulses.up if count > 0 else device.pulses.down
    edge = width / 1000
    # Half of each edge counts as if the pulse were rectangular; beyond a threshold a little less does.
    pulse = f"PULSE(0 {volts!r} {edge!r} {edge!r} {edge!r} {width - edge!r} 1)"
    found = simulated(device, tmp_path, pulse, cell, width / 200, 1.1 * width)
    device.pulse(cells, torch.full((1, 1), float(count), dtype=torch.float64), Stream(6, "pulse", (0,)))
    wanted = float(Memristor(device, card).parameters(cells)["state"][0, 0])
    assert abs(wanted - cell["state"]) > 1e-4
    assert found["x"][-1] - cell["state"] == pytest.approx(wanted - cell["state"], rel=3e-3)


def test_a_state_is_written_as_the_share_of_a_range_that_does_not_begin_at_0() -> None:
    device = device_of("vteam_example", x_on=1e-9)
    cells = device.sample((1,), Stream(5, "cell", (0,), dtype=torch.float64))
    cells.variables["state"].fill_(device.lowest + 0.3 * (device.highest - device.lowest))
    assert device.lowest == 1e-9
    assert float(Memristor(device, "card").parameters(cells)["state"]) == pytest.approx(0.3, rel=1e-12)


@pytest.mark.parametrize("card", ["reram_sb", "stanford_pku_hfox"])
def test_cells_of_other_models_are_refused_with_the_names_of_those_that_work(card: str) -> None:
    with pytest.raises(InputError, match=r"ion_drift, vteam, yakopcic.*cells: resistors"):
        Memristor(load_card(card).device(), card)


def test_a_cell_that_ages_is_refused() -> None:
    with pytest.raises(InputError, match="age"):
        Memristor(load_card("vteam_example", {"drift": {"exponent": 0.05}}).device(), "vteam_example")
