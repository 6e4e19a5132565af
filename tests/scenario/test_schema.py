import pytest

from analogdp.scenario.schema import Scenario


def test_the_smallest_scenario_is_nothing_at_all():
    scenario = Scenario.model_validate({})
    assert scenario.network.layers == (64, 128, 64, 10)
    assert (scenario.neuron.model, scenario.synapse.model, scenario.data.name) == ("dp_transposed", "ideal", "digits")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"network": {"layers": [60, 10]}}, "the first layer has 60 units, but digits has 64 inputs"),
        ({"network": {"layers": [64, 8]}}, "the last layer has 8 units, but digits has 10 outputs"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(sections, message):
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate(sections)
