"""What a scenario has that is not ideal, and what is left of it when that is switched off."""

import math
import re
from pathlib import Path

import pytest
import torch

from analogdp import library
from analogdp.analysis.nonidealities import NONIDEALITIES, changed, differences, present, without
from analogdp.devices.cards import DeviceCard
from analogdp.network import build
from analogdp.scenario import Scenario
from analogdp.scenario.schema import Scenario as Schema
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

NAMES = {each.name: each for each in NONIDEALITIES}
LAYERS = (8, 6, 4)

EVERYTHING = {
    "neuron": {"model": "dp_transposed"},
    "mismatch": {
        "tau": 0.05,
        "alpha": 0.02,
        "push": 0.01,
        "gain": {"std": 0.05, "compartments": 0.001},
        "offset": {"std": 0.001, "distribution": "uniform"},
    },
    "noise": {
        "membrane": 0.01,
        "common": 0.01,
        "coloured": {"std": 0.01, "correlation": "5 us"},
        "nudging": 0.05,
        "asymmetry": 0.01,
    },
    "synapse": {
        "model": "crossbar",
        "weight_range": "8/sqrt(fan_in)",
        "device": {
            "card": "reram_array_om",
            "read_noise": 0.01,
            "read_time": "1 us",
            "drift": {},
            "faults": {"stuck_off": 0.01},
            "endurance": {"cycles": 1e6},
            "retention": {"lifetime": "1 h"},
            "write_pulse": {"up": 1.0, "down": -1.0, "width": 1e-7, "half_select": 0.01},
        },
        "wires": {},
        "dac": {"bits": 8, "noise": 0.5},
        "adc": {"bits": 6, "gain_std": 0.01},
        "write": {"most_pulses": 50, "half_select": "half"},
        "programming": {"method": "write_verify"},
    },
    "dynamics": {"axons": {"delay": "0.4 us", "threshold": {"bottom_up": 0.01}}},
}
HAS = {
    *("wires", "converter_noise", "converter_mismatch", "dac", "adc", "faults", "device_spread", "reference_error"),
    *("cycle_noise", "write_noise", "read_noise", "nonlinear_steps", "finite_steps", "rounding", "pulse_limit"),
    *("disturb", "initial_programming", "drift", "retention", "endurance", "tau_mismatch", "alpha_mismatch"),
    *("gain_mismatch", "offset_mismatch", "membrane_noise", "common_noise", "coloured_noise", "nudging_noise"),
    *("asymmetry_noise", "delays", "thresholds"),
}


def plain_of(scenario):
    return scenario.model_dump(mode="json")


def made_ideal(scenario):
    plain = plain_of(scenario)
    return Schema.model_validate(changed(plain, without(plain, NONIDEALITIES)))


def with_device(make_scenario, device, **sections):
    synapse = {"model": "crossbar", "weight_range": "8/sqrt(fan_in)", "device": device, **sections}
    return make_scenario(LAYERS, synapse=synapse)


def test_what_is_found_is_what_the_scenario_has(make_scenario):
    assert {each.name for each in present(plain_of(make_scenario(LAYERS, **EVERYTHING)))} == HAS


def test_numbers_without_noise_have_nothing_to_switch_off(make_scenario):
    assert present(plain_of(make_scenario(LAYERS))) == []


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("leakage", {"synapse": {"model": "crossbar", "device": {"card": "capacitor", "lifetime": "1 s"}}}),
        ("reset_noise", {"synapse": {"model": "crossbar", "device": "pcm_gst"}, "run": {"dtype": "float32"}}),
        ("relaxation", {"synapse": {"model": "crossbar", "device": "rram_wan"}}),
        ("programming_error", {"synapse": {"model": "crossbar", "device": "rram_milo"}}),
        ("conductance_noise", {"noise": {"conductance": {"std": 0.01, "correlation": "50 us"}}}),
        ("cycle_noise", {"synapse": {"model": "crossbar", "device": "stanford_pku_hfox"}}),
        ("finite_steps", {"synapse": {"model": "crossbar", "device": {"card": "rram_milo", "levels": 16}}}),
    ],
)
def test_rarer_ones_are_found_too(make_scenario, name, sections):
    assert name in {each.name for each in present(plain_of(make_scenario(LAYERS, **sections)))}


