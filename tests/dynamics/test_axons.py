import warnings

import pytest
import torch

from analogdp.dynamics import AxonSettings, Continuous, Euler, ExponentialEuler, Poisson, Simulation, converged
from analogdp.dynamics.axons import Axons
from analogdp.errors import AnalogdpWarning, ScenarioError
from analogdp.network import Layout
from analogdp.scenario.estimate import memory_parts
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

DT = 0.2e-6


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def axons(**sections) -> AxonSettings:
    return AxonSettings.model_validate(sections)


def begun(network, settings: AxonSettings, steps=400, tolerance=None, integrator=ExponentialEuler) -> Simulation:
    simulation = Simulation(network, Continuous(integrator, DT, steps, tolerance, axons=settings))
    sizes = network.sizes
    simulation.present(random(1, 3, sizes[0]), random(1, 3, sizes[-1], seed=1), 0.3)
    return simulation


def test_a_message_arrives_as_many_steps_later_as_its_delay(make_network):
    layout = Layout(2, 1, 3, (5, 4, 2))
    settings = axons(delay={"bottom_up": [0.4e-6, 0.0], "top_down": [0.0, 0.6e-6]})
    way = Axons(settings, layout, DT, torch.zeros(1, dtype=torch.float64))
    messages = [[random(1, 3, units, seed=10 * step + units) for units in (5, 4, 2)] for step in range(9)]
    zero = torch.zeros(1, dtype=torch.float64)
    for step, (first, second, third) in enumerate(messages):
        late = [messages[step - delay] if step >= delay else None for delay in (2, 3)]
        wanted = late[0][0] if late[0] else zero.expand_as(first)
        assert torch.equal(way.up(0, first.clone()), wanted)
        assert torch.equal(way.up(1, second.clone()), second)
        assert torch.equal(way.down(1, second.clone()), second)
        wanted = late[1][2] if late[1] else zero.expand_as(third)
        assert torch.equal(way.down(2, third.clone()), wanted)


