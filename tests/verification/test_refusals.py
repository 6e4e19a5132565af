"""What cannot be checked is refused before anything starts, with a change that helps."""

import re
import shlex

import pytest

from analogdp.errors import InputError, RunError
from analogdp.scenario import load_scenario
from analogdp.verification.comparison import prepare
from analogdp.verification.refusals import LONGEST_DELAY_LINE
from tests.verification.scenarios import small

BLOBS = """
data: {name: blobs, inputs: 6, classes: 3}
network: {layers: [6, 5, 3]}
"""

REFUSED = {
    "dynamics.clock": ["dynamics=sweep"],
    "network.layers": ["network.layers=[1x3x2, {conv: 2, kernel: 2}, 3]"],
    "noise.conductance": ["noise.conductance={std: 0.01}"],
    "synapse.dac": ["synapse={model: crossbar, dac: {bits: 6}}"],
    "synapse.adc": ["synapse={model: crossbar, adc: {bits: 6}}"],
    "synapse.device.read_noise": [
        "synapse={model: crossbar, device: {card: ecram_mo, read_noise: 0.01, read_time: 1 us}}"
    ],
    "synapse.wires.sense": ["synapse={model: crossbar, wires: {source: 20 ohm}}"],
    "synapse.wires.method": ["synapse={model: crossbar, wires: {method: conjugate_gradients}}"],
    "neuron.input_strength": ["neuron={model: dp, alpha: 0.2, input_strength: 1}"],
    "neuron.output": ["neuron={model: dp}", "network.loss=cross_entropy"],
}


FLICKER = "synapse={model: crossbar, pair: balanced, device: {card: pcm_joshi, drift: null}}"


@pytest.fixture
def blobs(tmp_path):
    """Loads a small scenario with settings."""
    path = tmp_path / "blobs.yaml"
    path.write_text(BLOBS)
    return lambda *settings: load_scenario(path, settings)


def refusal(scenario, **how):
    with pytest.raises(InputError) as caught:
        prepare(scenario, **how)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("key", REFUSED)
def test_what_brian2_has_no_equations_for_is_refused_by_its_key_with_a_setting_that_helps(blobs, key):
    message = refusal(blobs(*REFUSED[key]))
    assert message.startswith(f"{key}: ")
    words = shlex.split(message.replace(",", " ,") if '"' not in message else message)
    change = words[words.index("--set") + 1]
    prepare(blobs(*REFUSED[key], change), steps=2)


@pytest.mark.parametrize("model", ["threshold", "untied", "backpropagation", "predictive_coding"])
def test_neurons_without_equations_are_refused_with_a_model_that_has_them(blobs, model):
    message = refusal(blobs(f"neuron={model}"))
    assert message.startswith(f"neuron.model: {model} has no equations")
    change = re.search(r"--set (\S+)", message)[1]
    prepare(blobs(f"neuron={model}", change), steps=2)


def test_noise_that_differs_from_cell_to_cell_is_refused_by_its_own_section(blobs):
    message = refusal(blobs(FLICKER))
    assert "flicker_noise: null" in message
    prepare(blobs("synapse={model: crossbar, pair: balanced, device: {card: pcm_joshi, flicker_noise: null}}"), steps=2)


def test_all_that_is_refused_is_told_at_once(blobs):
    message = refusal(
        blobs("synapse={model: crossbar, adc: {bits: 6}, dac: {bits: 6}}", "noise.conductance={std: 0.01}")
    )
    assert len(message.splitlines()) == 3


@pytest.mark.parametrize(
    ("layers", "how", "what"),
    [
        ((6, 1000, 3), {}, "2006 neurons"),
        ((6, 300, 300, 3), {}, "synapses"),
        ((6, 5, 3), {"steps": 10**6}, "states to compare"),
    ],
)
def test_a_large_network_is_refused_with_a_smaller_one(layers, how, what):
    message = refusal(small(layers), **how)
    assert what in message
    change = re.search(r'--set "network\.layers=\[(.*?)\]"', message)
    assert change
    if not how:
        prepare(small(tuple(map(int, change[1].split(",")))), samples=1, steps=2)


@pytest.mark.parametrize("how", [{"chip": 2}, {"chip": -1}, {"samples": 0}, {"steps": 0}])
def test_a_number_out_of_range_is_refused_with_the_range(how):
    assert "allowed: " in refusal(small(chips=2), **how)


def test_a_continuous_message_may_not_be_delayed_for_ever_but_an_event_may():
    dynamics = {"dt": "0.1 us", "axons": {"delay": {"top_down": f"{LONGEST_DELAY_LINE // 10 + 1} us"}}}
    assert refusal(small(dynamics=dynamics)).startswith("dynamics.axons.delay.top_down: 2.1e-05 s")
    dynamics["axons"]["threshold"] = 0.1
    prepare(small(dynamics=dynamics), steps=2)


def test_a_chip_is_the_one_of_its_index():
    scenario = small(chips=3, mismatch={"offset": 0.1})
    first, last = (prepare(scenario, chip=chip, steps=5).trajectory.states for chip in (0, 2))
    assert (first - last).abs().max() > 0.01


def test_dynamics_that_diverge_are_no_disagreement():
    scenario = small((6, 20, 3), network={"gain": 40}, neuron={"model": "dp", "alpha": 0.9, "beta": 5})
    with pytest.raises(RunError, match="leave their bounds within 200 steps"):
        prepare(scenario, steps=200)
