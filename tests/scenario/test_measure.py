import pytest

from analogdp.scenario.schema import Scenario

ATTACK = {"strengths": [0.1]}
STEP = {"neuron": {"model": "untied", "activation": "step", "modulator": "rectangle"}}
PHASES = {"neuron": "hopfield", "learning": "equilibrium_propagation"}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"measure": {"alignment": {}}, "learning": "always_on"}, r"measure\.alignment: always_on has no batches"),
        ({"measure": {"alignment": {}}, **PHASES}, r"measure\.alignment: .*no forward pass"),
        ({"measure": {"lipschitz": True}, **PHASES}, r"measure\.lipschitz: .*no forward pass"),
        ({"measure": {"lipschitz": True}, **STEP}, r"measure\.lipschitz: neurons that jump"),
        (
            {"measure": {"adversarial": ATTACK}, **STEP},
            r"measure\.adversarial: below neurons that jump the gradient is zero",
        ),
        (
            {"measure": {"adversarial": {**ATTACK, "attacks": ["fgsm"], "steps": 3}}},
            r"measure\.adversarial\.steps: is only",
        ),
        ({"measure": {"adversarial": {}}}, "strengths"),
        ({"measure": {"adversarial": {"strengths": [0]}}}, "strengths"),
        ({"measure": {"adversarial": {"strengths": [0.1], "attacks": ["cw"]}}}, "attacks"),
        ({"measure": {"alignment": {"every": 0}}}, "every"),
        ({"measure": {"stability": {}}, **PHASES}, r"measure\.stability: neuron\.model: hopfield neurons are no dyads"),
        ({"measure": {"stability": {}}, **STEP}, r"measure\.stability: neuron\.model: untied neurons are no dyads"),
        (
            {"measure": {"stability": {}}, "neuron": {"model": "dp", "activation": "step"}},
            r"measure\.stability: neuron\.activation: dp neurons that jump have no Jacobian",
        ),
        (
            {"measure": {"stability": {}}, "neuron": {"model": "dp", "damping": "contraction"}, "dynamics": "sweep"},
            r"measure\.stability: neuron\.damping: damped layers",
        ),
        (
            {"measure": {"stability": {}}, "neuron": {"model": "dp", "alpha": 0.3, "input_strength": 1.0}},
            r"measure\.stability: neuron\.input_strength: inputs that move",
        ),
        (
            {
                "measure": {"stability": {}},
                "network": {"layers": [64, {"dense": 8, "normalise": "batch"}, 10]},
                "neuron": "dp_transposed",
                "dynamics": "sweep",
            },
            r"measure\.stability: network\.layers: batch normalisation",
        ),
        ({"measure": {"stability": {"every": 0}}}, "every"),
        ({"measure": {"stability": {"warn": 1.5}}}, "warn"),
        ({"measure": {"angles": True}}, "unknown key"),
    ],
)
def test_what_cannot_be_measured_is_refused(sections, words):
    with pytest.raises(ValueError, match=words):
        Scenario.model_validate(sections)


@pytest.mark.parametrize(("data", "bounded"), [({}, True), ({"normalise": "standard"}, False)])
def test_images_stay_between_black_and_white_unless_they_are_normalised(data, bounded):
    scenario = Scenario.model_validate({"data": {"name": "digits", **data}, "measure": {"adversarial": ATTACK}})
    assert scenario.measure.adversarial.bounded == bounded


def test_a_resolved_section_loads_back():
    scenario = Scenario.model_validate(
        {"measure": {"adversarial": ATTACK, "alignment": {"until": 100}, "stability": {"warn": 0.5}, "lipschitz": True}}
    )
    assert Scenario.model_validate(scenario.model_dump(mode="json")).measure == scenario.measure
