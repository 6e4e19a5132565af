import math
import re

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analogdp.dynamics.adaptive import DormandPrince
from analogdp.errors import RunError
from analogdp.network import Layout

TAU = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
START = torch.tensor([0.3, -0.8, 1.2], dtype=torch.float64)
COUPLING = torch.tensor([[0.0, 0.8, -0.3], [0.5, 0.2, 0.4], [-0.6, 0.1, 0.3]], dtype=torch.float64)
LAYOUT = Layout(compartments=2, chips=3, batch=4, units=(5, 7))


class Counted:
    """A field that overwrites its last result, as that of a network does, and counts its calls."""

    def __init__(self, target):
        self.target, self.calls, self.buffer = target, 0, None

    def __call__(self, state, time):
        self.calls += 1
        values = self.target(state, time)
        self.buffer = torch.empty_like(values) if self.buffer is None else self.buffer
        return self.buffer.copy_(values)


def coupled(state, time):
    """A smooth, coupled, non-autonomous target."""
    return torch.tanh(COUPLING @ state) + math.sin(3 * time)


def advance(method, state, field, time=0.0):
    method.step(state, field(state, time), field, time, None)
    return state


def by_scipy(target, start, tau, end, method="DOP853", rtol=1e-13, atol=1e-14):
    def slope(time, state):
        return ((target(torch.as_tensor(state), time) - torch.as_tensor(state)) / tau).numpy()

    return solve_ivp(slope, (0, end), start.numpy(), method=method, rtol=rtol, atol=atol)


@pytest.fixture(scope="module")
def reference():
    return torch.as_tensor(by_scipy(coupled, START, TAU, 2.0).y[:, -1])


def test_halving_the_step_divides_the_error_by_two_to_the_order(reference):
    """With an error control that accepts anything, each dt is a single inner step."""
    errors = []
    for steps in (40, 80, 160):
        dt, state, field = 2.0 / steps, START.clone(), Counted(coupled)
        method = DormandPrince(START, dt, TAU, rtol=1e9)
        for step in range(steps):
            advance(method, state, field, step * dt)
        errors.append((state - reference).norm().item())
        assert field.calls == steps * (1 + method.evaluations)
    assert -np.diff(np.log2(errors))[-1] == pytest.approx(method.order, abs=0.15)


def test_a_hundred_times_smaller_tolerance_lowers_the_error_about_as_much(reference):
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        state = advance(DormandPrince(START, 2.0, TAU, rtol, rtol), START.clone(), Counted(coupled))
        errors.append((state - reference).abs().max().item())
        assert errors[-1] < 10 * rtol
    ratios = np.divide(errors[:-1], errors[1:])
    assert (ratios > 20).all()
    assert (ratios < 500).all()


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_it_errs_less_than_scipys_rk45_and_takes_no_more_evaluations_for_the_same_error(rtol, reference):
    """The same pair of formulas. Of a method of fifth order, evaluations x error^(1/5) tells the work; to 10%.

    PI control settles where 0.9 error^(-0.06) = 1, at errors of 0.17, and so takes shorter steps at the same tolerance.
    """
    theirs = by_scipy(coupled, START, TAU, 2.0, "RK45", rtol, rtol)
    their_error = np.abs(theirs.y[:, -1] - reference.numpy()).max()
    field = Counted(coupled)
    state = advance(DormandPrince(START, 2.0, TAU, rtol, rtol), START.clone(), field)
    error = (state - reference).abs().max().item()
    assert error < their_error
    assert field.calls * error**0.2 < 1.1 * theirs.nfev * their_error**0.2


def relaxing(weights):
    """A target for each chip's samples, made of operations that round alike wherever in a tensor a number lies."""

    def target(state, time):
        layout = Layout(2, weights.shape[0], weights.shape[1], LAYOUT.units)
        out = torch.empty_like(state)
        for layer, into in zip(layout.views(state), layout.views(out), strict=True):
            drive = weights.unsqueeze(-1) * layer.roll(1, dims=-1).flip(0)
            into.copy_(1 / (1 + drive * drive))
        return out

    return target


WEIGHTS = torch.linspace(0.3, 12.0, 12, dtype=torch.float64).view(3, 4)


def settle_in_groups(layout, start, weights, dt, steps):
    state, field = start.clone(), Counted(relaxing(weights))
    method = DormandPrince(state, dt, 1.0, rtol=1e-6, atol=1e-8, layout=layout)
    for step in range(steps):
        advance(method, state, field, step * dt)
    return state, method


@pytest.mark.parametrize("dt", [0.1, 1.0, 10.0])
def test_a_sample_ends_with_the_same_bits_alone_and_among_others_that_need_other_steps(dt):
    start = torch.linspace(-1.0, 2.0, LAYOUT.size, dtype=torch.float64)
    together, method = settle_in_groups(LAYOUT, start, WEIGHTS, dt, steps=3)
    assert method.proposal.unique().numel() > 6
    alone = Layout(2, 1, 1, LAYOUT.units)
    for chip in range(3):
        for sample in range(4):
            pick = [view[:, chip : chip + 1, sample : sample + 1] for view in LAYOUT.views(start)]
            ended, _ = settle_in_groups(alone, alone.expand(pick), WEIGHTS[chip, sample].view(1, 1), dt, steps=3)
            for own, view in zip(alone.views(ended), LAYOUT.views(together), strict=True):
                assert torch.equal(own[:, 0, 0], view[:, chip, sample])


