import pytest

from analogdp.scenario.schema import MismatchSettings, Scenario, Spread


def test_the_smallest_scenario_is_nothing_at_all():
    scenario = Scenario.model_validate({})
    assert scenario.network.layers == (64, 128, 64, 10)
    assert (scenario.neuron.model, scenario.synapse.model, scenario.data.name) == ("dp_transposed", "ideal", "digits")


def test_a_bare_spread_is_a_standard_deviation_from_neuron_to_neuron():
    mismatch = MismatchSettings.model_validate({"tau": "5 %", "gain": {"compartments": 0.001}})
    assert mismatch.tau == Spread(std=0.05)
    assert bool(mismatch.tau)
    assert bool(mismatch.gain)
    assert not mismatch.offset


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"mismatch": {"offset": {"std": 0.1, "distribution": "lognormal"}}},
            "offset.distribution: a lognormal spread",
        ),
        (
            {"mismatch": {"alpha": {"compartments": 0.1}}},
            "alpha.compartments: push, pull and mixing belong to the neuron",
        ),
        ({"network": {"layers": [60, 10]}}, "the first layer has 60 units, but digits has 64 inputs"),
        ({"network": {"layers": [64, 8]}}, "the last layer has 8 units, but digits has 10 outputs"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(sections, message):
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate(sections)
