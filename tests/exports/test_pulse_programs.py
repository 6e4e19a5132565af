"""Pulse programs, applied by loops that know nothing of the package, and by the package itself, pulse by pulse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analogdp.devices import DeviceCard, load_card
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter, read_conductances, read_pulse_programs
from analogdp.exports.nominal import STREAM, nominal_device
from analogdp.exports.program_reading import PulsePrograms
from analogdp.exports.pulse_programs import programs_of, why_no_program

PULSED = ("capacitor", "ecram_li", "gokmen_vlasov", "reram_array_om", "reram_es", "reram_sb")
EXPOSED = ("ion_drift_tio2", "stanford_pku_hfox", "vteam_example", "yakopcic_example")


def tolerance(card: object) -> float:
    return 0.01 * (card.high - card.low)  # type: ignore[attr-defined]


def programs(name: str, targets: np.ndarray) -> dict[str, np.ndarray]:
    card = load_card(name)
    return programs_of(card, tolerance(card)).of(targets)


def runs_of(arrays: dict[str, np.ndarray], place: tuple[int, ...]) -> list[tuple[float, ...]]:
    first = arrays["program_start"][place]
    own = slice(first, first + arrays["program_runs"][place])
    return list(zip(*(values[own] for values in arrays.values() if values.ndim == 1), strict=True))


def loop(step_up: float, step_down: float, soft: bool, runs: list[tuple[float, ...]], low: float, high: float) -> float:
    """Conductance after pulses one by one, of weights from -1 to 1 that start at 0."""
    weight = 0.0
    for polarity, count in runs:
        for _ in range(int(count)):
            if polarity > 0:
                weight = min(1.0, weight + step_up * (1 - weight if soft else 1.0))
            else:
                weight = max(-1.0, weight - step_down * (1 + weight if soft else 1.0))
    return low + (weight + 1) / 2 * (high - low)


@pytest.mark.parametrize("soft", [False, True])
def test_a_loop_over_the_pulses_of_a_program_ends_within_the_tolerance_of_the_target(
    tmp_path: Path, soft, make_network, make_scenario
) -> None:
    parameters = {"step": 0.004, "asymmetry": 0.25, "step_spread": 0.3, "cycle_noise": 0.5, "upper_spread": 0.2}
    about = {"name": "cell", "material": "HfO2", "source": "made up", "model": "soft_bounds" if soft else "constant"}
    card = {**about, "low": 1e-6, "high": 21e-6, "parameters": parameters}
    sections = {"synapse": {"model": "crossbar", "device": card, "pair": "balanced", "tile": "5x3"}}
    network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
    export_network(network, scenario, exporter("hdf5"), tmp_path / "c.h5")
    crossbar, own = read_conductances(tmp_path / "c.h5")[0], read_pulse_programs(tmp_path / "c.h5", layer=0)
    assert own.start == pytest.approx(11e-6)
    missed = []
    for word_line, bit_line in np.ndindex(8, 6):
        for device, target in enumerate((crossbar.plus_target, crossbar.minus_target)):
            runs = [(run.polarity, run.pulses) for run in own.of(word_line, bit_line, device)]
            reached = loop(0.004, 0.004 * 0.75, soft, runs, 1e-6, 21e-6)
            missed.append(abs(reached - target[0, word_line, bit_line]))
    assert max(missed) < crossbar.target_tolerance == pytest.approx(0.2e-6)
    assert max(missed) <= own.largest_error * (1 + 1e-6)
    weights = crossbar.scale * (crossbar.plus - crossbar.minus)[0]
    held = crossbar.scale * (crossbar.plus_target - crossbar.minus_target)[0]
    assert np.abs(held - weights)[np.abs(weights) < 4 / np.sqrt(8)].max() < 1e-12


@pytest.mark.parametrize("name", PULSED)
def test_single_pulses_of_the_package_lead_nominal_cells_to_their_targets(name: str) -> None:
    card = load_card(name)
    targets = np.linspace(card.low, card.high, 24).reshape(1, 4, 6)
    arrays = programs(name, targets)
    device = nominal_device(card)
    state = device.sample((1, 4, 6), STREAM)
    signed = [np.zeros_like(targets), np.zeros_like(targets)]
    for place in np.ndindex(*targets.shape):
        for number, (polarity, count) in enumerate(runs_of(arrays, place)):
            signed[number][place] = polarity * float(count)
    for counts in map(torch.from_numpy, signed):
        for number in range(int(counts.abs().max())):
            device.pulse(state, (counts.sign() * (counts.abs() > number)).unsqueeze(0), STREAM)
    assert np.abs(device.conductance(state)[0].numpy() - targets).max() < tolerance(card)


@pytest.mark.parametrize("name", EXPOSED)
def test_exposures_of_cells_with_a_state_equation_end_at_their_targets(name: str) -> None:
    card = load_card(name)
    device, targets = nominal_device(card), np.linspace(card.low, card.high, 9)[1:-1].reshape(1, 1, -1)
    arrays = programs(name, targets)
    state = device.sample((1, 1, 1), STREAM)
    start = float(state.variables["state"])
    for bit_line, target in enumerate(targets[0, 0]):
        for _, voltage, duration in runs_of(arrays, (0, 0, bit_line)):

            def flow(_: float, x: np.ndarray, volts: float = voltage) -> np.ndarray:
                state.variables["state"].fill_(float(x[0]))
                return device.flow(state, torch.tensor(volts, dtype=torch.float64)).numpy().ravel()

            found = solve_ivp(flow, (0, duration), [start], rtol=1e-8, atol=1e-12 * abs(start), method="LSODA").y[0, -1]
            state.variables["state"].fill_(found)
            assert abs(float(device.conductance(state)) - target) < 0.1 * tolerance(card)


def test_the_repr_of_programs_has_no_arrays() -> None:
    tiles = {(row, column): {"program_runs": np.zeros((1, 5, 3))} for row in range(2) for column in range(3)}
    own = PulsePrograms(1e-6, True, 2.5e-8, 0, None, (5, 3), tiles)
    assert repr(own) == "PulsePrograms(2 x 3 tiles, from 1e-06 S after a reset, largest error 2.5e-08 S)"


def nominal_cells_after(name: str, own: PulsePrograms, device: int) -> np.ndarray:
    """Conductances ``(8, 6)`` of nominal cells after the programs of one device of each cell."""
    nominal = nominal_device(load_card(name))
    cells = nominal.sample((1, 8, 6), STREAM)
    if own.reset:
        nominal.reset(cells, torch.ones((1, 1, 8, 6), dtype=torch.bool), STREAM)
    for number in range(3):
        counts = np.zeros((1, 1, 8, 6))
        for place in np.ndindex(8, 6):
            for run in own.of(*place, device)[number : number + 1]:
                counts[0, 0][place] = run.polarity * run.pulses
        nominal.pulse(cells, torch.from_numpy(counts), STREAM)
    return nominal.conductance(cells)[0, 0].numpy()


@pytest.mark.parametrize(
    ("name", "pair", "coarse"),
    [("reram_sb", "balanced", False), ("reram_array_hfo2", "reference", True), ("pcm_gst", "one_sided", True)],
)
def test_the_file_counts_devices_out_of_tolerance_and_warns_of_them(
    tmp_path: Path, name: str, pair: str, coarse: bool, make_network, make_scenario
) -> None:
    sections = {"synapse": {"model": "crossbar", "device": name, "pair": pair, "tile": "5x3"}, "chips": 2}
    network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
    path = export_network(network, scenario, exporter("hdf5"), tmp_path / "c.h5")[0]
    crossbar, own = read_conductances(path, chip=1)[0], read_pulse_programs(path, layer=0, chip=1)
    targets = (crossbar.plus_target,) if pair == "reference" else (crossbar.plus_target, crossbar.minus_target)
    misses = [np.abs(nominal_cells_after(name, own, device) - target[0]) for device, target in enumerate(targets)]
    assert own.unmet == (np.stack(misses) > crossbar.target_tolerance).sum()
    assert (own.unmet > 0) == coarse
    about = json.loads(path.with_name("c.h5.json").read_text())["crossbars"]["synapses/0"]
    assert (own.warning is not None) == coarse
    assert about.get("program_warning") == own.warning
    if coarse:
        assert f"{own.largest_error:.3g} S, more than the tolerance of {crossbar.target_tolerance:.3g} S" in own.warning


def test_the_coarsest_cells_get_a_third_run_that_more_than_halves_those_out_of_tolerance() -> None:
    card = load_card("reram_array_hfo2")
    found = programs_of(card, tolerance(card))
    targets = np.linspace(card.low, card.high, 1000).reshape(1, 1, -1)
    assert found.of(targets)["program_runs"].max() == 3
    misses = found.misses(targets)
    assert misses.max() <= found.largest_error * (1 + 1e-9)
    # 39 % after two runs.
    assert (misses > tolerance(card)).mean() < 0.16


def test_coarse_cells_get_a_second_run_back_that_brings_more_of_them_within_the_tolerance() -> None:
    card = load_card("reram_array_om")
    found = programs_of(card, tolerance(card))
    targets = np.linspace(card.low, card.high, 1000).reshape(1, 1, -1)
    lists = found.of(targets)
    assert lists["program_runs"].max() == 2
    assert found.largest_error < tolerance(card)


@pytest.mark.parametrize(("model", "steps"), [("constant", {}), ("linear", {"slope_up": 0.3, "slope_down": 0.3})])
def test_a_program_misses_by_half_of_the_largest_step_at_most(model: str, steps: dict[str, float]) -> None:
    about = {"name": "cell", "material": "HfO2", "source": "made up", "model": model, "low": 1e-6, "high": 21e-6}
    card = DeviceCard.model_validate({**about, "parameters": {"step": 0.01, **steps}})
    found = programs_of(card, tolerance(card))
    largest = np.diff(found.conductance).max()
    assert found.largest_error == pytest.approx(largest / 2, rel=1e-9)
    if model == "constant":
        # A hundredth of the middle of the range at -1 to 1 is a step of 0.1 uS.
        assert found.largest_error == pytest.approx(0.05e-6, rel=1e-9)


def test_programs_are_listed_in_the_order_of_issue_and_cells_at_their_targets_get_none() -> None:
    card = load_card("reram_sb")
    middle = programs_of(card, tolerance(card)).start
    targets = np.array([[[middle, 60e-6], [20e-6, middle]], [[30e-6, middle], [middle, 70e-6]]])
    arrays = programs("reram_sb", targets)
    assert arrays["program_runs"].tolist() == [[[0, 1], [1, 0]], [[1, 0], [0, 1]]]
    assert arrays["program_polarity"].tolist() == [-1, 1, -1, 1]
    assert arrays["program_start"][1, 0, 0] == 0
    assert arrays["program_start"][0, 0, 1] == 1


def test_cells_that_pulses_only_raise_start_from_a_reset() -> None:
    card = load_card("pcm_gst")
    found = programs_of(card, tolerance(card))
    assert found.reset
    assert (found.runs >= 0).all()


@pytest.mark.parametrize("name", ["pcm_joshi", "rram_wan", "sonos_agrawal"])
def test_cards_that_state_no_pulses_have_no_programs_and_the_file_says_why(
    tmp_path: Path, name: str, make_network, make_scenario
) -> None:
    assert programs_of(load_card(name), 1e-7) is None
    sections = {"synapse": {"model": "crossbar", "device": name}}
    path = tmp_path / "c.h5"
    export_network(make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections), exporter("hdf5"), path)
    with pytest.raises(InputError, match=r"no pulse programs of synapses/0.*closed loop"):
        read_pulse_programs(path, layer=0)
    assert why_no_program(load_card("reram_sb")) is None
    assert read_conductances(path)[0].plus_target is not None
