"""Faults: how many cells have which, and what is refused."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from analogdp.devices.faults import HEALTHY, Faults
from analogdp.streams import Stream

CELLS = (1, 100_000)


def test_every_fault_is_as_frequent_as_its_probability() -> None:
    faults = Faults(stuck_on=0.02, stuck_off=0.05, unformed=0.01, unformed_conductance=1e-9)
    stuck = faults.draw(CELLS, 1e-6, 20e-6, Stream(3, "faults", dtype=torch.float64))
    for conductance, share in ((20e-6, 0.02), (1e-6, 0.05), (1e-9, 0.01), (HEALTHY, 0.92)):
        found = int((stuck == conductance).sum())
        assert stats.binomtest(found, stuck.numel(), share).pvalue > 0.01


def test_faulty_cells_have_the_conductance_that_is_given() -> None:
    faults = Faults(stuck_on=0.5, stuck_off=0.5, on_conductance=1e-4, off_conductance=2e-7)
    stuck = faults.draw(CELLS, 1e-6, 20e-6, Stream(3, "faults", dtype=torch.float64))
    assert set(stuck.unique().tolist()) == {1e-4, 2e-7}


def test_a_chips_faults_do_not_depend_on_its_neighbours() -> None:
    faults = Faults(stuck_on=0.3)
    together = faults.draw(CELLS, 1e-6, 20e-6, Stream(3, "faults", chips=(0, 1, 2)))
    assert torch.equal(together[1:2], faults.draw(CELLS, 1e-6, 20e-6, Stream(3, "faults", chips=(1,))))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stuck_on": 1.1}, "1.1 is out of range; allowed: 0 to 1"),
        ({"stuck_on": "60 %", "stuck_off": "50 %"}, "0.5 and 0.6 of other faults are more than all cells"),
        ({"stuck_on": 0.5, "stuck_off": 0.4, "unformed": 0.2}, "0.2 and 0.9 of other faults are more than all cells"),
        ({"on_conductance": 20}, "20 is out of range; allowed: 0 to 1"),
        ({"on_conductance": "20 V"}, "is not a conductance"),
    ],
)
def test_wrong_settings_are_told_what_is_wrong(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Faults.model_validate(settings)
    assert said in str(caught.value)


def test_probabilities_may_add_up_to_all_cells() -> None:
    assert Faults(stuck_on=0.7, stuck_off=0.2, unformed=0.1).unformed == 0.1
