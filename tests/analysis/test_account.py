"""The account of a network, against sums over its cells and samples."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis import EnergyReport, History, Part, account
from analogdp.data import Dataset, load
from analogdp.dynamics import Simulation
from analogdp.network import Network, build
from analogdp.scenario import Scenario

Make = Callable[..., Scenario]
HISTORY = History(samples=600, steps=30.0, pulses=1e5, write_energy=None)
CONVERTER = {"bits": 6, "figure_of_merit": 1e-14, "conversion_time": 1e-8}
CROSSBAR = {"model": "crossbar", "device": "ecram_mo", "tile": "5x4", "dac": CONVERTER, "adc": CONVERTER}
EXACT = {"model": "crossbar", "device": "ecram_mo"}


def accounted(scenario: Scenario, history: History = HISTORY) -> tuple[EnergyReport, Network, Dataset]:
    network, data = build(scenario), load(scenario.data, scenario.seed)
    return account(network, scenario, data, history), network, data


def part(report: EnergyReport, name: str) -> Part:
    return next(part for part in report.parts if part.name == name)


def settled(scenario: Scenario, network: Network, data: Dataset, nudged: bool) -> tuple[list[Any], list[Any], float]:
    """Messages up and down of 64 samples, and the steps that they took on average."""
    clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    simulation = Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau)
    data = data.to(network.device, network.dtype)
    inputs = (data.train_inputs if nudged else data.test_inputs)[:64].unsqueeze(0)
    label = data.train_targets[:64].unsqueeze(0) if nudged else None
    simulation.present(inputs, label, network.neurons[-1].beta if nudged else 0.0)
    settling = simulation.settle()
    pairs = list(zip(network.neurons, settling.state, strict=True))
    up = [inputs.expand(network.chips, -1, -1), *(neuron.upward(state) for neuron, state in pairs)]
    after = settling.settled_after
    steps = (
        settling.steps
        if after is None
        else after.where(after >= 0, torch.tensor(settling.steps)).double().mean().item()
    )
    return [message.clone() for message in up], [neuron.downward(state) for neuron, state in pairs], steps


def cell_power(network: Network, up: list[Any], down: list[Any], voltage: float) -> tuple[float, float]:
    """Watts of all cells in reads up and down, a mean over chips and samples, one line after the other."""
    powers = [0.0, 0.0]
    for number, synapse in enumerate(network.synapses):
        cells = synapse.conductances()
        assert cells is not None
        both = (cells.plus + cells.minus).numpy()
        for chip in range(network.chips):
            for sample in range(up[0].shape[1]):
                x, e = up[number][chip, sample].numpy(), down[number][chip, sample].numpy()
                powers[0] += sum(both[chip] @ (voltage * x) ** 2)
                powers[1] += 0 if number == 0 else sum(both[chip].T @ (voltage * e) ** 2)
    count = network.chips * up[0].shape[1]
    return powers[0] / count, powers[1] / count


def test_reads_take_the_power_of_all_cells_for_as_long_as_samples_settle(make_scenario: Make) -> None:
    scenario = make_scenario((6, 5, 4), synapse=EXACT, chips=2, energy={"read_voltage": 0.1})
    report, network, data = accounted(scenario)
    dt = scenario.dynamics.time_step(scenario)
    assert dt is not None
    for nudged, steps in ((False, None), (True, HISTORY.steps)):
        up, down, found = settled(scenario, network, data, nudged)
        powers = cell_power(network, up, down, 0.1)
        for name, power in zip(("reads, bottom-up", "reads, top-down"), powers, strict=True):
            energy = power * (steps or found) * dt
            told = part(report, name)
            assert (told.training if nudged else told.inference) == pytest.approx(
                energy * (HISTORY.samples if nudged else 1), rel=1e-9, abs=1e-30
            )
    assert part(report, "reads, bottom-up").training_time == pytest.approx(600 * 30 * dt)


def test_a_sweep_takes_the_read_time_for_each_read(make_scenario: Make) -> None:
    dynamics = {"clock": "sweep", "order": "odd_even", "sweeps": 3}
    scenario = make_scenario((6, 5, 4), synapse=EXACT, dynamics=dynamics, energy={"read_time": 2e-7})
    report, network, data = accounted(scenario, History(10, 3.0, 0.0, None))
    up, down, _ = settled(scenario, network, data, nudged=True)
    first = cell_power(network, [up[0], 0 * up[1], up[2]], [0 * message for message in down], 0.2)[0] * 2e-7
    second = cell_power(network, [0 * up[0], up[1], up[2]], down, 0.2)
    assert part(report, "reads, bottom-up").training == pytest.approx(10 * (first + 3 * second[0] * 2e-7), rel=1e-9)
    assert part(report, "reads, top-down").training == pytest.approx(10 * 3 * second[1] * 2e-7, rel=1e-9)
    assert part(report, "reads, bottom-up").inference_time == pytest.approx((1 + 2 * 3) * 2e-7)


def test_converters_are_counted_line_by_line_and_tile_by_tile(make_scenario: Make) -> None:
    scenario = make_scenario((6, 5, 4), synapse=CROSSBAR, dynamics={"clock": "sweep", "order": "forward", "sweeps": 3})
    report, *_ = accounted(scenario, History(10, 3.0, 0.0, None))
    energy = 1e-14 * 64
    # Tiles of 5 x 4: the first synapse has 2 x 2, the second 1 x 1; the first is read up once, the second 3 times each way.
    assert part(report, "DACs").inference == pytest.approx((6 + 3 * 5 + 3 * 4) * energy)
    assert part(report, "ADCs").inference == pytest.approx((5 * 2 + 3 * 4 * 1 + 3 * 5 * 1) * energy)
    assert part(report, "ADCs").training == pytest.approx(10 * (10 + 12 + 15) * energy)
    assert part(report, "DACs").inference_time == pytest.approx((1 + 2 * 3) * 1e-8)


def test_a_feedback_path_is_read_in_place_of_the_transposed_synapse(make_scenario: Make) -> None:
    scenario = make_scenario((6, 5, 4), synapse=EXACT, feedback="random")
    report, network, data = accounted(scenario)
    _, down, _ = settled(scenario, network, data, nudged=True)
    path = network.feedback_paths[1]
    assert path is not None
    cells = path.conductances()
    assert cells is not None
    power = np.mean([sum((cells.plus + cells.minus)[0].numpy() @ (0.2 * e.numpy()) ** 2) for e in down[1][0]])
    dt = scenario.dynamics.time_step(scenario)
    assert dt is not None
    assert part(report, "reads, top-down").training == pytest.approx(power * 30 * dt * 600, rel=1e-9)


def test_neurons_take_their_power_for_as_long_as_samples_settle(make_scenario: Make) -> None:
    scenario = make_scenario((6, 5, 4), energy={"neuron_power": 1e-6})
    neurons = part(accounted(scenario)[0], "neurons")
    dt = scenario.dynamics.time_step(scenario)
    assert dt is not None
    assert neurons.training == pytest.approx(600 * 30 * dt * 9 * 1e-6)


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("reads", {"synapse": "ideal"}),
        ("reads", {"synapse": EXACT, "dynamics": {"axons": {"threshold": 0.01}}}),
        ("neurons", {"synapse": EXACT}),
        ("ADCs", {"synapse": {**EXACT, "adc": {"bits": 6}}}),
        ("writes", {"synapse": EXACT}),
        ("writes", {"synapse": "ideal"}),
    ],
)
def test_what_nobody_stated_is_not_stated(make_scenario: Make, name: str, sections: dict[str, Any]) -> None:
    found = part(accounted(make_scenario((6, 5, 4), **sections))[0], name)
    assert found.training is None
    assert found.assumption.startswith("not stated")


def test_writes_are_those_of_the_history(make_scenario: Make) -> None:
    pulse = {"up": 1.0, "down": -1.0, "width": 1e-6}
    scenario = make_scenario((6, 5, 4), synapse={**EXACT, "device": {"card": "ecram_mo", "write_pulse": pulse}})
    writes = part(accounted(scenario, History(600, 30.0, 1e5, 2.5e-9))[0], "writes")
    assert (writes.inference, writes.training) == (0.0, 2.5e-9)
    assert writes.training_time == pytest.approx(0.1)


def test_a_dwell_is_the_length_of_a_sample_where_learning_is_always_on(make_scenario: Make) -> None:
    learning = {"mode": "always_on", "dwell": 2e-5, "write_every": 2e-5, "tau_weights": 2e-3}
    report, *_ = accounted(make_scenario((6, 5, 4), synapse=EXACT, learning=learning), History(100, None, 0.0, None))
    assert part(report, "reads, bottom-up").training_time == pytest.approx(100 * 2e-5)


def test_a_history_is_a_mean_over_chips() -> None:
    rows = [{"chip": chip, "pulses_up": 0, "pulses_down": 0} for chip in (0, 1)]
    rows += [
        {"chip": chip, "pulses_up": 10 * chip, "pulses_down": 5, "settle_steps_mean": 20.0 + chip, "write_energy": 2e-9}
        for chip in (0, 1)
        for _ in range(3)
    ]
    assert History.of(rows, 7) == History(7, 20.5, 30.0, pytest.approx(6e-9))
    assert History.of(rows[:2], 7) == History(7, None, 0.0, 0.0)
    unknown = [{**row, "write_energy": None} for row in rows]
    assert History.of(unknown, 7).write_energy is None


@pytest.mark.parametrize("clock", ["sweep", "continuous"])
def test_a_convolution_takes_a_read_and_conversions_for_each_position_of_its_window(clock: str) -> None:
    """Rows of windows one by one: 16 positions of 3 x 3, then 10 outputs of 2 x 2 x 2 activities."""
    layers = ["1x6x6", {"conv": 2, "pool": {"of": "activity"}}, 10]
    scenario = Scenario.model_validate(
        {
            "data": {"name": "blobs", "inputs": 36, "classes": 10},
            "network": {"layers": layers},
            "synapse": {**EXACT, "adc": CONVERTER},
            "dynamics": clock,
            "run": {"device": "cpu", "dtype": "float64"},
        }
    )
    report, network, data = accounted(scenario)
    assert scenario.energy.read_voltage is not None
    cells = [synapse.conductances() for synapse in network.synapses]
    both = [(own.plus + own.minus)[0].numpy() for own in cells if own is not None]
    up, _, steps = settled(scenario, network, data.to("cpu", torch.float64), nudged=False)
    watts = [0.0, 0.0]
    for sample in range(up[0].shape[1]):
        image, activities = up[0][0, sample].view(6, 6), up[1][0, sample].view(2, 4, 4)
        for row, column in itertools.product(range(4), range(4)):
            window = image[row : row + 3, column : column + 3].flatten().numpy()
            watts[0] += sum(both[0] @ (scenario.energy.read_voltage * window) ** 2)
        pooled = torch.nn.functional.max_pool2d(activities, 2).flatten().numpy()
        watts[1] += sum(both[1] @ (scenario.energy.read_voltage * pooled) ** 2)
    watts = [own / up[0].shape[1] for own in watts]
    settling = steps * (scenario.dynamics.time_step(scenario) or 0)
    reading = (
        (scenario.energy.read_time, steps * (scenario.energy.read_time or 0)) if clock == "sweep" else [settling] * 2
    )
    expected = sum(power * (time or 0) for power, time in zip(watts, reading, strict=True))
    assert part(report, "reads, bottom-up").inference == pytest.approx(expected, rel=1e-9)
    assert "position" in part(report, "reads, bottom-up").assumption
    evaluations = 1 if clock == "sweep" else scenario.dynamics.evaluations() / whole_steps_of(scenario)
    reads = steps * evaluations
    conversions = 16 * 2 + reads * (10 + 8)
    assert f"{conversions:.4g} conversions for a sample" in part(report, "ADCs").assumption


def whole_steps_of(scenario: Scenario) -> int:
    """Steps of the longest settling."""
    return registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics).steps
