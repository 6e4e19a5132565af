"""Phase diagrams: points side by side are as they are alone, and theory is compared with them."""

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability.diagram import REFUSED, Surveyor, Trained, refuse_unless_analysable
from analogdp.analysis.stability.grid import Axis, points
from analogdp.analysis.stability.outcomes import OUTCOMES, observe
from analogdp.data import load
from analogdp.errors import InputError
from analogdp.network import build
from analogdp.streams import Stream

LAYERS = (16, 10, 10, 4)
DP = {"neuron": {"model": "dp", "alpha": 0.3, "activation": "tanh"}}
ALPHA, BETA = Axis("neuron.alpha", (0.1, 0.5, 0.9)), Axis("neuron.beta", (0.2, 0.6, 1.4))
SAMPLES = 3


def alone(scenario):
    """What becomes of a single network's samples."""
    network = build(scenario)
    clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    data = load(scenario.data, scenario.seed)
    shown = [own[:SAMPLES].double().unsqueeze(0) for own in (data.test_inputs, data.test_targets)]
    stream = Stream(scenario.seed, "stability", network.chip_indices, dtype=network.dtype)
    kind = {"noise": scenario.noise, "tau": scenario.neuron.tau, "tolerance": 0.002 * scenario.neuron.beta}
    return observe(network, clock, *shown, scenario.neuron.beta, stream, **kind)


@pytest.mark.parametrize(
    "sections",
    [{}, {"dynamics": {"clock": "sweep"}}, {"noise": {"membrane": 0.05}}, {"mismatch": {"alpha": 0.05, "tau": 0.1}}],
    ids=["continuous", "sweep", "noise", "mismatch"],
)
def test_a_point_of_a_diagram_is_a_single_simulation(make_scenario, sections):
    grid = points(make_scenario(LAYERS, **DP, **sections), ALPHA, BETA)
    for point, cell in zip(grid, Surveyor(SAMPLES).survey(grid), strict=True):
        if cell.outcome == REFUSED:
            continue
        single = alone(point.scenarios[0])
        shares = [(single.kind == number).double().mean() for number in range(len(OUTCOMES))]
        assert [getattr(cell, name) for name in OUTCOMES] == shares
        if cell.steps is not None:
            assert cell.steps == single.steps[single.steps >= 0].double().mean()


@pytest.mark.parametrize("most", [1, 2, 5])
def test_cells_have_the_same_bits_however_many_lie_side_by_side(make_scenario, most):
    grid = points(make_scenario(LAYERS, chips=2, mismatch={"alpha": 0.02}, **DP), ALPHA, BETA, networks=2)
    assert Surveyor(SAMPLES, most=most).survey(grid) == Surveyor(SAMPLES).survey(grid)


def test_points_of_different_noise_come_one_group_after_the_other(make_scenario):
    grid = points(make_scenario(LAYERS, **DP), Axis("mismatch.alpha", (0.0, 0.1)), Axis("noise.membrane", (0.0, 0.1)))
    told = []
    surveyor = Surveyor(SAMPLES)
    cells = surveyor.survey(grid, lambda done, total: told.append((done, total)))
    assert told == [(2, 4), (4, 4)]
    assert len({cell.growth for cell in cells}) == 4
    assert surveyor.ignored == {"noise.membrane"}


def test_on_either_side_of_a_linear_networks_boundary_theory_and_simulation_agree(make_scenario):
    """At alpha = 0 a real eigenvalue crosses where g Lambda = 1, for the differential equation as for sweeps."""
    linear = {
        "neuron": {"model": "dp", "alpha": 0.2, "activation": "identity"},
        "dynamics": {"settle": {"at_most": "80 us"}},
    }
    scenario = make_scenario(LAYERS, **linear)
    grid = points(scenario, Axis("neuron.alpha", (0.0, 0.1)), Axis("neuron.beta", tuple(np.linspace(0.05, 0.6, 12))))
    cells = Surveyor(SAMPLES).survey(grid)
    assert {cell.outcome for cell in cells} >= {"settled", "diverged"}
    for cell in cells:
        if abs(cell.loop_gain - 1) > 0.1:
            assert cell.agreement == 1
            assert (cell.outcome in ("settled", "approaching")) == (cell.loop_gain < 1)


def test_measured_growth_is_the_predicted_one(make_scenario):
    linear = {
        "neuron": {"model": "dp", "alpha": 0.2, "activation": "identity"},
        "dynamics": {"settle": {"at_most": "30 us"}},
    }
    grid = points(make_scenario(LAYERS, **linear), Axis("neuron.alpha", (0.0, 0.1)), Axis("neuron.beta", (0.35, 0.4)))
    for cell in Surveyor(SAMPLES).survey(grid):
        assert cell.growth == pytest.approx(cell.predicted_growth, rel=1e-3)


def test_a_trained_networks_weights_take_the_place_of_random_ones(make_scenario):
    scenario = make_scenario(LAYERS, synapse={"model": "crossbar", "device": "ecram_mo"}, **DP)
    network = build(scenario)
    ideal = scenario.model_copy(update={"synapse": make_scenario(LAYERS, **DP).synapse})
    for wanted in (scenario, ideal):
        trained = Trained.of(network, scenario, wanted)
        other = build(wanted.model_copy(update={"seed": 5}))
        trained.put_into(other, 1)
        for one, two in zip(network.synapses, other.synapses, strict=True):
            torch.testing.assert_close(one.weights, two.weights, rtol=1e-12, atol=0)


def test_trained_weights_stay_where_they_lie(make_scenario):
    scenario = make_scenario(LAYERS, **DP)
    wanted = make_scenario(LAYERS, synapse={"model": "crossbar", "device": "ecram_mo"}, **DP)
    with pytest.raises(InputError, match="synapse"):
        Trained.of(build(scenario), scenario, wanted)


def test_a_step_too_long_for_a_method_is_a_refused_cell(make_scenario):
    scenario = make_scenario(LAYERS, dynamics={"integrator": "euler"}, **DP)
    grid = points(scenario, Axis("mismatch.tau", (0.0, 0.3)), Axis("dynamics.dt", (2e-7, 1.5e-6)))
    cells = Surveyor(SAMPLES).survey(grid)
    assert cells[0].outcome != REFUSED
    assert cells[3].outcome == REFUSED
    assert "dt" in cells[3].reason


@pytest.mark.parametrize(("samples", "neuron"), [(0, "dp"), (41, "dp"), (3, "untied")])
def test_what_no_diagram_can_be_made_of_is_refused(make_scenario, samples, neuron):
    with pytest.raises(InputError):
        refuse_unless_analysable(make_scenario(LAYERS, neuron={"model": neuron}), samples)
