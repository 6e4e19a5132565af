"""Which variants an ablation has, and what their results say."""

import numpy as np
import pytest

from analogdp.analysis.ablation import Ablation, Outcome, Variant, paired, plan
from analogdp.analysis.nonidealities import changed, differences
from analogdp.errors import InputError

CROSSBAR = {"model": "crossbar", "device": "ecram_mo", "dac": {"bits": 6}, "write": {"most_pulses": 20}}
HAS = ["dac", "device_spread", "cycle_noise", "nonlinear_steps", "finite_steps", "rounding", "pulse_limit"]


def names(planned):
    return [variant.name for variant, _ in planned]


@pytest.mark.parametrize("mode", ["without", "alone"])
def test_there_are_references_and_a_variant_for_each_that_the_scenario_has(make_scenario, mode):
    planned = plan(make_scenario(synapse=CROSSBAR), mode)
    assert names(planned) == ["full", "ideal", "ideal-weights", *(f"{mode}-{name}" for name in HAS)]


def test_both_modes_are_one_variant_after_the_other(make_scenario):
    planned = plan(make_scenario(synapse=CROSSBAR), "both", ["dac"])
    assert names(planned) == ["full", "ideal", "ideal-weights", "without-dac", "alone-dac"]


def test_numbers_need_no_reference_of_ideal_weights(make_scenario):
    assert names(plan(make_scenario(noise={"membrane": 0.01}))) == ["full", "ideal", "without-membrane_noise"]


def test_a_variant_is_the_scenario_with_its_changes_and_nothing_else(make_scenario):
    scenario = make_scenario(synapse=CROSSBAR, noise={"membrane": 0.01}, mismatch={"tau": 0.05})
    plain = scenario.model_dump(mode="json")
    for variant, own in plan(scenario, "both"):
        if variant.kind != "ideal_weights":
            assert own.model_dump(mode="json") == changed(plain, variant.changes)


def test_without_and_alone_are_complements(make_scenario):
    scenario = make_scenario(synapse=CROSSBAR, noise={"membrane": 0.01}, mismatch={"tau": 0.05})
    variants = {variant.name: variant.changes for variant, _ in plan(scenario, "both")}
    for name in ("dac", "device_spread", "membrane_noise", "tau_mismatch"):
        own, rest = variants[f"without-{name}"].keys(), variants[f"alone-{name}"].keys()
        assert not own & rest
        assert own | rest == variants["ideal"].keys()


def test_ideal_weights_learn_by_their_own_optimizer(make_scenario):
    scenario = make_scenario(synapse=CROSSBAR, noise={"membrane": 0.01}, learning={"rate": 0.2})
    reference = next(own for variant, own in plan(scenario) if variant.name == "ideal-weights")
    found = differences(scenario.model_dump(mode="json"), reference.model_dump(mode="json"))
    assert found == {
        "noise.membrane": 0.0,
        "synapse": {"model": "ideal"},
        "learning.optimizer": "adam",
        "learning.rate": 1e-3,
        "learning.bias_rate": 1e-3,
    }


def test_ideal_weights_are_of_two_sets_where_the_rule_writes_each_for_itself(make_scenario):
    synapse = {"model": "crossbar", "pair": "balanced"}
    scenario = make_scenario(synapse=synapse, learning={"rule": "dual_weight"})
    reference = next(own for variant, own in plan(scenario) if variant.name == "ideal-weights")
    assert reference.synapse.model == "pair"


def test_a_scenario_that_the_schema_refuses_is_said_to_be_refused(make_scenario):
    scenario = make_scenario(
        (64, 12, 8, 10), synapse={"model": "crossbar", "device": "ecram_mo"}, feedback={"path": "copy"}
    )
    refused = {variant.name: variant.refusal for variant, own in plan(scenario) if own is None}
    assert refused.keys() == {"ideal-weights"}
    assert "feedback.path: copies of ideal weights stay equal to them" in refused["ideal-weights"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "withot"}, "unknown mode 'withot': did you mean 'without'"),
        ({"only": ["cyclenoise"]}, "unknown non-ideality 'cyclenoise': did you mean 'cycle_noise'"),
        ({"only": ["wires"]}, "this scenario has no wires; it has dac, device_spread"),
        ({"only": []}, "no non-ideality is named"),
    ],
)
def test_names_that_are_not_there_are_refused(make_scenario, arguments, said):
    with pytest.raises(InputError, match=said):
        plan(make_scenario(synapse=CROSSBAR), **arguments)


def test_an_ideal_scenario_is_refused(make_scenario):
    with pytest.raises(InputError, match="everything about this scenario is ideal"):
        plan(make_scenario())


