import warnings

import pytest

from analogdp.dynamics.clocks import in_whole_steps, tidy, whole_steps
from analogdp.errors import AnalogdpWarning


@pytest.mark.parametrize(("duration", "steps"), [(1e-6, 5), (0.7e-6, 4), (0.69e-6, 3), (1e-9, 1)])
def test_a_duration_is_the_nearest_number_of_steps_and_at_least_one(duration, steps):
    assert whole_steps(duration, 0.2e-6) == steps


def test_a_product_of_decimals_reads_like_one():
    assert 3 * 0.1 != 0.3
    assert tidy(3 * 0.1) == 0.3


def test_only_a_duration_that_has_to_be_changed_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert in_whole_steps(0.6e-6, 0.2e-6, "x") == 0.6e-6
    with pytest.warns(
        AnalogdpWarning, match="here: 5e-07 s is no multiple of the time step of 2e-07 s; taken as 6e-07 s"
    ):
        assert in_whole_steps(0.5e-6, 0.2e-6, "here") == 0.6e-6
