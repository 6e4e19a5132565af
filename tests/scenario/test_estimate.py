"""What a scenario will cost."""

import math
import time

import pytest

from analogdp.errors import InputError
from analogdp.scenario import Scenario
from analogdp.scenario import estimate as costs
from analogdp.scenario.estimate import (
    SLACK,
    available_memory,
    estimate,
    memory_parts,
    refuse_if_too_large,
    size_in_words,
    time_in_words,
)


def scenario(**sections):
    return Scenario(name="s", run={"device": "cpu"}, **sections)


def test_the_weights_memory_follows_from_their_number():
    layers = (64, 300, 200, 10)
    small, chips, double = (
        memory_parts(Scenario(network={"layers": layers}, **more))["weights"]
        for more in ({}, {"chips": 8}, {"run": {"dtype": "float64"}})
    )
    weights = 64 * 300 + 300 * 200 + 200 * 10
    # A weight, its update and Adam's two moments, in single precision.
    assert small == weights * 4 * 4
    assert chips == 8 * small
    assert double == 2 * small


def test_feedback_paths_take_memory_for_their_weights_and_as_far_as_they_learn_for_updates():
    layers = (64, 300, 200, 10)
    own, random, learning = (
        memory_parts(scenario(network={"layers": layers}, feedback=path))["weights"]
        for path in ("transposed", "random", "kolen_pollack")
    )
    beside = 300 * 200 + 200 * 10
    assert random - own == beside * 4
    assert learning - own == beside * 4 * 4


def test_every_part_grows_with_what_it_is_for():
    small = memory_parts(scenario())
    large = memory_parts(scenario(chips=4, noise={"membrane": 0.01}, learning={"batch": 512}, synapse="crossbar"))
    assert all(large[part] > small[part] for part in ("weights", "states", "noise"))
    assert small["noise"] == 0


def test_the_peak_is_the_sum_of_its_parts_and_told_in_words():
    made = estimate(scenario())
    assert made.memory == sum(made.parts.values())
    assert made.seconds > 0
    assert str(made).startswith("at most about ")


@pytest.fixture
def one_microsecond(monkeypatch):
    """A machine on which every operation takes a microsecond."""
    monkeypatch.setattr(costs, "_fastest", lambda action: 1e-6)


@pytest.mark.usefixtures("one_microsecond")
@pytest.mark.parametrize(
    "more",
    [
        {"learning": {"epochs": 100}},
        {"dynamics": {"dt": "0.05 us"}},
        {"noise": {"membrane": 0.01}},
        {"network": {"layers": (64, 1024, 1024, 10)}},
        {"chips": 16},
        {"synapse": {"model": "crossbar", "device": "vteam_example"}},
        {"synapse": {"model": "crossbar", "wires": {}}},
        {"synapse": {"model": "crossbar", "wires": {"method": "conjugate_gradients"}}},
    ],
    ids=str,
)
def test_more_work_takes_more_time(more):
    assert estimate(scenario(**more)).seconds > 1.1 * estimate(scenario()).seconds


@pytest.mark.usefixtures("one_microsecond")
def test_the_time_is_that_of_the_operations_of_the_longest_settlings():
    small = scenario(network={"layers": (64, 32, 10)}, learning={"epochs": 1, "batch": 1438}, dynamics="sweep")
    # One product up and one down for the upper synapse, and 20 passes for each of two layers; one training
    # batch, and two tests before and two after it, of two batches each. A write is a product and 12 + 3 passes over the weights.
    # The clamped input is read once.
    one = 3e-6 + 2 * 20e-6
    # A batch larger than what is tried is scaled up.
    scaled = 3 * 1438 / 256 * 1e-6 + 2 * 20e-6
    update = 2 * (1438 / 256 + 12 + 3) * 1e-6
    assert estimate(small).seconds == pytest.approx(SLACK * (scaled + 8 * one + update))


