"""Networks of several scenarios along the axis of chips: each chip is as in its own."""

import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import gammas, predict
from analogdp.dynamics import Continuous
from analogdp.network import build
from analogdp.network.stacking import Replicas, build_together, put_side_by_side

LAYERS = (8, 6, 4)
DIFFERENT = {
    "nothing and a spread of alpha": [{}, {"alpha": 0.05}],
    "spreads of alpha": [{"alpha": 0.02}, {"alpha": 0.05}, {}],
    "spreads of time constants": [{}, {"tau": 0.1}, {"tau": {"std": 0.1, "compartments": 0.05}}],
    "spreads of gains and offsets": [{"gain": 0.1, "offset": 0.01}, {"gain": 0.2, "offset": 0.02}],
}
BITS = {"float32": torch.float32, "float64": torch.float64}


@pytest.fixture
def replicas(make_scenario):
    """Runs of different spreads, alphas, time constants and numbers of chips: the first has one, the second two."""

    def make(mismatches, model="dp", dtype="float64", activation="tanh"):
        return Replicas(
            tuple(
                make_scenario(
                    LAYERS,
                    chips=place + 1,
                    seed=place,
                    neuron={
                        "model": model,
                        "alpha": 0.2 + place / 10,
                        "beta": 0.3 + place / 7,
                        "tau": (1 + place / 3) * 1e-6,
                        "activation": activation,
                    },
                    mismatch=mismatch,
                    run={"dtype": dtype},
                )
                for place, mismatch in enumerate(mismatches)
            )
        )

    return make


def numbers(value, chips, units):
    """A parameter as one number for each compartment, chip and unit."""
    return torch.as_tensor(value, dtype=torch.float64).expand(2, chips, 1, units)


def quantities(layer):
    """All parameters of a layer's neurons."""
    names = ("push", "pull", "minus_pull", "mix", "gain", "offset", "beta")
    own = {name: getattr(layer.neuron, name) for name in names} | {"tau": layer.tau}
    return {name: value for name, value in own.items() if value is not None}


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", DIFFERENT)
def test_chips_of_different_mismatch_have_the_neurons_of_their_own_networks(replicas, name, dtype):
    """To the last bit, in double precision, whatever that of the run."""
    runs = replicas(DIFFERENT[name], dtype=dtype)
    together = build_together(runs)
    put_side_by_side(runs, together, torch.float64)
    alone = [build(scenario) for scenario in runs.scenarios]
    for number, layer in enumerate(together.layers):
        for quantity, value in quantities(layer).items():
            each = [
                numbers(quantities(own.layers[number])[quantity], own.chips, layer.units).to(torch.float64)
                for own in alone
            ]
            assert torch.equal(numbers(value, together.chips, layer.units), torch.cat(each, 1)), quantity


@pytest.mark.parametrize("dtype", BITS)
def test_numbers_are_as_precise_as_the_run_where_they_are_simulated(replicas, dtype):
    together = build_together(replicas([{}, {}], dtype=dtype))
    for layer in together.layers:
        assert {value.dtype for value in quantities(layer).values()} == {BITS[dtype]}


def test_an_asymmetry_that_is_zero_alone_is_zero_side_by_side(replicas):
    """Of DP-transposed in single precision, if numbers are put side by side in double precision; else it is 1e-9."""
    runs = replicas([{}, {}, {}], model="dp_transposed", dtype="float32")
    together = build_together(runs)
    assert any(bool(own.any()) for own in gammas(together))
    put_side_by_side(runs, together, torch.float64)
    assert not any(bool(own.any()) for own in gammas(together))


@pytest.mark.parametrize("activation", ["identity", "tanh"])
@pytest.mark.parametrize("mismatches", [[{}, {}], [{}, {"alpha": 0.05}, {"alpha": 0.1, "tau": 0.1}]])
@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_predictions_of_a_chip_do_not_depend_on_who_lies_beside_it(replicas, model, mismatches, activation):
    """Of runs in single precision, to the rounding of double precision."""
    runs = replicas(mismatches, model=model, dtype="float32", activation=activation)
    together = build_together(runs)
    put_side_by_side(runs, together, torch.float64)
    clock = Continuous(registry.integrators.get("exp_euler"), 0.2e-6, 10, 1e-4, 1)
    generator = torch.Generator().manual_seed(0)
    inputs, labels = (torch.randn(1, 3, units, generator=generator) for units in (LAYERS[0], LAYERS[-1]))
    found = predict(together, clock, inputs, labels, together.neurons[-1].beta)
    for scenario, chips in zip(runs.scenarios, runs.rows, strict=True):
        own = build(scenario)
        alone = predict(own, clock, inputs, labels, own.neurons[-1].beta)
        for name in ("loop_gain", "certificate", "growth", "stable", "converged", "steps", "at_rest"):
            beside = getattr(found, name)[chips].double()
            assert torch.allclose(beside, getattr(alone, name).double(), rtol=1e-7, atol=1e-12), name
