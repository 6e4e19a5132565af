"""Phase diagrams: points side by side are as they are alone, and theory is compared with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import diagram
from analogdp.analysis.stability.diagram import REFUSED, Surveyor, Trained, refuse_unless_analysable
from analogdp.analysis.stability.grid import Axis, points
from analogdp.analysis.stability.outcomes import OUTCOMES, observe
from analogdp.analysis.stability.predict import predict
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


def test_samples_of_unknown_fate_count_neither_for_nor_against_theory(make_scenario):
    """In four steps nothing can be told."""
    short = {"dynamics": {"dt": "1 us", "settle": {"at_most": "4 us", "tolerance": 1e-9}}}
    grid = points(
        make_scenario(LAYERS, **DP, **short), Axis("neuron.alpha", (0.4, 0.5)), Axis("neuron.beta", (0.2, 0.3))
    )
    for cell in Surveyor(SAMPLES).survey(grid):
        assert (cell.outcome, cell.undecided, cell.agreement) == ("undecided", 1.0, None)
        assert cell.predicted_stable is not None


def test_eigenvalues_that_have_not_converged_count_neither_for_nor_against_theory(make_scenario, monkeypatch):
    one_in_three = torch.tensor([[True, False, False]])

    def partly(*arguments):
        return replace(predict(*arguments), converged=one_in_three, stable=one_in_three)

    monkeypatch.setattr(diagram, "predict", partly)
    grid = points(make_scenario(LAYERS, **DP), Axis("neuron.alpha", (0.4, 0.5)), Axis("neuron.beta", (0.2, 0.3)))
    for cell in Surveyor(SAMPLES, most=1).survey(grid):
        assert (cell.settled, cell.converged, cell.agreement) == (1.0, pytest.approx(1 / 3), 1.0)


@pytest.mark.parametrize(
    ("at", "activation", "at_rest", "certified"),
    [("free", "tanh", 0, None), ("rest", "tanh", 1, 0), ("free", "identity", 0, 1), ("rest", "identity", 1, 1)],
)
def test_cells_say_where_theory_was_linearised_and_what_it_vouches_for(
    make_scenario, at, activation, at_rest, certified
):
    scenario = make_scenario(LAYERS, neuron={"model": "dp", "alpha": 0.3, "activation": activation})
    grid = points(scenario, Axis("neuron.alpha", (0.45, 0.5)), Axis("neuron.beta", (0.01, 0.02)))
    for cell in Surveyor(SAMPLES, at).survey(grid):
        assert (cell.linearised_at_rest, cell.certified, cell.converged) == (at_rest, certified, 1)
        assert cell.way in ("loops", "dense")


@pytest.mark.parametrize("at", ["free", "rest"])
def test_no_cell_is_certified_in_which_a_sample_comes_to_no_rest(make_scenario, at):
    """Large gains: DP-transposed then never settles with kinks, however small its loop gain at the free state."""
    neuron = {"model": "dp_transposed", "alpha": 0.3, "activation": "relu"}
    scenario = make_scenario(LAYERS, neuron=neuron, dynamics={"settle": {"at_most": "100 us"}})
    grid = points(scenario, Axis("network.gain", (2.0, 4.0)), Axis("neuron.beta", (0.5, 1.0)))
    cells = Surveyor(SAMPLES, at).survey(grid)
    assert any(not cell.settled for cell in cells)
    for cell in cells:
        assert not cell.certified or cell.certified <= cell.settled + cell.approaching


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("together: -1; allowed: whole numbers from 1", {"most": -1}),
        ("together: 0; allowed", {"most": 0}),
        ("together: 1.5; allowed", {"most": 1.5}),
        ("samples: 0; allowed", {"samples": 0}),
        ("samples: 1.5; allowed", {"samples": 1.5}),
        ("at: no state is called 'fre': did you mean 'free'", {"at": "fre"}),
        ("Known: free, rest", {"at": None}),
    ],
)
def test_surveyors_refuse_what_they_do_not_know(words, changes):
    with pytest.raises(InputError, match=words):
        Surveyor(**{"samples": SAMPLES, **changes})


@pytest.mark.parametrize(("samples", "neuron"), [(0, "dp"), (41, "dp"), (1.5, "dp"), (3, "untied")])
def test_what_no_diagram_can_be_made_of_is_refused(make_scenario, samples, neuron):
    with pytest.raises(InputError):
        refuse_unless_analysable(make_scenario(LAYERS, neuron={"model": neuron}), samples)
