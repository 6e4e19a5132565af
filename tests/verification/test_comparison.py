"""Every part of the dynamics, state by state, against Brian2: an independent simulator with its own equations and events.

Brian2 works through all cases in one process. Differences are allowed to be 1e-12 times the largest state.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analogdp.verification import presentation
from analogdp.verification.comparison import compare, prepare
from analogdp.verification.engine import run_jobs
from analogdp.verification.job import Outcome
from tests.verification.scenarios import small

STEPS = 40

EULER = {"integrator": "euler", "dt": "0.1 us"}
DP = {"model": "dp", "alpha": 0.3, "beta": 0.4, "activation": "tanh"}
TRANSPOSED = {"model": "dp_transposed", "alpha": 0.2, "beta": 0.5, "activation": "relu"}
MISMATCH = {
    "tau": {"std": 0.1, "compartments": 0.05},
    "alpha": 0.05,
    "gain": {"std": 0.05, "compartments": 0.02},
    "offset": {"std": 0.02, "compartments": 0.01},
}
EVENTS = {"bottom_up": 0.03, "top_down": [0.01, 0.02]}
DELAYS = {"bottom_up": ["0.6 us", "0.2 us"], "top_down": "0.4 us"}

CASES = {
    "dual propagation": {"neuron": DP, "dynamics": EULER},
    "transposed": {"neuron": TRANSPOSED, "dynamics": EULER},
    "two layers": {"layers": (6, 5, 3), "neuron": DP, "dynamics": EULER},
    "exponential euler": {"neuron": DP},
    "linearised outputs": {"neuron": DP | {"output": "linearised", "activation": "leaky_relu"}},
    "cross-entropy": {"neuron": TRANSPOSED | {"activation": "logistic"}, "network": {"loss": "cross_entropy"}},
    "cross-entropy, linearised": {
        "neuron": DP | {"output": "linearised", "activation": "hard_sigmoid"},
        "network": {"loss": "cross_entropy"},
    },
    "mismatch, dual propagation": {"neuron": DP, "mismatch": MISMATCH, "dynamics": EULER},
    "mismatch, transposed": {"neuron": TRANSPOSED, "mismatch": MISMATCH},
    "membrane noise": {"neuron": DP, "noise": {"membrane": 0.1, "common": 0.05}, "dynamics": EULER},
    "membrane noise, exact": {"neuron": DP, "noise": {"membrane": 0.1, "common": 0.05}, "mismatch": MISMATCH},
    "coloured noise": {"neuron": DP, "noise": {"coloured": {"std": 0.05}}},
    "nudging and asymmetry noise": {
        "neuron": DP,
        "noise": {"nudging": 0.2, "asymmetry": 0.1},
        "mismatch": MISMATCH,
        "dynamics": EULER,
    },
    "asymmetry noise, transposed": {"neuron": TRANSPOSED, "noise": {"asymmetry": 0.1}},
    "random clocks": {"neuron": DP, "dynamics": {"clock": "poisson"}},
    "random clocks, relaxing": {
        "neuron": TRANSPOSED,
        "dynamics": {"clock": "poisson", "share": 0.5},
        "noise": {"membrane": 0.1},
    },
    "random clocks of layers": {"neuron": DP, "dynamics": {"clock": "poisson", "scope": "layer"}},
    "delays": {"neuron": TRANSPOSED, "dynamics": {"axons": {"delay": DELAYS}}},
    "events": {"neuron": DP, "dynamics": {"axons": {"threshold": EVENTS}}, "noise": {"membrane": 0.02}},
    "delayed events": {"neuron": TRANSPOSED, "dynamics": {"axons": {"threshold": EVENTS, "delay": DELAYS}}},
    "events up only, of random clocks": {
        "neuron": TRANSPOSED,
        "dynamics": {"clock": "poisson", "axons": {"threshold": {"bottom_up": 0.03}, "delay": DELAYS}},
    },
    "feedback of its own": {"neuron": TRANSPOSED, "feedback": "random"},
    "crossbar": {"neuron": TRANSPOSED, "synapse": {"model": "crossbar", "device": "ecram_mo"}},
    "crossbar with wires": {
        "neuron": TRANSPOSED,
        "synapse": {"model": "crossbar", "device": "ecram_mo", "pair": "balanced", "tile": "4x3", "wires": {}},
    },
}
EVENT_CASES = [name for name in CASES if "events" in name]


def with_layers(job, **changes):
    """The job with other plans of its layers, each made by a function."""
    layers = tuple(
        replace(layer, **{name: change(getattr(layer, name)) for name, change in changes.items()})
        for layer in job.plan.layers
    )
    return replace(job, plan=replace(job.plan, layers=layers))


def with_numbers(job, name, change):
    """The job with other numbers of some name in all layers."""
    return replace(
        job, numbers={key: change(each) if key.endswith(name) else each for key, each in job.numbers.items()}
    )


SABOTAGE = {
    "another alpha": ("transposed", lambda job: with_layers(job, shared=lambda old: old | {"alpha": 0.2 + 1e-9})),
    "another beta": ("dual propagation", lambda job: replace(job, plan=replace(job.plan, nudging=0.4 + 1e-9))),
    "other weights": ("dual propagation", lambda job: with_numbers(job, "weights", lambda old: old + 1e-9)),
    "the transposed weights' feedback": (
        "feedback of its own",
        lambda job: replace(
            job, numbers=job.numbers | {f"layer{k}.feedback": job.numbers[f"layer{k}.weights"].T for k in (1, 2)}
        ),
    ),
    "no biases": ("dual propagation", lambda job: with_numbers(job, "bias", np.zeros_like)),
    "noise that is a step late": (
        "membrane noise",
        lambda job: with_numbers(job, "_noise", lambda old: np.roll(old, 1, 0)),
    ),
    "other ticks": ("random clocks", lambda job: with_numbers(job, "dice", lambda old: np.roll(old, 1, 1))),
    "delays of a step more": (
        "delays",
        lambda job: with_layers(job, up=lambda axon: axon and replace(axon, delay=axon.delay + 1)),
    ),
    "events of another size": (
        "events",
        lambda job: with_layers(job, up=lambda axon: axon and replace(axon, threshold=0.029)),
    ),
}


def with_biases(scenario, chips):
    """A network as built, but with resting drives, which otherwise only training makes."""
    network = build(scenario, chips)
    generator = torch.Generator().manual_seed(3)
    for layer in network.layers:
        layer.bias.copy_(0.1 * torch.randn(1, 1, layer.units, generator=generator, dtype=torch.float64))
    return network


build = presentation.build


@pytest.fixture(scope="module")
def cases():
    """This package's side of all cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presentation, "build", with_biases)
        return {name: prepare(small(**sections), samples=2, steps=STEPS) for name, sections in CASES.items()}