def test_every_sample_in_a_group_of_its_own_is_as_precise_as_asked():
    """Against scipy's DOP853, to ten times rtol 1e-6."""
    start = torch.linspace(-1.0, 2.0, LAYOUT.size, dtype=torch.float64)
    ended, _ = settle_in_groups(LAYOUT, start, WEIGHTS, 1.0, steps=3)
    expected = torch.as_tensor(by_scipy(relaxing(WEIGHTS), start, 1.0, 3.0).y[:, -1])
    torch.testing.assert_close(ended, expected, rtol=0, atol=1e-5)


def stiff(state, time):
    return 0.5 * state


def test_a_first_inner_step_that_is_far_too_long_is_rejected_until_it_fits():
    """dt is 40 tau: the error of the whole is judged, and the result still within the tolerance of the exact decay."""
    field, state = Counted(stiff), torch.ones(1, dtype=torch.float64)
    method = DormandPrince(state, 40.0, 1.0, rtol=1e-6, atol=1e-9)
    advance(method, state, field)
    assert field.calls == 1 + 6 * method.attempts
    assert state.item() == pytest.approx(math.exp(-20.0), abs=1e-7)


def test_the_length_of_inner_steps_is_kept_until_a_new_state_is_presented():
    """A problem that repeats itself every dt takes fewer attempts when the length that suits it is known."""

    def attempts_of_one_more():
        before = method.attempts
        advance(method, START.clone(), Counted(coupled))
        return method.attempts - before

    method = DormandPrince(START, 2.0, TAU, rtol=1e-9, atol=1e-9)
    first, later = attempts_of_one_more(), attempts_of_one_more()
    assert later < first
    method.start()
    assert attempts_of_one_more() == first


def test_a_step_without_error_makes_the_next_proposal_ten_times_longer_and_no_more():
    state = torch.zeros(1, dtype=torch.float64)
    method = DormandPrince(state, 0.01, 1.0)
    advance(method, state, Counted(lambda state, time: torch.zeros_like(state)))
    assert method.proposal.item() == 10.0


def test_a_last_inner_step_cut_short_by_the_end_of_dt_leaves_the_proposal_as_it_was():
    """Without errors: 0.7 dt proposes 7 dt, and the 0.3 dt that were left say nothing."""
    state = torch.zeros(1, dtype=torch.float64)
    method = DormandPrince(state, 0.01, 1.0)
    method.proposal.fill_(0.7)
    advance(method, state, Counted(lambda state, time: torch.zeros_like(state)))
    assert method.attempts == 2
    assert method.proposal.item() == pytest.approx(7.0)


def test_the_next_length_follows_the_present_and_the_previous_error():
    """factor = 0.9 error^(-0.14) previous^(0.08), to the grain of 2^-10, of an inner step that fills dt."""
    state = torch.ones(1, dtype=torch.float64)
    method = DormandPrince(state, 0.5, 1.0, rtol=1e-4, atol=1e-4)
    method.previous_error.fill_(0.3)
    advance(method, state, Counted(lambda state, time: torch.zeros_like(state)))
    error = method.previous_error.item()
    assert method.attempts == 1
    assert 1e-4 < error < 1
    assert method.proposal.item() == pytest.approx(0.9 * error**-0.14 * 0.3**0.08, abs=2**-11)


def test_copied_tensors_go_on_with_the_same_bits():
    start = torch.linspace(-1.0, 2.0, LAYOUT.size, dtype=torch.float64)
    state, method = settle_in_groups(LAYOUT, start, WEIGHTS, 1.0, steps=2)
    other = DormandPrince(state, 1.0, 1.0, rtol=1e-6, atol=1e-8, layout=LAYOUT)
    for name, values in method.tensors().items():
        other.tensors()[name].copy_(values)
    resumed = advance(other, state.clone(), Counted(relaxing(WEIGHTS)))
    assert torch.equal(resumed, advance(method, state, Counted(relaxing(WEIGHTS))))


def test_single_precision_reaches_the_default_tolerance(reference):
    def target(state, time):
        return torch.tanh(COUPLING.float() @ state) + math.sin(3 * time)

    state = advance(DormandPrince(START.float(), 2.0, TAU.float()), START.float(), Counted(target))
    assert state.dtype == torch.float32
    torch.testing.assert_close(state.double(), reference, rtol=0, atol=1e-4)


def test_a_sample_that_no_step_is_short_enough_for_is_named():
    def broken(state, time):
        out = torch.zeros_like(state)
        for view in LAYOUT.views(out):
            view[:, 2, 1] = torch.nan
        return out

    state = torch.ones(LAYOUT.size, dtype=torch.float64)
    method = DormandPrince(state, 1e-6, 1e-6, layout=LAYOUT)
    with pytest.raises(RunError, match=re.escape("sample 1 on chip 2 beyond 3e-06 s: an inner step below 1e-16 s")):
        advance(method, state, Counted(broken), 3e-6)


def test_noise_and_tolerances_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="takes no noise"):
        DormandPrince(START, 0.1, TAU).step(START.clone(), START.clone(), coupled, 0.0, [START])
    with pytest.raises(ValueError, match="must be positive"):
        DormandPrince(START, 0.1, TAU, rtol=0.0)