def test_every_kind_is_found_by_some_test():
    rare = {"leakage", "reset_noise", "relaxation", "programming_error", "conductance_noise"}
    assert HAS | rare == NAMES.keys()


DESIGN = {
    "synapse.device": {"name", "model", "description", "material", "source", "note", "low", "high", "write_pulse"},
    "synapse.device.parameters": {
        *("step", "lower", "upper", "asymmetry", "step_distribution", "cycle_noise_form", "read_time", "reference"),
        *("unidirectional", "reset_weight"),
    },
    "synapse": {"model", "pair", "unit", "weight_range", "tile", "refresh"},
    "synapse.write": {"accumulate", "devices", "transfer"},
    "synapse.dac": {"bits", "range", "percentile", "figure_of_merit", "conversion_time"},
    "mismatch": set(),
    "noise": set(),
}
"""Settings that are what the hardware is meant to be, or that say more about a non-ideality."""


@pytest.mark.parametrize("section", DESIGN)
def test_every_setting_of_the_hardware_is_a_nonideality_or_its_design(make_scenario, section):
    plain = plain_of(make_scenario(LAYERS, **EVERYTHING))
    switched = {path for each in NONIDEALITIES for path in each.ideal(plain)}
    here = plain
    for key in section.split("."):
        here = here[key]
    inside = {path.removeprefix(f"{section}.").split(".")[0] for path in switched if path.startswith(f"{section}.")}
    assert set(here) - inside == DESIGN[section] - inside


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("wires", {"synapse.wires"}),
        ("dac", {"synapse.dac.bits", "synapse.dac.noise"}),
        ("converter_noise", {"synapse.dac.noise"}),
        ("converter_mismatch", {"synapse.adc.gain_std"}),
        ("cycle_noise", {"synapse.device.parameters.cycle_noise"}),
        (
            "device_spread",
            {f"synapse.device.parameters.{part}_spread" for part in ("step", "asymmetry", "upper", "lower")},
        ),
        ("nonlinear_steps", {"synapse.device.model", "synapse.device.parameters"}),
        ("rounding", {"synapse.write.rounding"}),
        ("alpha_mismatch", {"mismatch.alpha.std", "mismatch.push.std"}),
        ("gain_mismatch", {"mismatch.gain.std", "mismatch.gain.compartments"}),
        ("read_noise", {"synapse.device.parameters.read_noise", "synapse.device.parameters.read_time"}),
        ("delays", {"dynamics.axons.delay.bottom_up", "dynamics.axons.delay.top_down"}),
        ("initial_programming", {f"synapse.programming.{part}" for part in ("method", "tolerance", "budget")}),
    ],
)
def test_switching_one_off_changes_these_settings_and_no_others(make_scenario, name, paths):
    plain = plain_of(make_scenario(LAYERS, **EVERYTHING))
    changes = NAMES[name].changes(plain)
    resolved = plain_of(Scenario.model_validate(changed(plain, changes)))
    assert differences(plain, resolved).keys() == changes.keys() == paths


@pytest.mark.parametrize("each", NONIDEALITIES, ids=lambda each: each.name)
def test_what_is_switched_off_is_not_there_any_more(make_scenario, each):
    plain = plain_of(make_scenario(LAYERS, **EVERYTHING))
    # Finite steps can always be finer, and a converter with noise keeps the bits that go with it.
    if each.name not in ("finite_steps", "dac", "adc"):
        assert not each.changes(changed(plain, each.changes(plain)))


def test_switching_everything_off_leaves_finer_steps_alone(make_scenario):
    left = present(plain_of(made_ideal(make_scenario(LAYERS, **EVERYTHING))))
    assert [each.name for each in left] == ["finite_steps"]