@pytest.fixture(scope="module")
def verifications(cases):
    """What became of all cases, those that were tampered with included."""
    tampered = {name: replace(cases[case], job=change(cases[case].job)) for name, (case, change) in SABOTAGE.items()}
    every = cases | tampered
    outcomes = run_jobs([case.job for case in every.values()])
    return {name: compare(case, outcome) for (name, case), outcome in zip(every.items(), outcomes, strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_brian2_goes_through_the_same_states_to_1e_12(verifications, name):
    found = verifications[name]
    assert found.passed
    assert found.largest <= 1e-12


@pytest.mark.parametrize("name", CASES)
def test_there_is_something_to_compare(cases, name):
    trajectory = cases[name].trajectory
    for layer in cases[name].presentation.layout.views(trajectory.states):
        assert (layer[:, 0] - layer[:, 1]).abs().max() > 1e-3, "compartments are apart, so feedback is compared too"
        assert (layer[-1, :, :, 0] - layer[-1, :, :, 1]).abs().max() > 1e-3, "samples differ"


@pytest.mark.parametrize("name", EVENT_CASES)
def test_both_engines_send_the_same_number_of_events(verifications, name):
    ours, theirs = verifications[name].events
    assert ours == theirs
    assert ours[0] > 50
    assert (ours[1] > 50) == ("up only" not in name)


def test_without_thresholds_no_events_are_reported(verifications):
    assert verifications["delays"].events is None


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_difference_between_the_two_sides_is_found(verifications, name):
    found = verifications[name]
    assert not found.passed
    assert found.largest > found.differences[0].allowed


def test_the_report_names_the_first_layer_that_a_wrong_weight_reaches(verifications):
    assert not verifications["other weights"].differences[0].passed


def test_an_integrator_that_brian2_lacks_is_checked_as_euler_and_said_so():
    case = prepare(small(dynamics={"integrator": "heun"}), steps=2)
    assert case.job.plan.motion == "euler"
    assert compare(case, own_outcome(case)).method.endswith("the scenario's heun was not checked")


def own_outcome(case, change=lambda states: states):
    """An engine that agrees, but for a change."""
    layers = case.presentation.layout.views(case.trajectory.states)
    states = tuple(
        {name: change(own[:, place].flatten(1).numpy().copy()) for place, name in enumerate(("plus", "minus"))}
        for own in layers
    )
    return Outcome(states, case.trajectory.sent.numpy(), ("",) * len(layers), "itself")


def test_states_that_are_not_numbers_fail_and_are_null_in_plain_data(cases):
    def spoil(states):
        states[7] = np.nan
        return states

    case = cases["transposed"]
    found = compare(case, own_outcome(case, spoil))
    assert not found.passed
    assert found.differences[0].step == 8
    assert found.to_dict()["largest"] is None
    assert found.to_dict()["differences"][0]["largest"] is None


def test_other_counts_of_events_fail_although_the_states_agree(cases):
    case = cases["events"]
    outcome = own_outcome(case)
    assert compare(case, outcome).passed
    assert not compare(case, replace(outcome, sent=outcome.sent + 1)).passed