def test_the_bottom_up_delay_of_a_linear_chain_shifts_its_states_by_whole_steps(make_network):
    """Free linear layers: the second one's state with a delay of 3 steps is the undelayed one of 3 steps ago."""
    network = make_network((6, 5, 3), neuron={"activation": "identity"}, network={"bias": False})
    delayed, prompt = begun(network, axons(delay={"bottom_up": 3 * DT})), begun(network, axons())
    for simulation in (delayed, prompt):
        simulation.field.switch(random(1, 3, 6), None, 0.0)
    delayed.advance(3)
    for _ in range(10):
        delayed.advance(1)
        prompt.advance(1)
        torch.testing.assert_close(delayed.state[1], prompt.state[1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("way", ["bottom_up", "top_down"])
def test_delays_leave_the_fixed_point_where_it_is(make_network, way):
    network = make_network((6, 5, 4, 3), neuron={"activation": "tanh", "alpha": 0.2})
    wanted = begun(network, axons(), 600).settle()
    found = begun(network, axons(delay={way: [5 * DT, 2 * DT]}), 900).settle()
    for ours, theirs in zip(found.state, wanted.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_a_network_has_not_settled_while_messages_are_on_their_way(make_network):
    """With delays of 40 steps every layer comes to rest by itself, long before it hears of its neighbours."""
    network = make_network((6, 5, 4, 3), neuron={"activation": "tanh"})
    settled = begun(network, axons(delay=40 * DT), 2000, tolerance=1e-3).settle()
    wanted = begun(network, axons(), 2000).settle()
    assert bool((settled.settled_after > 120).all())
    for ours, theirs in zip(settled.state, wanted.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-2)


@pytest.mark.parametrize("threshold", [0.1, 0.01, 0.001])
def test_events_keep_the_states_within_about_a_threshold_of_continuous_messages(make_network, threshold):
    network = make_network((6, 5, 4, 3), neuron={"activation": "tanh"})
    wanted = begun(network, axons(), 100).settle()
    found = begun(network, axons(threshold=threshold), 100).settle()
    assert found.messages.sum() > 0
    for ours, theirs in zip(found.state, wanted.state, strict=True):
        assert 0 < (ours - theirs).abs().max() < 5 * threshold


def test_what_receivers_add_up_is_within_one_threshold_of_what_was_sent_and_messages_are_counted():
    layout = Layout(2, 1, 1, (1, 1))
    way = Axons(axons(threshold={"bottom_up": 0.1}), layout, DT, torch.zeros(1, dtype=torch.float64))
    values = [0.05, 0.11, 0.31, 0.29, 0.05, -0.25]
    received = [way.up(0, torch.full((1, 1, 1), value, dtype=torch.float64)).item() for value in values]
    assert received == pytest.approx([0.0, 0.1, 0.3, 0.3, 0.1, -0.2])
    assert way.sent[0].item() == 0 + 1 + 2 + 0 + 2 + 3
    assert way.sent[1].item() == 0


def test_delayed_events_are_the_events_of_a_delay_ago(make_network):
    layout = Layout(2, 1, 3, (5, 4))
    both, prompt = (
        Axons(axons(threshold=0.2, delay=delay), layout, DT, torch.zeros(1, dtype=torch.float64))
        for delay in (2 * DT, 0.0)
    )
    sent = []
    for step in range(8):
        message = random(1, 3, 5, seed=step)
        sent.append(prompt.up(0, message.clone()).clone())
        arrived = both.up(0, message.clone())
        assert torch.equal(arrived, sent[step - 2] if step >= 2 else torch.zeros_like(arrived))
    assert torch.equal(both.sent, prompt.sent)


def test_events_and_delays_are_the_same_alone_as_among_other_chips(make_network):
    settings, ends = axons(threshold=0.02, delay=2 * DT), {}
    for chips in ((0, 1, 2), (1,)):
        network = make_network((6, 5, 3), chips=3, only_chips=chips, mismatch={"gain": 0.1})
        clock = Continuous(ExponentialEuler, DT, 300, 1e-3, axons=settings)
        simulation = Simulation(network, clock)
        simulation.present(random(1, 3, 6), random(1, 3, 3, seed=1), 0.3)
        ends[chips] = simulation.settle()
    assert torch.equal(ends[0, 1, 2].messages[:, 1], ends[(1,)].messages[:, 0])
    for many, alone in zip(ends[0, 1, 2].state, ends[(1,)].state, strict=True):
        assert torch.equal(many[:, 1], alone[:, 0])


def test_what_is_on_its_way_is_part_of_a_restored_simulation(make_network):
    network, settings = make_network((6, 5, 4, 3)), axons(threshold=0.02, delay=[3 * DT, 5 * DT])
    whole, before, after = (begun(network, settings, integrator=Euler) for _ in range(3))
    whole.advance(50)
    before.advance(21)
    after.restore({name: tensor.clone() for name, tensor in before.tensors().items()})
    after.advance(29)
    assert all(torch.equal(a, b) for a, b in zip(whole.state, after.state, strict=True))
    assert torch.equal(whole.messages, after.messages)


def test_random_clocks_and_events_with_delays_work_together(make_network):
    network = make_network((6, 5, 3), neuron={"activation": "tanh"})
    clock = Poisson(1e6, DT, 400, None, axons=axons(threshold=0.001, delay=DT))
    simulation = Simulation(network, clock)
    simulation.present(random(1, 3, 6), random(1, 3, 3, seed=1), 0.3, Stream(0, "x", dtype=torch.float64))
    found, wanted = simulation.settle(), begun(network, axons(), 600).settle()
    for ours, theirs in zip(found.state, wanted.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-3)


def scenario(**settings) -> Scenario:
    sections = {"network": {"layers": [64, 8, 8, 10]}, "dynamics": {"dt": "0.2 us", "axons": settings}}
    return Scenario.model_validate(sections)


def test_a_delay_that_is_no_multiple_of_the_step_is_rounded_with_a_warning_that_names_the_new_value():
    with pytest.warns(AnalogdpWarning, match=r"delay\.bottom_up: 3.1e-07 s is no multiple .* taken as 4e-07 s"):
        rounded = scenario(delay={"bottom_up": "0.31 us"})
    assert rounded.dynamics.axons.delay.bottom_up == (4e-7,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scenario(delay={"bottom_up": "0.6 us"}).dynamics.axons.delay.bottom_up == (0.6e-6,)
        Scenario.model_validate(rounded.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0}, "0 is out of range; allowed: above 0"),
        ({"threshold": {"top_down": [0.1, 0.0]}}, "above 0"),
        ({"delay": "-1 us"}, "at least 0|0 or more|from 0"),
        ({"delay": ["1 us", "1 us", "1 us"]}, "3 values, but there are 2 pairs"),
    ],
)
def test_impossible_axons_are_refused_with_the_reason(settings, message):
    with pytest.raises((ScenarioError, ValueError), match=message):
        scenario(**settings)


@pytest.mark.parametrize("delay", [40 * DT, 200 * DT])
def test_samples_that_only_wait_for_messages_have_not_settled(make_network, delay):
    network = make_network((6, 5, 4, 3), neuron={"activation": "tanh"})
    settled = begun(network, axons(delay=delay), 100, tolerance=1e-3).settle()
    assert bool((settled.settled_after == -1).all())
    assert settled.steps == 100
    running = begun(network, axons(delay=delay), 100)
    list(running.run(3 * round(delay / DT), every=5, until=[converged(1e-3)]))
    assert running.step == 3 * round(delay / DT), "messages need four delays to go up and down again"


def test_messages_take_the_sum_of_all_delays_to_go_up_and_down_again():
    settings = axons(delay={"bottom_up": [2 * DT, 0.0], "top_down": [DT, 4 * DT]})
    assert Axons(settings, Layout(2, 1, 1, (5, 4, 2)), DT, torch.zeros(1)).round_trip == 7
    assert settings.round_trip(2) == pytest.approx(7 * DT)


def test_the_default_time_limit_leaves_time_for_all_delays():
    plain, delayed = scenario(), scenario(delay={"bottom_up": ["1 us", "2 us"], "top_down": "4 us"})
    assert delayed.dynamics.settle.at_most - plain.dynamics.settle.at_most == pytest.approx(11e-6)


def test_a_time_limit_within_the_delays_is_refused():
    sections = {
        "network": {"layers": [64, 8, 10]},
        "dynamics": {"axons": {"delay": "5 us"}, "settle": {"at_most": "10 us"}},
    }
    with pytest.raises((ScenarioError, ValueError), match=r"not longer than messages are on their way.* 1e-05 s"):
        Scenario.model_validate(sections)


def test_messages_on_their_way_do_not_reach_the_next_samples(make_network):
    network, settings = make_network((6, 5, 4, 3)), axons(threshold=0.02, delay=5 * DT)
    ends = []
    fresh = begun(network, settings)
    fresh.advance(30)
    used = begun(network, settings)
    used.present(random(1, 3, 6, seed=7), random(1, 3, 3, seed=8), 0.3)
    used.advance(17)
    used.present(random(1, 3, 6), random(1, 3, 3, seed=1), 0.3)
    used.advance(30)
    ends = [[state.clone() for state in simulation.state] for simulation in (fresh, used)]
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert torch.equal(fresh.messages, used.messages)


def test_events_that_a_finished_chip_would_still_send_do_not_count(make_network):
    settings = axons(threshold=0.005)
    network = make_network((6, 5, 3), chips=3, mismatch={"gain": 0.3, "tau": 0.2}, neuron={"activation": "tanh"})
    simulation = Simulation(network, Continuous(ExponentialEuler, DT, 400, 0.1, check_every=1, axons=settings))
    simulation.present(random(1, 1, 6), random(1, 1, 3, seed=1), 0.3)
    settled = simulation.settle()
    first = int(settled.chip_steps.argmin())
    assert bool((simulation.messages[:, first] > settled.messages[:, first]).any()), "it sends on while others settle"
    simulation.present(random(1, 1, 6), random(1, 1, 3, seed=1), 0.3)
    simulation.advance(int(settled.chip_steps[first]))
    assert torch.equal(settled.messages[:, first], simulation.messages[:, first])


def test_axons_without_layers_to_join_are_refused():
    with pytest.raises((ScenarioError, ValueError), match=r"axons\.delay.*no hidden layers"):
        Scenario.model_validate({"network": {"layers": [64, 10]}, "dynamics": {"axons": {"delay": "1 us"}}})


@pytest.mark.parametrize(("dtype", "refused"), [("float32", True), ("float64", False)])
def test_thresholds_finer_than_quanta_can_be_counted_are_refused(dtype, refused):
    sections = {"dynamics": {"axons": {"threshold": 1e-9}}, "run": {"dtype": dtype}}
    if not refused:
        assert Scenario.model_validate(sections).dynamics.axons.threshold.top_down == (1e-9,)
        return
    with pytest.raises((ScenarioError, ValueError), match="1e-09 is finer than float32 can count; allowed: from 1e-06"):
        Scenario.model_validate(sections)


def test_rings_of_long_delays_count_in_the_memory_estimate():
    short, long = (memory_parts(scenario(delay=delay)) for delay in ("1 us", "1 ms"))
    # 5000 steps, four messages of 8 or 10 units for each sample of a training and a test batch.
    assert long["messages on their way"] == 5000 * (8 + 8 + 8 + 10) * (32 + 256) * 4
    assert long["messages on their way"] == 1000 * short["messages on their way"]
