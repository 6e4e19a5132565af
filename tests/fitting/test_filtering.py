"""The filter against plain loops, exact likelihoods and simulations."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm, truncnorm

from analogdp.devices.steps import ConstantStep, ConstantStepSettings
from analogdp.fitting import Trace
from analogdp.fitting.families import FAMILIES
from analogdp.fitting.filtering import LawTable, Reads, clamped, course, follow, likelihood, refollow, sensitivities
from analogdp.streams import Stream
from tests.fitting.samples import HIGH, LOW, TRUTHS, card

OWN = np.array([[0.05, 0.04, 1.1, -0.9], [0.06, 0.07, 0.9, -1.2]])


def made(model):
    """The model of a truth with unit cycle noise, and weights from -1 to 1."""
    settings = type(card(model).parameters).model_validate({**TRUTHS[model], "cycle_noise": 1.0, "write_noise": 0.0})
    return type(card(model).device()).build(settings, 0.0, 2.0)


@pytest.mark.parametrize("model", FAMILIES)
def test_the_table_of_a_law_is_the_step_that_the_device_makes(model):
    device = made(model)
    quiet = type(device).build(device.parameters.model_copy(update={"cycle_noise": 0.0}), 0.0, 2.0)
    table = LawTable(device, OWN)
    columns = torch.from_numpy(OWN).T.reshape(4, 1, 2)
    names = ("step_up", "step_down", "upper", "lower")
    parameters = device.shape_parameters(dict(zip(names, (columns[0], -columns[1], *columns[2:]), strict=True)))
    for direction in (1, 0):
        for weight in (-0.7, -0.13, 0.5):
            state = quiet.sample((2,), _stream())
            state.parameters = parameters
            state.variables["stored"].fill_(weight)
            quiet.pulse(state, torch.full((1, 2), 2.0 * direction - 1, dtype=torch.float64), _stream())
            want = state.variables["stored"].numpy()[0] - weight
            got = table.move(np.full(2, weight), np.full(2, direction))
            assert got == pytest.approx(want, rel=2e-3)


def _stream():
    return Stream(1, "cells", dtype=torch.float64)


def test_a_clamped_normal_has_the_moments_of_a_censored_one():
    weight, spread = np.array([0.9, 1.05, -0.99]), np.array([0.1, 0.2, 0.05])
    mean, variance, slope = clamped(weight, spread, np.full(3, -1.0), np.full(3, 1.0))
    for place in range(3):
        sign = 1.0 if weight[place] > 0 else -1.0
        beyond = sign * weight[place]
        z = (1 - beyond) / spread[place]
        inside = truncnorm(-np.inf, z, loc=beyond, scale=spread[place])
        share = norm.cdf(z)
        first = share * inside.mean() + (1 - share)
        second = share * (inside.var() + inside.mean() ** 2) + (1 - share)
        assert sign * mean[place] == pytest.approx(first, rel=1e-9)
        assert variance[place] == pytest.approx(second - first**2, rel=1e-6)
        assert slope[place] == pytest.approx(share, rel=1e-12)


def test_a_weight_far_from_its_bounds_is_left_alone():
    mean, variance, slope = clamped(np.array([0.2]), np.array([1e-3]), np.array([-1.0]), np.array([1.0]))
    assert (mean[0], variance[0], slope[0]) == pytest.approx((0.2, 1e-6, 1.0), rel=1e-12)


def test_the_likelihood_is_that_of_all_reads_together():
    """A random walk seen with noise is one normal vector, whose density scipy knows."""
    directions = np.array([1.0, 1, 1, -1, -1, 1])
    reads = np.array([0.0, 0.06, 0.09, 0.17, 0.1, 0.08, 0.11])
    trace = Trace("a", directions, reads)
    table = LawTable(
        ConstantStep.build(ConstantStepSettings(step=0.05, cycle_noise=1.0), 0, 2), np.array([[0.05, 0.04, 5, -5]])
    )
    cycle, write = 0.4, 0.03
    steps = np.where(directions > 0, 0.05, 0.04)
    pulse = np.arange(6)
    shared = np.minimum.outer(pulse, pulse)
    walked = np.cumsum((cycle * steps) ** 2)
    # The first read is where the filter starts, with its error.
    covariance = walked[shared] + write**2 * (1 + np.eye(6))
    want = multivariate_normal(reads[0] + np.cumsum(directions * steps), covariance).logpdf(reads[1:])
    got = likelihood(table, Reads.of([trace], -1.0, 1.0), np.array([cycle]), np.array([write]))
    # A read's least noise of 1e-4 adds a hundred-thousandth to its variance.
    assert got[0] == pytest.approx(want, abs=1e-4)


def test_traces_of_different_lengths_do_not_disturb_each_other():
    short, long = (Trace("a", np.resize([1.0, -1.0], n), 0.01 * np.resize([0.0, 5.0, 1.0], n + 1)) for n in (4, 9))
    device = ConstantStep.build(ConstantStepSettings(step=0.05, cycle_noise=1.0), 0, 2)
    noise = np.array([0.3]), np.array([0.02])
    apart = [likelihood(LawTable(device, OWN[:1]), Reads.of([trace], -1, 1), *noise)[0] for trace in (short, long)]
    together = likelihood(LawTable(device, OWN[[0, 0]]), Reads.of([short, long], -1, 1), *noise)[0]
    assert together == pytest.approx(sum(apart), rel=1e-9)


@pytest.fixture(params=[[0.0, 1.0, 5.0, 2.0], [45.0, 50.0, 54.0, 56.0]], ids=["inside", "at a bound"])
def held(request):
    """A law, the reads of a device, and what the filter makes of them."""
    trace = Trace("a", np.resize([1.0, 1.0, -1.0], 20), 0.02 * np.resize(request.param, 21))
    table, reads = LawTable(made("soft_bounds"), OWN[:1]), Reads.of([trace], -1.0, 1.0)
    return table, reads, follow(table, reads, 0.3, 0.02)


def test_held_gains_give_the_filters_own_surprises(held):
    table, reads, filtered = held
    assert refollow(table, reads, filtered).standardised == pytest.approx(filtered.standardised, rel=1e-12)


@pytest.mark.parametrize("place", range(4), ids=["step up", "step down", "upper", "lower"])
def test_sensitivities_are_what_a_small_change_of_the_law_does(held, place):
    """Within the curvature of the law over a step of 1e-5."""
    table, reads, filtered = held
    changed = LawTable(made("soft_bounds"), OWN[:1] + 1e-5 * np.eye(4)[place])
    here = refollow(table, reads, filtered)
    want = refollow(changed, reads, filtered).standardised - here.standardised
    got = sensitivities(table, [changed], reads, here)[0]
    assert got == pytest.approx(want, abs=2e-3 * np.abs(want).max())


def test_the_mean_trajectory_is_the_loop_over_pulses():
    table = LawTable(made("soft_bounds"), OWN[:1])
    trace = Trace("a", np.repeat([1.0, -1.0], 30), np.full(61, -0.5))
    weight, want = -0.5, [-0.5]
    for direction in trace.directions:
        weight += 0.05 * (1 - weight / 1.1) if direction > 0 else -0.04 * (1 + weight / 0.9)
        want.append(weight)
    assert course(table, Reads.of([trace], -1.0, 1.0))[:, 0] == pytest.approx(want, abs=1e-9)


def test_weights_are_shares_of_the_range_that_is_given():
    reads = Reads.of([Trace("a", np.array([1.0]), np.array([LOW, HIGH]))], LOW, HIGH)
    assert reads.weights[:, 0] == pytest.approx([-1.0, 1.0])
