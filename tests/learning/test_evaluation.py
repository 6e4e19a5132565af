import pytest
import torch

from analogdp.data import load
from analogdp.dynamics import Continuous, ExponentialEuler, Settling, Simulation
from analogdp.learning.evaluation import Interval, evaluate
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import UpdateReport


def test_a_noise_free_test_is_the_forward_pass(make_network, make_scenario):
    network, data = make_network((64, 12, 10), chips=2), load(make_scenario().data, 0).to("cpu", torch.float64)
    simulation = Simulation(network, Continuous(ExponentialEuler, 0.5e-6, 200, tolerance=1e-10))
    got = evaluate(simulation, data.test_inputs, data.test_targets, data.test_labels, stream=None)
    x = data.test_inputs[:].unsqueeze(0)
    for index, layer in enumerate(network.layers):
        x = x @ network.synapses[index].weights.mT + layer.bias
        x = torch.relu(x) if index == 0 else x
    expected = ((x - data.test_targets[:]) ** 2).sum(-1).mean(1) / 2
    torch.testing.assert_close(got.loss, expected, rtol=1e-8, atol=0)
    assert torch.equal(got.accuracy, (x.argmax(-1) == data.test_labels).double().mean(1))


def test_membrane_noise_makes_a_test_worse_and_its_stream_decides_how(make_network, make_scenario):
    network, data = make_network(), load(make_scenario().data, 0).to("cpu", torch.float64)
    simulation = Simulation(network, Continuous(ExponentialEuler, 0.5e-6, 40, None), NoiseSettings(membrane=1.0))
    test = (data.test_inputs, data.test_targets, data.test_labels)
    quiet = evaluate(simulation, *test, stream=None).loss
    one, again, other = (
        evaluate(simulation, *test, stream=Stream(seed, "test", dtype=torch.float64)).loss for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one > quiet


def test_an_interval_averages_over_samples_and_adds_up_pulses():
    interval = Interval(2, torch.device("cpu"))
    settled = torch.tensor([[5, -1], [5, 10]])
    report = UpdateReport(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0]))
    loss = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    interval.add(
        loss,
        torch.tensor([[True, False], [True, True]]),
        Settling((), loss, 20, torch.tensor([20, 20]), settled),
        report,
    )
    interval.add(
        loss + 4,
        torch.tensor([[True, True], [True, True]]),
        Settling((), loss, 20, torch.tensor([20, 20]), settled),
        report,
    )
    columns = interval.columns()
    assert columns["train_loss"] == [3.5, 5.5]
    assert columns["train_accuracy"] == [0.75, 1.0]
    assert columns["settle_steps_mean"] == [12.5, 7.5], "a sample that did not settle took all steps"
    assert columns["settle_steps_max"] == [20.0, 10.0]
    assert columns["settled_fraction"] == [0.5, 1.0]
    assert (columns["pulses_up"], columns["pulses_down"]) == ([6.0, 8.0], [2.0, 0.0])
    assert "write_energy" not in columns, "no card has stated the voltages"


def test_an_interval_adds_up_the_energy_of_writes():
    interval, ones = Interval(2, torch.device("cpu")), torch.ones(2, 3)
    report = UpdateReport(ones[:, 0], ones[:, 0], torch.tensor([1e-12, 3e-12], dtype=torch.float64))
    for _ in range(2):
        interval.add(ones, None, Settling((), ones, 7, torch.tensor([7, 7]), None), report)
    assert interval.columns()["write_energy"] == pytest.approx([2e-12, 6e-12])


def test_an_interval_without_batches_has_nothing_to_report_and_survives_a_checkpoint():
    assert Interval(2, torch.device("cpu")).columns() == {}
    one, other = Interval(1, torch.device("cpu")), Interval(1, torch.device("cpu"))
    one.add(
        torch.ones(1, 3),
        torch.ones(1, 3, dtype=torch.bool),
        Settling((), torch.ones(1, 3), 7, torch.tensor([7]), None),
        None,
    )
    other.restore(one.tensors())
    assert other.columns() == one.columns()
    assert other.columns()["settle_steps_mean"] == [pytest.approx(7)]


def test_without_a_tolerance_nothing_is_said_of_settling():
    interval = Interval(1, torch.device("cpu"))
    interval.add(torch.ones(1, 3), None, Settling((), torch.ones(1, 3), 7, torch.tensor([7]), None), None)
    assert "settled_fraction" not in interval.columns()


def test_events_are_counted_per_sample_and_survive_a_checkpoint():
    interval = Interval(2, torch.device("cpu"))
    messages = torch.tensor([[[1, 2, 3], [0, 0, 3]], [[4, 5, 6], [0, 3, 0]]])
    settling = Settling((), torch.ones(2, 3), 7, torch.tensor([7, 7]), None, messages)
    interval.add(torch.ones(2, 3), None, settling, None)
    restored = Interval(2, torch.device("cpu"))
    restored.restore(interval.tensors())
    assert restored.columns()["messages_up"] == [2.0, 1.0]
    assert restored.columns()["messages_down"] == [5.0, 1.0]