@pytest.mark.parametrize("card", library.names("devices"))
def test_with_everything_off_a_crossbar_reads_as_its_weights(make_scenario, card):
    converters = {"dac": {"bits": 4}, "adc": {"bits": 4, "noise": 1.0}, "wires": {"word_line": 100.0}}
    ideal = made_ideal(with_device(make_scenario, card, **converters))
    messages = torch.randn(1, 5, LAYERS[0], dtype=torch.float64)
    crossbar, numbers = (build(each).synapses[0] for each in (ideal, make_scenario(LAYERS)))
    torch.testing.assert_close(crossbar(messages), messages @ numbers.weights.mT, rtol=0, atol=1e-12)


@pytest.mark.parametrize("card", library.names("devices"))
def test_with_everything_off_a_crossbar_is_written_as_its_weights_to_a_fine_step(make_scenario, card):
    ideal = made_ideal(with_device(make_scenario, card))
    crossbar, numbers = (build(each).synapses[0] for each in (ideal, make_scenario(LAYERS)))
    post, pre = (0.1 * torch.randn(1, 3, size, dtype=torch.float64) for size in (LAYERS[1], LAYERS[0]))
    for number in range(3):
        stream = Stream(0, "test", dtype=torch.float64).at(number)
        crossbar.apply_update(LocalUpdate(post, pre), stream)
        numbers.apply_update(LocalUpdate(post, pre), stream)
    step = ideal.synapse.device.device().increment * crossbar.mapping.scale
    torch.testing.assert_close(crossbar.weights, numbers.weights, rtol=0, atol=1.5 * step + 1e-9)


def pulsed(card, count, cells=20_000, start=None):
    """Changes of conductance of cells that start at weight 0, or at a conductance, relative to the range."""
    device, stream = card.device(), Stream(5, "test", dtype=torch.float64)
    state = device.sample((1, cells, 1), stream.child("fabrication"))
    level = device.zero if start is None else start
    device.program(state, torch.full((1, 1, cells, 1), level, dtype=torch.float64), stream.child("program"))
    before = device.conductance(state)
    device.pulse(state, torch.full_like(before, float(count)), stream.child("pulse"))
    return (device.conductance(state) - before) / (device.high - device.low)


@pytest.mark.parametrize("card", ["gokmen_vlasov", "ecram_li", "reram_es", "capacitor"])
def test_finer_steps_scatter_as_the_coarse_ones_do(make_scenario, card):
    plain = plain_of(with_device(make_scenario, card, write={"most_pulses": 7}))
    plain = changed(plain, without(plain, [NAMES["device_spread"], NAMES["write_noise"]]))
    fine = changed(plain, NAMES["finite_steps"].changes(plain))
    coarse, finer = (DeviceCard.model_validate(each["synapse"]["device"]) for each in (plain, fine))
    factor = coarse.device().increment / finer.device().increment
    assert factor == pytest.approx(100)
    assert fine["synapse"]["write"]["most_pulses"] == 700
    one, many = pulsed(coarse, 4), pulsed(finer, 400)
    # Standard errors of 20 000 cells: 0.7 % of the mean's scatter, 0.5 % of the scatter; the laws differ in second order.
    assert many.mean().item() == pytest.approx(one.mean().item(), rel=0.08)
    assert many.std().item() == pytest.approx(one.std().item(), rel=0.12)


def test_noise_that_is_given_in_steps_limits_how_fine_they_get(make_scenario):
    plain = plain_of(with_device(make_scenario, "reram_es"))
    changes = NAMES["finite_steps"].changes(plain)
    assert changes["synapse.device.parameters.write_noise"] == pytest.approx(1000)
    assert changes["synapse.device.parameters.step"] == pytest.approx(0.00135 * 75 / 1000)
    assert changes["synapse.device.parameters.cycle_noise"] == pytest.approx(5 * math.sqrt(1000 / 75))