RESULTS = {
    "full": [[0.80, 0.82], [0.70, 0.74], [0.85, 0.86]],
    "ideal": [[0.90, 0.91], [0.88, 0.89], [0.93, 0.91]],
    "without-dac": [[0.83, 0.84], [0.76, 0.75], [0.86, 0.90]],
    "alone-dac": [[0.88, 0.90], [0.85, 0.89], [0.92, 0.92]],
}
KINDS = {"full": "full", "ideal": "ideal", "without-dac": "without", "alone-dac": "alone"}


def ablation(metric="test_accuracy", results=RESULTS):
    return Ablation(
        scenario="some",
        metric=metric,
        seeds=(4, 5, 6),
        variants=tuple(
            Variant(
                name=name,
                kind=KINDS[name],
                description=name,
                outcomes=tuple(
                    Outcome(seed=seed, directory="x", status="finished", values=dict(enumerate(values)))
                    for seed, values in zip((4, 5, 6), results[name], strict=True)
                ),
            )
            for name in results
        ),
    )


@pytest.mark.parametrize(("name", "worse"), [("without-dac", "full"), ("ideal", "full"), ("alone-dac", None)])
def test_costs_are_paired_differences_with_errors_from_seeds(name, worse):
    better, below = (RESULTS[name], RESULTS["full"]) if worse else (RESULTS["ideal"], RESULTS[name])
    difference = np.array(better) - np.array(below)
    found = ablation()
    cost = found.cost(found.variant(name))
    assert cost.pairs == 6
    assert cost.mean == pytest.approx(difference.mean())
    assert cost.error == pytest.approx(difference.mean(1).std(ddof=1) / np.sqrt(3))


def test_a_loss_costs_what_it_is_higher():
    found = ablation("test_loss")
    difference = np.array(RESULTS["full"]) - np.array(RESULTS["without-dac"])
    assert found.cost(found.variant("without-dac")).mean == pytest.approx(difference.mean())


def test_chips_of_one_seed_are_what_varies():
    differences = {(3, chip): value for chip, value in enumerate((0.1, 0.3, 0.2, 0.6))}
    cost = paired(differences)
    assert cost.error == pytest.approx(np.std([0.1, 0.3, 0.2, 0.6], ddof=1) / 2)


def test_equal_chips_do_not_count_as_more_pairs():
    seeds = {(seed, 0): value for seed, value in enumerate((0.1, 0.3, 0.2))}
    copies = {(seed, chip): value for (seed, _), value in seeds.items() for chip in range(5)}
    assert paired(copies).error == pytest.approx(paired(seeds).error)


def test_the_error_covers_the_mean_of_seeds_that_vary_more_than_chips():
    dice = np.random.default_rng(7)
    within = 0
    for _ in range(1000):
        values = dice.normal(0, 1.0, (12, 1)) + dice.normal(0, 0.3, (12, 4))
        cost = paired({(seed, chip): value for (seed, chip), value in np.ndenumerate(values)})
        within += abs(cost.mean) < 2.201 * cost.error  # 95 % of Student's t with 11 degrees of freedom
    # Standard error of 1000 trials: 0.7 %.
    assert 0.93 < within / 1000 < 0.97


def test_one_pair_has_no_error_and_none_no_cost():
    assert paired({(1, 0): 0.25}) == (0.25, None, 1)
    assert paired({}) is None


def test_runs_that_did_not_finish_are_left_out_and_named():
    found = ablation()
    full, other = found.variant("full"), found.variant("without-dac")
    broken = Outcome(seed=5, directory="x", status="diverged", reason="layer 1 left the bounds")
    other = other.model_copy(update={"outcomes": (other.outcomes[0], broken, other.outcomes[2])})
    found = found.model_copy(update={"variants": (full, other)})
    assert found.cost(other).pairs == 4
    assert other.trouble == "diverged (seed 5): layer 1 left the bounds"


def test_the_most_costly_come_first_and_those_without_result_last():
    found = ablation()
    some = found.variant("without-dac")
    more = some.model_copy(update={"name": "more", "outcomes": found.variant("ideal").outcomes})
    none = some.model_copy(update={"name": "none", "outcomes": (), "refusal": "no"})
    found = found.model_copy(update={"variants": (found.variant("full"), none, some, more)})
    assert [each.name for each in found.sorted("without")] == ["more", "without-dac", "none"]


def test_results_come_back_from_their_file(tmp_path):
    (tmp_path / "ablation.json").write_text(ablation().to_json())
    assert Ablation.read(tmp_path / "ablation.json") == ablation()


@pytest.mark.parametrize("text", [None, "{", '{"scenario": 3}'])
def test_a_damaged_file_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "ablation.json").write_text(text)
    with pytest.raises(InputError, match=r"ablation\.json: no results of an ablation"):
        Ablation.read(tmp_path / "ablation.json")


def test_an_unknown_variant_is_refused():
    with pytest.raises(InputError, match="did you mean 'without-dac'"):
        ablation().variant("without-adc")
