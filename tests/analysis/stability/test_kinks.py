import numpy as np
import pytest

from analogdp.analysis.stability import kinks
from analogdp.analysis.stability.kinks import settled_fractions
from analogdp.errors import InputError


@pytest.fixture
def settled(make_scenario):
    """What becomes of some random networks of one kind: ``settled(networks, model, alpha)``."""

    def count(networks, model, alpha, beta=1.0, gain=2.5, activation="relu", sweeps=100):
        neuron = {"model": model, "alpha": alpha, "beta": beta, "activation": activation}
        if model == "dp":
            neuron["output"] = "linearised"
        dynamics = {"clock": "sweep", "sweeps": sweeps}
        scenario = make_scenario((16, 16, 16, 4), neuron=neuron, network={"gain": gain}, dynamics=dynamics)
        (found,) = settled_fractions([scenario], networks)
        return found

    return count


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_transposed_nudging_at_alpha_0_and_1_settles_in_all_networks_of_large_gain(settled, alpha):
    found = settled(100, "dp_transposed", alpha)
    assert (found.settled, found.loops_below_one, found.predicted) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_symmetric_nudging_settles_in_few_networks_of_large_gain_whatever_linear_theory_says(settled, model):
    """At most a tenth, with 95 % confidence, where theory has all of them stable."""
    found = settled(100, model, 0.5)
    assert found.predicted == found.loops_below_one == 1.0
    assert found.high < 0.1
    assert found.diverged > 0.5


def test_both_models_are_the_same_at_one_half(settled):
    one, other = (settled(60, model, 0.5, beta=0.3) for model in ("dp", "dp_transposed"))
    assert 0 < one.settled < 1
    assert (one.settled, one.diverged) == (other.settled, other.diverged)


def test_without_kinks_none_diverges_that_is_predicted_to_settle(settled):
    """Linear neurons: those within a percent of the boundary take longer than they are watched, and count as neither."""
    found = settled(200, "dp", 0.25, beta=0.5, gain=1.0, activation="identity", sweeps=1000)
    assert 0.1 < found.predicted < 0.9
    assert 1 - found.diverged == pytest.approx(found.predicted, abs=0.005)
    assert found.settled == pytest.approx(found.predicted, abs=0.05)
    assert found.loops_below_one == pytest.approx(found.predicted, abs=0.005)


def test_the_interval_is_wilsons(settled):
    """(p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n), Wilson 1927."""
    found = settled(60, "dp", 0.5, beta=0.3)
    share, z2 = found.settled, 1.959963984540054**2 / 60
    half = np.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    np.testing.assert_allclose((found.low, found.high), (share + z2 / 2 + np.array([-half, half])) / (1 + z2))


def test_chunks_do_not_matter(settled, monkeypatch):
    together = settled(30, "dp", 0.5, beta=0.3)
    monkeypatch.setattr(kinks, "CHUNK", 7)
    assert settled(30, "dp", 0.5, beta=0.3) == together


def test_no_networks_and_neurons_that_are_no_dyads_are_refused(settled, make_scenario):
    with pytest.raises(InputError, match="networks: 0 are too few"):
        settled(0, "dp", 0.5)
    other = make_scenario(neuron={"model": "predictive_coding"}, dynamics={"clock": "sweep"})
    with pytest.raises(InputError, match="no dyads"):
        list(settled_fractions([other], 2))