@pytest.mark.parametrize("units", [10**12, 10**18, 10**400], ids=["10^12", "10^18", "10^400"])
def test_a_network_that_cannot_fit_is_refused_at_once_with_the_figures(units):
    begun = time.perf_counter()
    with pytest.raises(InputError) as caught:
        refuse_if_too_large(scenario(network={"layers": (64, units, 10)}))
    assert time.perf_counter() - begun < 1
    assert "s needs about " in str(caught.value)
    assert f"{size_in_words(available_memory('cpu'))[-2:]} are available" in str(caught.value)
    assert "make network.layers, learning.batch or chips smaller" in str(caught.value)


@pytest.mark.parametrize("units", [10**12, 10**400], ids=["10^12", "10^400"])
def test_an_estimate_of_any_size_is_a_number(units):
    made = estimate(scenario(network={"layers": (64, units, units, 10)}, learning={"epochs": 1_000_000}))
    assert math.isfinite(made.seconds)
    assert str(made)


def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr(costs, "available_memory", lambda device: sum(memory_parts(scenario()).values()))
    refuse_if_too_large(scenario())
    with pytest.raises(InputError, match=r"needs about 4\d\d MB"):
        refuse_if_too_large(scenario(chips=2))


def test_the_free_memory_of_this_machine_is_plausible():
    assert 10**7 < available_memory("cpu") < 10**15


@pytest.mark.parametrize(
    ("limits", "free"),
    [
        ({}, None),
        ({"memory.max": "max", "memory.current": "5", "memory.stat": ""}, None),
        (
            {"memory.max": "100", "memory.current": "70", "memory.stat": "anon 40\ninactive_file 20\nactive_file 10\n"},
            60,
        ),
        ({"memory.max": "100", "memory.current": "170", "memory.stat": "inactive_file 0\nactive_file 0\n"}, 0),
    ],
)
def test_a_containers_limit_counts_but_not_the_files_it_keeps_in_memory(tmp_path, monkeypatch, limits, free):
    for name, text in limits.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(costs, "GROUP", tmp_path)
    assert costs._free_in_group() == free


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (411_000_000, "411 MB"),
        (999_499, "999 kB"),
        (3_600_000_000_000, "3.6 TB"),
        (10**25, "over a million EB"),
        pytest.param(10**5000, "over a million EB", id="10^5000"),
    ],
)
def test_sizes_read_as_people_say_them(count, words):
    assert size_in_words(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (59, "59 seconds"),
        (300, "5 minutes"),
        (7300, "2 hours"),
        (1e6, "12 days"),
        (1e18, "over a million years"),
    ],
)
def test_times_read_as_people_say_them(seconds, words):
    assert time_in_words(seconds) == words


def test_windows_are_only_written_out_where_weights_are_not_read_exactly():
    layers = ["1x8x8", {"conv": 4, "padding": 1}, 10]
    network = {"layers": layers}
    ideal, cells, rows = (
        memory_parts(scenario(network=network, synapse=synapse))
        for synapse in ("ideal", "crossbar", {"model": "crossbar", "write": {"accumulate": "sample"}})
    )
    assert ideal["windows of images"] == 0
    # Windows of 3 x 3 at 64 positions, of 256 tested samples, three times; and all rows of a batch of 32.
    assert cells["windows of images"] == 9 * 64 * 256 * 3 * 4
    assert rows["windows of images"] == 9 * 64 * (256 + 32) * 3 * 4
    assert ideal["images between layers"] > 0


def test_vgg16_on_cifar_is_estimated_at_some_gigabytes_and_more_than_its_weights():
    network = {"architecture": "vgg16"}
    big = scenario(data="cifar10", network=network, dynamics="sweep", learning={"batch": 32})
    parts = memory_parts(big)
    weights = 14_710_464 + 512 * 4096 + 4096 * 4096 + 4096 * 10
    assert parts["weights"] == weights * 4 * 4
    assert 1e9 < sum(parts.values()) < 30e9
