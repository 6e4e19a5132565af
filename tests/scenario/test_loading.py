"""From files to scenarios and back."""

import os
import re

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogdp import library
from analogdp.errors import ScenarioError
from analogdp.scenario import Scenario, dump_scenario, load_scenario
from analogdp.scenario.loading import change_scenario, json_schema
from analogdp.scenario.yaml import parse_yaml, read_yaml

FULL = """\
name: digits-asymmetric
description: Asymmetric nudging with mismatch
seed: 7
data: {name: digits, test_fraction: 20 %}
network: {layers: [64, 32, 10], loss: least_squares}
neuron: {model: dp_transposed, alpha: 0.3, beta: 0.5, activation: relu, tau: 1 us}
mismatch: {tau: 5 %, alpha: 2 %, offset: {std: 0.001, distribution: uniform}}
noise: {membrane: 0.01, nudging: 5e-2}
dynamics: {integrator: exp_euler, dt: 0.2 us, settle: {tolerance: 1e-3, at_most: 20 us}}
learning: {mode: settle_then_update, epochs: 20, batch: 32, rate: 0.01}
chips: 8
run: {device: auto, dtype: float32}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file into an empty folder, which is the current one, and returns its name."""
    monkeypatch.chdir(tmp_path)

    def written(text, name="a.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return written


def problems(path, overrides=()):
    """Message lines of what is wrong."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def test_a_scenario_reads_as_it_was_written_in_si_units(write):
    scenario = load_scenario(write(FULL))
    assert scenario.neuron.tau == 1e-6
    assert scenario.neuron.alpha == 0.3
    assert scenario.mismatch.tau.std == 0.05
    assert scenario.mismatch.offset.distribution == "uniform"
    assert scenario.data.test_fraction == 0.2
    assert scenario.network.layers == (64, 32, 10)
    assert scenario.dynamics.dt == 2e-7


def test_one_line_is_a_whole_scenario(write):
    scenario = load_scenario(write("name: my-first"))
    assert scenario.name == "my-first"
    assert scenario == Scenario(name="my-first")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("neuron: {alpha: 1.5}", "neuron.alpha: 1.5 is out of range; allowed: 0 to 1"),
        ("neuron: {beta: -50 %}", "neuron.beta: '-50 %' is out of range; allowed: above 0, at most 100"),
        ("neuron: {tau: 3 volts}", "neuron.tau: '3 volts' is not a time; write for example '1 us'"),
        ("neuron: {modle: dp}", "neuron.modle: unknown key 'modle'; did you mean 'model'? Known: activation, alpha,"),
        (
            "neuron: {model: dpp}",
            "neuron.model: unknown neuron model 'dpp': did you mean 'dp'? Known: backpropagation, dp, dp_transposed",
        ),
        ("neuron: dpp", "neuron.model: unknown neuron model 'dpp': did you mean 'dp'?"),
        ("neuron: [dp]", "neuron: expected a mapping such as {model: dp_transposed}, not ['dp']"),
        ("neuron: {model: [dp]}", "neuron.model: unknown neuron model"),
        ("neuron: {alpha: .nan}", "neuron.alpha: expected a finite number, not nan"),
        ("neuron: {alpha: }", "neuron.alpha: expected a number, not null"),
        ("neuron: {alpha: {a: 1}}", "neuron.alpha: expected a number, not a mapping"),
        ("neuron: {activation: rellu}", "unknown activation 'rellu': did you mean 'relu'?"),
        ("netwrok: {}", "netwrok: unknown key 'netwrok'; did you mean 'network'?"),
        ("network: {layers: [64, 0, 10]}", "network.layers.1: 0 is out of range; allowed: at least 1"),
        (
            "network: {layers: [64, '32', 10]}",
            "network.layers.1: expected units, a shape such as 1x28x28, or a section such as {conv: 6}, not '32'",
        ),
        ("network: {layers: [64]}", "network.layers: 1 value; allowed: 2 to 1000"),
        ("network: {layers: 64}", "network.layers: expected a list, not 64"),
        ("network: {bias: 'yes'}", "network.bias: expected true or false, not 'yes'"),
        ("network: {loss: least_square}", "network.loss: unknown loss 'least_square': did you mean 'least_squares'?"),
        ("network: {layers: [63, 10]}", "network.layers: the first layer has 63 units, but digits has 64 inputs"),
        ("network: {layers: [64, 9]}", "network.layers: the last layer has 9 units, but digits has 10 outputs"),
        ("network: 5", "network: expected a section of names and values, not 5"),
        ("network:", "network: expected a section of names and values, not null"),
        ("name: two words", "name: 'two words' is not allowed; at most 100 of the letters"),
        ("name: 5", "name: expected text, not 5; put it in quotes"),
        ("chips: true", "chips: expected a whole number, not true"),
        ("chips: 2.5", "chips: expected a whole number, not 2.5"),
        ("seed: -1", "seed: -1 is out of range; allowed: 0 to 9223372036854775807"),
        (
            "run: {dtype: float16}",
            "run.dtype: unknown value 'float16': did you mean 'float64'? Known: float32, float64",
        ),
        ("run: {device: gpu}", "run.device: 'gpu' is not allowed; one of auto, cpu, cuda"),
        ("export: [hdf5, {format: hdf5}]", "export.1.format: hdf5 is listed already; a run keeps one of each"),
        ("export: [hdf6]", "export.0.format: unknown export format 'hdf6': did you mean 'hdf5'?"),
        ("mismatch: {offset: {std: 1 %, distribution: lognormal}}", "mismatch.offset.distribution: a lognormal spread"),
        ("dynamics: {integrator: rk4}\nnoise: {membrane: 1}", "dynamics.integrator: rk4 takes no noise"),
        ("synapse: {model: ideal, device: reram_sb}", "synapse.device: unknown key 'device'; Known: model"),
        ("synapse: {model: crossbar, device: reram_sbb}", "did you mean 'reram_sb'?"),
        ("synapse: {model: crossbar, device: {card: reram_sb, low: 3 V}}", "'3 V' is not a conductance"),
        ("synapse: {model: crossbar, device: {card: reram_sb, stepp: 1}}", "unknown key 'stepp'"),
        ("synapse: {model: crossbar, tile: 64x0}", "at least 1 row and 1 column"),
        (
            "data: {name: digits, test_fraction: 120 %}",
            "data.test_fraction: '120 %' is out of range; allowed: 0.01 to 0.99",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_line_path_value_and_way_out(write, line, words):
    found = problems(write(f"seed: 1\n{line}\n" if not line.startswith("seed") else f"chips: 1\n{line}\n"))
    assert len(found) == 1
    assert re.match(r"a\.yaml:2: ", found[0])
    assert words in found[0]


def test_all_problems_of_a_file_are_told_at_once_in_the_files_order(write):
    text = "chips: 0\nneuron:\n  alpha: 1.5\n  tau: 3 volts\n  modle: dp\nlearning: {epochs: '3', optimizer: adan}\nnam: x\n"
    starts = [line.split(":")[1:3] for line in problems(write(text))]
    assert [[int(line), path.strip()] for line, path in starts] == [
        [1, "chips"],
        [3, "neuron.alpha"],
        [4, "neuron.tau"],
        [5, "neuron.modle"],
        [6, "learning.epochs"],
        [6, "learning.optimizer"],
        [7, "nam"],
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("- 1", "expected a mapping"),
        ("5", "expected a mapping"),
        ("a: !!python/name:os.system", "the tag"),
    ],
)
def test_what_is_no_mapping_is_refused(write, text, words):
    (found,) = problems(write(text))
    assert words in found


@pytest.mark.parametrize("name", ["a.yaml", "missing"])
def test_a_missing_file_is_refused_with_what_there_is(write, name):
    (found,) = problems(name)
    assert name in found
    assert "no such file" in found


def test_a_directory_is_refused(tmp_path):
    (found,) = problems(tmp_path)
    assert "this is a directory" in found


def test_overrides_replace_single_settings_the_last_one_winning(write):
    overrides = [
        "neuron.alpha=0.25",
        "learning.epochs = 3",
        "neuron.alpha=75 %",
        "network.layers=[64, 20, 10]",
        "chips=2",
    ]
    scenario = load_scenario(write(FULL), overrides)
    assert (scenario.neuron.alpha, scenario.neuron.beta) == (0.75, 0.5)
    assert (scenario.learning.epochs, scenario.learning.batch) == (3, 32)
    assert scenario.network.layers == (64, 20, 10)
    assert scenario.chips == 2


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("neuron.alhpa=0.3", "--set neuron.alhpa=0.3: neuron.alhpa: unknown key 'alhpa'; did you mean 'alpha'?"),
        ("nueron.alpha=0.3", "--set nueron.alpha=0.3: nueron: unknown key 'nueron'; did you mean 'neuron'?"),
        ("neuron.alpha=2", "--set neuron.alpha=2: neuron.alpha: 2 is out of range; allowed: 0 to 1"),
        ("neuron.alpha", "--set neuron.alpha: expected section.key=value, such as neuron.alpha=0.3"),
        ("=1", "--set =1: expected section.key=value"),
        ("a..b=1", "--set a..b=1: expected section.key=value"),
        ("extends=b.yaml", "expected section.key=value"),
        ("neuron.alpha=[1", "--set neuron.alpha=[1:1: this is not YAML"),
        ("chips.x=1", "--set chips.x=1: chips: expected a whole number, not a mapping"),
        ("network.layers.1=3", "network.layers: expected a list, not a mapping"),
        ("neuron.alpha=", "neuron.alpha: expected a number, not null"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_given(write, override, words):
    found = problems(write(FULL), [override])
    assert words in "\n".join(found)


def test_a_scenario_extends_another_key_by_key(write):
    write(FULL, "base.yaml")
    scenario = load_scenario(
        write("extends: base.yaml\nname: child\nneuron: {alpha: 0.5}\nnetwork: {layers: [64, 10]}")
    )
    assert (scenario.name, scenario.seed) == ("child", 7)
    assert (scenario.neuron.alpha, scenario.neuron.tau) == (0.5, 1e-6)
    assert scenario.network.layers == (64, 10)


def test_naming_another_part_drops_the_settings_of_the_part_before(write):
    write("dynamics: {integrator: euler, dt: 0.1 us}\nneuron: {alpha: 0.3}", "base.yaml")
    scenario = load_scenario(write("extends: base.yaml\ndynamics: sweep\nneuron: {model: dp_transposed, beta: 0.1}"))
    assert scenario.dynamics.clock == "sweep"
    assert (scenario.neuron.alpha, scenario.neuron.beta) == (0.3, 0.1)
    assert load_scenario("base.yaml", ["dynamics.clock=sweep"]).dynamics == scenario.dynamics


def test_a_card_by_name_takes_the_place_of_one_that_is_written_out():
    plain = load_scenario("quickstart").model_dump(mode="json")
    card = {"card": "idealized", "write_noise": 0}
    changed = change_scenario(plain, {"synapse.device": card}, "--vary")
    assert changed.synapse.device.name == "idealized"
    assert changed.synapse.device.parameters.write_noise == 0


def test_changes_of_one_card_add_up(write):
    below = write("synapse: {model: crossbar, device: {card: idealized, write_noise: 3}}\n", "below.yaml")
    above = write(f"extends: {below}\nsynapse: {{device: {{card: idealized, step: 0.001}}}}\n")
    parameters = load_scenario(above).synapse.device.parameters
    assert (parameters.write_noise, parameters.step) == (3, 0.001)


def test_a_problem_is_placed_in_the_file_that_it_was_written_in(write):
    write("seed: 1\nneuron:\n  alpha: 2\n  tau: 1 us\n", "base.yaml")
    found = problems(write("extends: base.yaml\nneuron:\n  beta: -1\n"), ["chips=0"])
    assert sorted(line.partition(": ")[0] for line in found) == ["--set chips=0", "a.yaml:3", "base.yaml:3"]


def test_a_replaced_value_leaves_no_trace_of_the_place_before(write):
    write("seed: 1\n\nneuron: {model: dp, alpha: 2}\n", "base.yaml")
    (found,) = problems(write("extends: base.yaml\nneuron: {model: dp_transposed, alpha: 3}\n"))
    assert found.startswith("a.yaml:2: neuron.alpha: 3 is out of range")


def test_a_scenario_extends_a_shipped_one_by_name(write):
    scenario = load_scenario(write("extends: quickstart\nname: mine\nlearning: {epochs: 1}"))
    assert scenario == load_scenario("quickstart", ["name=mine", "learning.epochs=1"])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.yaml": "extends: a.yaml"}, "a.yaml:1: extends: the files extend each other in a circle: a.yaml -> a.yaml"),
        (
            {"a.yaml": "extends: b.yaml", "b.yaml": "name: b\nextends: a.yaml"},
            "b.yaml:2: extends: the files extend each other in a circle: a.yaml -> b.yaml -> a.yaml",
        ),
        ({"a.yaml": "extends: quikstart"}, "did you mean 'quickstart'?"),
        ({"a.yaml": "extends: [b.yaml]"}, "a.yaml:1: extends: expected one file or shipped scenario"),
        ({"a.yaml": "extends: b.yaml", "b.yaml": ""}, "b.yaml: the file is empty"),
    ],
)
def test_what_cannot_be_extended_is_refused(write, files, words):
    for name, text in files.items():
        write(text, name)
    (found,) = problems("a.yaml")
    assert words in found


@pytest.mark.parametrize("text", ["name: x", FULL, "dynamics: sweep", "synapse: {model: crossbar, device: capacitor}"])
def test_a_dumped_scenario_loads_back_as_an_equal_one_with_every_default_written(write, text):
    scenario = load_scenario(write(text))
    dumped = dump_scenario(scenario)
    again = load_scenario(write(dumped, "b.yaml"))
    assert again == scenario
    assert dump_scenario(again) == dumped
    assert parse_yaml(dumped, "b.yaml").data.keys() == Scenario.model_fields.keys()


@given(st.text(max_size=50), st.floats(1e-12, 1), st.floats(0, 1))
@settings(max_examples=30)
def test_any_text_and_number_survives_dumping(description, tau, alpha):
    scenario = Scenario(description=description, neuron={"tau": tau, "alpha": alpha})
    data = parse_yaml(dump_scenario(scenario), "a.yaml").data
    assert Scenario.model_validate(data) == scenario


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("name", library.names("scenarios"))
def test_every_shipped_scenario_loads_and_fits_the_json_schema(name, schema):
    assert load_scenario(name).description
    schema.validate(read_yaml(library.find("scenarios", name)).data)


def test_the_json_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text", [FULL, "name: x", "synapse: crossbar", "synapse: {model: crossbar, device: capacitor}"]
)
def test_the_json_schema_takes_what_loads(write, text, schema):
    schema.validate(parse_yaml(text, "a.yaml").data)
    schema.validate(parse_yaml(dump_scenario(load_scenario(write(text))), "b.yaml").data)


@pytest.mark.parametrize(
    "line",
    [
        "nam: x",
        "neuron: {modle: dp}",
        "neuron: {model: dpp}",
        "network: {layers: [0, 1]}",
        "chips: two",
        "export: [hdf6]",
        "neuron: relu",
    ],
)
def test_the_json_schema_refuses_what_does_not_load(line, schema):
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(parse_yaml(line, "a.yaml").data)


def test_a_path_object_is_a_path(write):
    assert load_scenario(os.fspath(write("name: x"))) == Scenario(name="x")
