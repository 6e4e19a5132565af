"""Weights that do not go with their cells, with numbers worked out by hand."""

import warnings

import pytest
import torch

from analogdp.errors import AnalogdpWarning
from analogdp.nn.misfits import layer_errors, warn_of_misfits
from analogdp.synapses.mapping import Mapping

RANGE = Mapping("balanced", 1e5, 5e-6, 1e-7, 1e-5, -1.0, 2.0)


def of(wanted, held, mapping=RANGE):
    return layer_errors("3.conv", torch.tensor([wanted]), torch.tensor([[held]]), mapping)


def test_errors_are_those_within_the_range_and_what_is_beyond_is_clipped():
    found = of([-1.5, 0.5, 2.0, 3.0], [-1.0, 0.7, 2.0, 1.9])
    assert found.clipped == 0.5
    assert (found.wanted, found.range) == ((-1.5, 3.0), (-1.0, 2.0))
    # Half of the range is 1.5, of which -1.5 takes 1.5 times as much as there is, and 3 as well.
    assert found.weight_range == pytest.approx(2.25)
    assert found.rms == pytest.approx(((0.2**2 + 0.1**2) / 4) ** 0.5)
    assert found.rms_wanted == pytest.approx(((1 + 0.25 + 4 + 4) / 4) ** 0.5)


def test_numbers_have_no_range():
    found = of([-1.5, 3.0], [-1.5, 3.0], None)
    assert (found.range, found.weight_range, found.clipped, found.rms) == (None, None, 0.0, 0.0)


def test_clipped_weights_are_named_with_a_range_that_holds_all():
    with pytest.warns(AnalogdpWarning, match=r"layer 3\.conv: 50\.00% .*-1 to 2; .*weight_range=2\.3 holds all"):
        warn_of_misfits([of([-1.5, 0.5, 2.0, 3.0], [-1.0, 0.5, 2.0, 2.0])], "weight_range={}", 1)


def test_weights_that_are_lost_among_errors_are_named():
    with pytest.warns(
        AnalogdpWarning, match=r"layer 3\.conv: the rms error .* 0\.3, is above half of the rms weight, 0\.4"
    ):
        warn_of_misfits([of([0.4, -0.4], [0.7, -0.1])], "weight_range={}", 1)


def test_what_fits_is_not_spoken_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_misfits([of([0.4, -0.4], [0.5, -0.5]), of([0.4, -0.4], [0.9, -0.9], None)], "weight_range={}", 1)
