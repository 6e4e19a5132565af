import jsonschema
import pytest
from pydantic import TypeAdapter
from scipy import stats

from analogdp.scenario.mismatch import WIDEST, MismatchSettings, Spread, TimeSpread
from analogdp.scenario.schema import Scenario


def scenario(**mismatch):
    return Scenario.model_validate({"neuron": {"model": "dp_transposed", "tau": "1 us"}, "mismatch": mismatch})


def test_a_bare_spread_is_a_standard_deviation_from_neuron_to_neuron():
    mismatch = MismatchSettings.model_validate({"tau": "5 %", "gain": {"compartments": 0.001}})
    assert mismatch.tau == Spread(std=0.05)
    assert bool(mismatch.tau)
    assert bool(mismatch.gain)
    assert not mismatch.offset


@pytest.mark.parametrize(
    ("written", "ratios"),
    [
        ("50 ns", Spread(std=0.05)),
        ("0.3 us", Spread(std=0.3)),
        ("5 %", Spread(std=0.05)),
        (0.05, Spread(std=0.05)),
        ("0.05", Spread(std=0.05)),
        ({"compartments": "20 ns"}, Spread(compartments=0.02)),
        (
            {"std": "50 ns", "compartments": "10 ns", "distribution": "lognormal"},
            Spread(std=0.05, compartments=0.01, distribution="lognormal"),
        ),
        (TimeSpread(std=5e-8), Spread(std=0.05)),
    ],
)
def test_a_spread_of_tau_in_time_is_resolved_to_its_ratio_to_tau(written, ratios):
    tau = scenario(tau=written).mismatch.tau
    assert type(tau) is Spread
    assert tau.std == pytest.approx(ratios.std, rel=1e-14)
    assert tau.compartments == pytest.approx(ratios.compartments, rel=1e-14)
    assert tau.distribution == ratios.distribution


def test_a_resolved_scenario_loads_back_to_the_same_scenario():
    resolved = scenario(tau="70 ns", alpha="2 %", push={"std": 0.03, "distribution": "uniform"}, mixing=0)
    written = resolved.model_dump(mode="json")
    assert written["mismatch"]["tau"] == {"std": 7e-8 / 1e-6, "compartments": 0, "distribution": "normal"}
    assert written["mismatch"]["pull"] is None
    assert Scenario.model_validate(written) == resolved


def test_push_pull_and_mixing_follow_alpha_unless_they_say_otherwise():
    mismatch = scenario(alpha="2 %", push="3 %", mixing=0).mismatch
    assert mismatch.of("push") == Spread(std=0.03)
    assert mismatch.of("pull") == Spread(std=0.02)
    assert mismatch.of("mixing") == Spread()


@pytest.mark.parametrize(
    ("mismatch", "words"),
    [
        ({"tau": {"std": "50 ns", "compartments": 0.01}}, "'50 ns' is not a ratio"),
        ({"tau": {"std": "5 %", "compartments": "1 ns"}}, "'1 ns' is not a ratio"),
        ({"tau": "5 mV"}, "'5 mV' is not a ratio"),
        ({"tau": "-5 ns"}, "'-5 ns' is out of range; allowed: at least 0"),
        ({"tau": True}, "expected a number, not true"),
        ({"gain": "50 ns"}, "'50 ns' is not a ratio"),
        ({"push": "50 ns"}, "'50 ns' is not a ratio"),
        ({"push": 2}, "2 is out of range; allowed: 0 to 1"),
        ({"pull": [0.1]}, "expected a section of names and values"),
    ],
)
def test_what_is_no_spread_of_a_parameter_is_refused_by_name(mismatch, words):
    with pytest.raises(ValueError, match=words):
        scenario(**mismatch)


@pytest.mark.parametrize("name", ["alpha", "mixing", "offset"])
def test_what_is_bounded_or_centred_on_zero_has_no_lognormal_spread(name):
    with pytest.raises(ValueError, match=rf"mismatch.{name}.distribution: a lognormal spread"):
        scenario(**{name: {"std": 0.1, "distribution": "lognormal"}})


@pytest.mark.parametrize("name", ["alpha", "push", "pull", "mixing"])
def test_gains_of_nudging_have_no_spread_between_compartments(name):
    with pytest.raises(ValueError, match=rf"mismatch.{name}.compartments: push, pull and mixing belong to the neuron"):
        scenario(**{name: {"compartments": 0.1}})


@pytest.mark.parametrize(
    ("model", "alpha", "off"), [("dp", 0, "push"), ("dp", 1, "pull"), ("dp_transposed", 0, "pull")]
)
def test_a_gain_that_is_off_has_no_lognormal_spread(model, alpha, off):
    neuron, lognormal = {"model": model, "alpha": alpha, "beta": 0.1}, {"std": 0.1, "distribution": "lognormal"}
    with pytest.raises(ValueError, match=rf"neuron.alpha: {alpha} turns {off} off"):
        Scenario.model_validate({"neuron": neuron, "mismatch": {off: lognormal}})
    Scenario.model_validate({"neuron": {**neuron, "alpha": 0.5}, "mismatch": {off: lognormal}})


@pytest.mark.parametrize(
    ("mismatch", "words"),
    [
        (
            {"tau": 0.5},
            r"tau.std: 0.5 would make tau zero or negative in 2.3 % .* 0 to 0.33; .* lognormal, .* up to 1 ",
        ),
        ({"gain": {"compartments": 0.5}}, r"gain.compartments: 0.5 would make gain zero or negative in 2.3 %"),
        (
            {"tau": {"std": "600 ns", "distribution": "uniform"}},
            r"6e-07 s .* in 1.9 % .* 0 to 5.7735e-07 s; .* up to 1e-06 s ",
        ),
        ({"tau": {"std": "2 us", "distribution": "lognormal"}}, r"2e-06 s is more than the mean; .* 0 to 1e-06 s "),
        ({"tau": "2 s"}, r"2 s would make tau zero or negative in 50 %"),
    ],
)
def test_a_spread_that_would_make_many_factors_zero_or_negative_is_refused_with_the_way_out(mismatch, words):
    with pytest.raises(ValueError, match=words):
        scenario(**mismatch)


def test_the_widest_spreads_leave_less_than_one_factor_in_eight_hundred_without_truncation_below_zero():
    """Against scipy's distributions; and the way out that the refusal names is open."""
    width = WIDEST["uniform"] * 3**0.5
    assert stats.norm(1, WIDEST["normal"]).cdf(0) < 1 / 800
    assert stats.uniform(1 - width, 2 * width).cdf(0) < 1 / 800
    for distribution, widest in WIDEST.items():
        scenario(tau={"std": widest, "distribution": distribution})


@pytest.mark.parametrize("written", ["50 ns", 0.05, {"std": "50 ns", "compartments": "5 ns"}, {"std": 0.05}])
def test_the_json_schema_takes_both_ways_to_write_a_spread_of_tau(written):
    schema = TypeAdapter(MismatchSettings).json_schema()
    jsonschema.validate({"tau": written, "push": None}, schema)
