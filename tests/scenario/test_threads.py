"""With how many CPU threads a scenario is computed."""

import pytest
import torch

from analogdp.scenario import Scenario
from analogdp.scenario.threads import computing_with, threads_for

LARGE = {"data": {"name": "mnist"}, "network": {"layers": [784, 512, 512, 10]}}


@pytest.mark.parametrize(
    ("settings", "threads"),
    [({}, 1), ({"chips": 1000}, 3), (LARGE, 3), ({**LARGE, "run": {"threads": 2}}, 2), ({"run": {"threads": 2}}, 2)],
)
def test_small_networks_take_one_thread_and_others_as_many_as_there_are_or_asked_for(settings, threads):
    with computing_with(3):
        assert threads_for(Scenario(**settings)) == threads


def test_the_number_of_threads_is_as_before_even_after_an_error():
    before, seen = torch.get_num_threads(), []

    def fail():
        with computing_with(before + 1):
            seen.append(torch.get_num_threads())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (seen, torch.get_num_threads()) == ([before + 1], before)