@pytest.mark.parametrize(
    "card",
    [name for name in library.names("devices") if name not in ("pcm_joshi", "rram_milo", "rram_wan", "sonos_agrawal")],
)
def test_constant_steps_are_those_that_the_controller_counts_in(make_scenario, card):
    plain = plain_of(with_device(make_scenario, card))
    noises = [NAMES[name] for name in ("device_spread", "cycle_noise", "write_noise")]
    before = plain["synapse"]["device"]
    after = changed(plain, without(plain, [*noises, NAMES["nonlinear_steps"]]))["synapse"]["device"]
    device, straight = (DeviceCard.model_validate(each) for each in (before, after))
    increment = device.device().increment
    assert straight.device().increment == pytest.approx(increment)
    way = pulsed(straight, 1, cells=2) * (straight.high - straight.low)
    assert way.flatten().tolist() == pytest.approx([increment] * 2)
    if not straight.device().unidirectional:
        back = pulsed(straight, -1, cells=2) * (straight.high - straight.low)
        assert back.flatten().tolist() == pytest.approx([-increment] * 2)


@pytest.mark.parametrize("card", ["reram_es", "pcm_gst", "reram_sb"])
def test_constant_steps_have_the_noise_of_those_at_mid_range(make_scenario, card):
    plain = plain_of(with_device(make_scenario, {"card": card, "asymmetry": 0.0}))
    after = changed(plain, NAMES["nonlinear_steps"].changes(plain))
    old, new = (each["synapse"]["device"]["parameters"] for each in (plain, after))
    assert new["write_noise"] * new["step"] == pytest.approx(old["write_noise"] * old["step"])
    quiet = [NAMES[name] for name in ("device_spread", "write_noise", "read_noise", "drift")]
    curved, straight = (
        DeviceCard.model_validate(changed(each, without(each, quiet))["synapse"]["device"]) for each in (plain, after)
    )
    directions = (1,) if curved.device().unidirectional else (1, -1)
    middle = (curved.low + curved.high) / 2
    scatter = [
        sum(pulsed(card, way, start=middle).std().item() for way in directions) / len(directions)
        for card in (curved, straight)
    ]
    # Standard error of 20 000 cells: 0.5 %.
    assert scatter[1] == pytest.approx(scatter[0], rel=0.02)


def test_a_noisy_converter_keeps_its_noise_in_finer_steps(make_scenario):
    dac = {"bits": 8, "noise": 0.5, "range": 1.0}
    plain = plain_of(with_device(make_scenario, "ecram_mo", dac=dac))
    sharp = changed(plain, NAMES["dac"].changes(plain))["synapse"]["dac"]
    # At a range of 1 a step is 1 / levels: 127 of 8 bits, and the most bits with at most 100 steps of noise.
    assert sharp["bits"] == 15
    assert sharp["noise"] / (2**14 - 1) == pytest.approx(0.5 / 127)


@pytest.mark.parametrize(
    ("device", "write", "rounding"),
    [
        ("ecram_mo", {}, "carry"),
        ("ecram_mo", {"rounding": "nearest", "accumulate": "sample"}, "stochastic"),
        ("vteam_example", {}, "none"),
        ("rram_milo", {"rounding": "carry"}, "none"),
    ],
)
def test_nothing_is_lost_by_rounding(make_scenario, device, write, rounding):
    plain = plain_of(with_device(make_scenario, device, write=write))
    assert NAMES["rounding"].changes(plain) == {"synapse.write.rounding": rounding}


def test_a_changed_copy_leaves_the_original_alone():
    before = {"a": {"b": [1.0]}, "c": None}
    after = changed(before, {"a.b": [2.0]})
    assert (before, after) == ({"a": {"b": [1.0]}, "c": None}, {"a": {"b": [2.0]}, "c": None})
    assert differences(before, after) == {"a.b": [2.0]}


def test_the_documentation_names_all_of_them():
    table = (Path(__file__).parents[2] / "docs" / "ablation.md").read_text().split("| name | switched off by |")[1]
    rows = [line.split("|")[1] for line in table.split("\n\n")[0].splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == NAMES.keys()
