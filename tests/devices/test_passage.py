"""Motion by travel times, against flows whose motion has a closed form."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from analogdp.devices.passage import Passage
from analogdp.errors import RunError

STATES = torch.tensor([0.05, 0.4, 0.7], dtype=torch.float64)
FLOWS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "steady": (lambda x: torch.full_like(x, 0.1), lambda x, t: (x + 0.1 * t).clamp(max=1.0)),
    "falling": (lambda x: torch.full_like(x, -0.1), lambda x, t: (x - 0.1 * t).clamp(min=0.0)),
    "to rest": (lambda x: 1 - x, lambda x, t: 1 - (1 - x) * torch.exp(-t)),
    "from rest": (lambda x: x, lambda x, t: (x * torch.exp(t)).clamp(max=1.0)),
    "logistic": (lambda x: -x * (1 - x), lambda x, t: x / (x + (1 - x) * torch.exp(t))),
    "steep": (lambda x: torch.exp(-20 * x), lambda x, t: (torch.log(torch.exp(20 * x) + 20 * t) / 20).clamp(max=1.0)),
}


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.3, 5.0, 40.0])
@pytest.mark.parametrize("name", FLOWS)
def test_a_state_is_where_the_closed_form_says(name: str, seconds: float) -> None:
    """Within 4e-6 of the range: that of a flow that falls by 20 e-folds over it; 1e-7 for the others."""
    flow, exact = FLOWS[name]
    time = torch.full_like(STATES, seconds)
    error = (Passage(flow, 0.0, 1.0).move(STATES, time) - exact(STATES, time)).abs().max()
    assert error < (4e-6 if name == "steep" else 1e-7)


@pytest.mark.parametrize("name", FLOWS)
def test_two_passages_of_half_a_time_are_one_of_the_whole(name: str) -> None:
    passage, time = Passage(FLOWS[name][0], 0.0, 1.0), torch.full_like(STATES, 0.7)
    halves = passage.move(passage.move(STATES, time / 2), time / 2)
    assert (halves - passage.move(STATES, time)).abs().max() < 1e-13


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_a_state_at_a_point_of_rest_stays_there(end: float) -> None:
    passage = Passage(FLOWS["logistic"][0], 0.0, 1.0)
    assert passage.move(torch.tensor([end]), torch.tensor([1e9])).item() == end


def test_a_state_where_nothing_flows_stays_there() -> None:
    passage = Passage(lambda x: torch.where(x < 0.5, 1.0, 0.0), 0.0, 1.0)
    state = torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)
    moved = passage.move(state, torch.full_like(state, 10.0))
    assert torch.equal(moved[1:], state[1:])
    assert moved[0].item() == pytest.approx(0.5, abs=1 / 4096)


def test_no_flow_moves_nothing() -> None:
    passage = Passage(torch.zeros_like, 0.0, 1.0)
    assert torch.equal(passage.move(STATES, torch.ones_like(STATES)), STATES)
    assert passage.duration(0.0, 1.0) == math.inf


def test_single_precision_states_keep_their_type() -> None:
    passage = Passage(FLOWS["to rest"][0], 0.0, 1.0)
    moved = passage.move(STATES.float(), torch.full((3,), 0.3))
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved.double(), FLOWS["to rest"][1](STATES, torch.tensor(0.3)), rtol=0, atol=2e-7)


def test_a_duration_is_the_time_between_two_states() -> None:
    assert Passage(FLOWS["to rest"][0], 0.0, 1.0).duration(0.25, 0.75) == pytest.approx(math.log(3), rel=1e-6)


@pytest.mark.parametrize("flow", [lambda x: x - 0.5, lambda x: x / 0])
def test_a_flow_of_both_signs_or_without_end_is_refused(flow: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(RunError, match="not finite and of one sign"):
        Passage(flow, 0.0, 1.0)
