import math
import pickle

import pytest
import torch

from analogdp.dynamics import (
    Continuous,
    Diverged,
    Euler,
    ExponentialEuler,
    Simulation,
    Sweep,
    converged,
    diverged,
)
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse

STREAM = Stream(9, "settling", dtype=torch.float64)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels(*shape):
    """Labels that sum to one, as cross-entropy wants them."""
    return torch.softmax(random(*shape, seed=1), -1)


def continuous(steps: int = 400, tolerance: float | None = 1e-12, dt: float = 0.2e-6) -> Continuous:
    return Continuous(ExponentialEuler, dt, steps, tolerance)


def present(simulation: Simulation, batch: int = 5, stream: Stream | None = None, nudging: float = 0.5) -> torch.Tensor:
    sizes = simulation.network.sizes
    x = random(1, batch, sizes[0])
    simulation.present(x, labels(1, batch, sizes[-1]), nudging, stream)
    return x


def gradients(network, x, y):
    """Backpropagation of the mean loss, by autograd."""
    weights = [synapse.weights[0].clone().requires_grad_() for synapse in network.synapses]
    s = x[0]
    for index, (weight, layer) in enumerate(zip(weights, network.layers, strict=True)):
        s = s @ weight.T + layer.bias[0]
        if index < len(weights) - 1:
            s = layer.neuron.activation(s)
    return torch.autograd.grad(network.loss.value(s.unsqueeze(0), y).mean(), weights)


@pytest.mark.parametrize("clock", [continuous(), Sweep()], ids=["continuous", "sweep"])
@pytest.mark.parametrize("loss", ["least_squares", "cross_entropy"])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_settled_update_of_a_linear_transposed_network_is_backpropagation(make_network, alpha, loss, clock):
    """To float64 rounding: 1e-10 relative after settling to 1e-12, and 1e-13 for the sweep."""
    network = make_network((6, 7, 5, 4), neuron={"alpha": alpha, "activation": "identity"}, network={"loss": loss})
    simulation = Simulation(network, clock)
    x = present(simulation)
    y = labels(1, 5, 4)
    state = simulation.settle().state
    below = [x, *(layer.neuron.upward(own) for layer, own in zip(network.layers, state, strict=True))]
    tolerance = 1e-10 if clock.timestep else 1e-13
    for layer, own, pre, gradient in zip(network.layers, state, below, gradients(network, x, y), strict=False):
        update = -layer.neuron.learning_signal(own)[0].T @ pre[0] / 5
        torch.testing.assert_close(update, gradient, rtol=0, atol=tolerance * gradient.norm().item())


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_at_alpha_0_and_1_the_mean_of_transposed_relu_dyads_is_the_forward_activation_exactly(make_network, alpha):
    """Exactly: the same bits as a forward pass with the same products, however strong the nudging."""
    network = make_network((64, 30, 20, 10), neuron={"alpha": alpha, "beta": 5.0})
    simulation = Simulation(network, Sweep(3))
    x = present(simulation, nudging=5.0)
    state = simulation.settle().state
    forward = x
    for index, layer in enumerate(network.layers[:-1]):
        forward = torch.relu(network.synapses[index].forward(forward, layer.bias))
        assert torch.equal(layer.neuron.upward(state[index]), forward)
    assert layer.neuron.downward(state[0]).abs().max() > 0.1, "though the compartments are far apart"


def test_settling_stops_when_every_sample_is_within_the_tolerance(make_network):
    simulation = Simulation(make_network(), continuous(tolerance=1e-3))
    present(simulation)
    settling = simulation.settle()
    assert settling.steps < 400
    assert settling.settled_after.max() == settling.steps
    state = torch.cat([view.flatten() for view in settling.state])
    assert (simulation.field(state) - state).abs().max() < 1e-3


def test_samples_that_do_not_settle_in_time_are_told_apart(make_network):
    simulation = Simulation(make_network(), continuous(steps=20, tolerance=1e-6))
    present(simulation)
    settling = simulation.settle()
    assert settling.steps == 20
    assert (settling.settled_after == -1).all()


def test_without_noise_two_settlings_of_the_same_samples_are_the_same_bits(make_network):
    simulation = Simulation(make_network(), continuous())
    states = []
    for batch in (5, 3, 5):
        present(simulation, batch)
        states.append([view.clone() for view in simulation.settle().state])
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[2], strict=True))


@pytest.mark.parametrize(
    "noise", [NoiseSettings(membrane=0.1), NoiseSettings(nudging=0.2)], ids=["membrane", "nudging"]
)
def test_noisy_settling_depends_on_its_stream_alone(make_network, noise):
    simulation = Simulation(make_network(), continuous(50, None), noise, tau=1e-6)
    runs = []
    for stream in (STREAM, STREAM.at(1), STREAM, None):
        present(simulation, stream=stream)
        runs.append(simulation.settle().state[-1].clone())
    assert torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[3])


def test_noisy_states_do_not_depend_on_how_steps_are_chunked_or_how_many_chips_run(make_network):
    noise, mismatch = NoiseSettings(membrane=0.1, nudging=0.1), {"alpha": 0.1, "tau": 0.1}
    ends = []
    for chips, every in (((0, 1, 2), 1), ((0, 1, 2), 37), ((1,), 10)):
        network = make_network(only_chips=chips, chips=3, mismatch=mismatch)
        simulation = Simulation(network, continuous(), noise, tau=1e-6)
        present(simulation, stream=Stream(9, "settling", chips, dtype=torch.float64))
        for _ in simulation.run(steps=100, every=every):
            pass
        chip = chips.index(1)
        ends.append([view[:, chip].clone() for view in simulation.state])
    for a, b, c in zip(*ends, strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-12, atol=1e-13)


def test_chips_settle_on_their_own_whatever_their_neighbours_do(make_network):
    """Slow and fast chips side by side report what they report alone: steps, samples' steps and states."""

    def settle(only_chips):
        network = make_network(only_chips=only_chips, chips=3, mismatch={"tau": 0.3})
        simulation = Simulation(network, Continuous(ExponentialEuler, 0.2e-6, 600, tolerance=1e-3, check_every=1))
        present(simulation)
        return simulation.settle()

    together = settle((0, 1, 2))
    assert together.chip_steps.unique().numel() == 3
    assert together.steps == together.chip_steps.max()
    for chip in range(3):
        alone = settle((chip,))
        assert alone.steps == together.chip_steps[chip]
        assert torch.equal(alone.settled_after[0], together.settled_after[chip])
        torch.testing.assert_close(alone.prediction[0], together.prediction[chip], rtol=1e-12, atol=1e-13)
        for mine, theirs in zip(alone.state, together.state, strict=True):
            torch.testing.assert_close(mine[:, 0], theirs[:, chip], rtol=1e-12, atol=1e-13)


def test_without_a_tolerance_all_chips_end_where_they_are(make_network):
    network = make_network(chips=3, mismatch={"tau": 0.3})
    simulation = Simulation(network, continuous(20, None))
    present(simulation)
    settling = simulation.settle()
    assert settling.chip_steps.tolist() == [20, 20, 20]
    for kept, present_state in zip(settling.state, simulation.state, strict=True):
        assert torch.equal(kept, present_state)
    torch.testing.assert_close(settling.prediction, simulation.field.prediction(simulation.field.output_drive))


def noisy_reads(make_network, dt, layers=(64, 10), **device):
    device = {"card": "idealized", "read_noise": 0.02, "read_time": "0.2 us", **device}
    network = make_network(
        layers,
        synapse={"model": "crossbar", "device": device},
        neuron={"activation": "identity"},
        network={"bias": False},
    )
    simulation = Simulation(network, continuous(round(12e-6 / dt), None, dt))
    x, y = (random(1, 1, units).expand(1, 3000, units) for units in (64, 10))
    simulation.present(x, y, 0.5, STREAM)
    simulation.advance(simulation.clock.steps)
    return simulation


def test_read_noise_of_neurons_does_not_depend_on_the_step(make_network):
    """An exponential filter of white noise: variance (1 - e) / (1 + e) / dt of the read's, e = exp(-dt/tau); 1.7 % apart here."""
    stds = []
    for dt in (0.2e-6, 0.1e-6, 0.05e-6):
        simulation = noisy_reads(make_network, dt)
        stds.append(simulation.state[-1].std(dim=2).mean().item())
    assert stds[0] > 1e-3
    assert stds[1] == pytest.approx(stds[0], rel=0.04)
    assert stds[2] == pytest.approx(stds[0], rel=0.04)


def test_reads_are_noisy_in_both_directions_and_from_the_clamped_input(make_network):
    """One free step after another; with noise every drive moves, also the input's, which is otherwise read only once."""
    simulation = noisy_reads(make_network, 0.2e-6, layers=(64, 12, 10))
    field = simulation.field
    moved = []
    for _ in range(2):
        simulation.advance(1)
        moved.append([field._drive[0].clone(), field._drive[1].clone(), field._feedback[0].clone()])
    first, second = moved
    state = torch.cat([view.flatten() for view in simulation.state])
    field.read_noise = None
    field(state)
    quiet = [field._drive[1].clone(), field._feedback[0].clone()]
    assert not torch.equal(first[0], second[0]), "the clamped input is read anew"
    for noisy, noise_free in zip(second[1:], quiet, strict=True):
        assert (noisy - noise_free).std() > 1e-4


def test_nudging_noise_keeps_its_correlation_whatever_the_step(make_network):
    network = make_network()
    for dt in (0.1e-6, 0.4e-6):
        clock = continuous(10, None, dt)
        simulation = Simulation(network, clock, NoiseSettings(nudging=0.2), tau=1e-6)
        present(simulation, batch=4000, stream=STREAM)
        strengths = []
        for _ in range(2):
            simulation.advance(1)
            strengths.append(simulation.field.nudging_factor.flatten() - 1)
        correlation = torch.corrcoef(torch.stack(strengths))[0, 1].item()
        assert correlation == pytest.approx(math.exp(-dt / 1e-6), abs=0.02)


def test_the_prediction_is_what_free_outputs_with_their_gain_and_offset_would_be(make_network):
    network = make_network(mismatch={"gain": 0.2, "offset": 0.2})
    simulation = Simulation(network, continuous())
    present(simulation, nudging=0.5)
    nudged = simulation.settle()
    neuron = network.neurons[-1]
    torch.testing.assert_close(nudged.prediction, neuron.gain[0] * (simulation.field.output_drive + neuron.offset[0]))
    present(simulation, nudging=0.0)
    free = simulation.settle()
    torch.testing.assert_close(free.prediction, neuron.upward(free.state[-1]), rtol=0, atol=1e-10)


def test_a_finished_chip_cannot_diverge_any_more(make_network):
    """Chip 0 settles at once, then explodes while chip 1 still settles: nobody asks it any more."""
    network = make_network(chips=2, mismatch={"alpha": 0.1})
    simulation = Simulation(network, continuous(steps=100, tolerance=1e-3))
    present(simulation)
    simulation.advance(1)
    simulation.state[0][:, 0] = math.inf
    simulation._refuse_divergence(torch.tensor([True, False]))
    network.synapses[0].weight[0] *= 1e12
    present(simulation)
    simulation.advance(3)
    with pytest.raises(Diverged, match="chip 0"):
        simulation._refuse_divergence(torch.tensor([False, False]))


def test_divergence_can_be_sent_between_processes():
    error = Diverged(7, 1e-6, 2, 3, remedy="patience")
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.step, copy.time, copy.layer, copy.chip) == (7, 1e-6, 2, 3)


def test_stationary_spread_of_a_settled_network_is_the_membrane_noise(make_network):
    """Output compartments of a free linear network with no weights are Ornstein-Uhlenbeck processes of the std asked for."""
    network = make_network((64, 10, 10), network={"gain": 0.0, "bias": False}, neuron={"activation": "identity"})
    simulation = Simulation(network, continuous(60, None), NoiseSettings(membrane=0.2))
    simulation.present(torch.zeros(1, 4000, 64, dtype=torch.float64), stream=STREAM)
    output = simulation.settle().state[-1]
    count = output.numel()
    assert abs(output.var().item() - 0.04) < 4 * 0.04 * (2 / (count - 1)) ** 0.5


@pytest.mark.parametrize(
    ("neuron", "mode", "advice"),
    [
        ({"model": "dp", "alpha": 0.0}, "settle_then_update", "alpha nearer to 1/2"),
        ({"model": "hopfield"}, "equilibrium_propagation", "network.gain, a bounded activation"),
    ],
    ids=["dp", "hopfield"],
)
def test_the_advice_on_divergence_is_about_settings_that_the_neurons_have(make_network, neuron, mode, advice):
    network = make_network(neuron={**neuron, "activation": "identity", "beta": 0.9}, learning={"mode": mode})
    network.synapses[1].weight *= 30
    simulation = Simulation(network, continuous(steps=2000))
    present(simulation)
    with pytest.raises(Diverged) as caught:
        simulation.settle()
    assert advice in str(caught.value)
    assert ("alpha" in str(caught.value)) == ("alpha" in neuron)
    assert "learning.rate" in str(caught.value)
    assert "data.normalise" in str(caught.value)


@pytest.mark.parametrize("tolerance", [1e-3, None])
def test_divergence_is_located_in_time_layer_and_chip(make_network, tolerance):
    """A linear DP network with strong feedback grows; the same network, one chip only, with a blown-up weight."""
    network = make_network(
        (64, 12, 10), chips=2, neuron={"model": "dp", "alpha": 0.0, "beta": 0.9, "activation": "identity"}
    )
    network.synapses[1].weight[1] *= 30
    simulation = Simulation(network, continuous(steps=2000, tolerance=tolerance))
    present(simulation)
    with pytest.raises(Diverged, match=r"layer \d of chip 1") as caught:
        simulation.settle()
    error = caught.value
    assert error.chip == 1
    assert error.time == pytest.approx(error.step * 0.2e-6)
    present(simulation)
    simulation.advance(error.step - 1)
    assert max(view.abs().max() for view in simulation.state) <= 1e6, "one step earlier all was still in bounds"
    simulation.advance(1)
    assert simulation.state[error.layer - 1][:, 1].abs().max() > 1e6


def test_nothing_can_be_simulated_before_samples_are_presented(make_network):
    with pytest.raises(RuntimeError, match="present"):
        Simulation(make_network(), continuous()).settle()


def test_a_run_stops_early_when_it_has_converged_and_not_before(make_network):
    network = make_network((6, 5, 3), neuron={"activation": "tanh"})
    simulation = Simulation(network, continuous(1000, None))
    present(simulation, batch=3)
    looks = sum(1 for _ in simulation.run(1000, every=10, until=[converged(1e-6), diverged()]))
    assert simulation.step == 10 * looks < 1000
    assert bool((simulation.residual < 1e-6).all())
    present(simulation, batch=3)
    simulation.advance(simulation.step + 10 * (looks - 1), residual := torch.empty(1, 3, dtype=torch.float64))
    assert not bool((residual < 1e-6).all())


def test_a_run_stops_early_when_it_diverges_and_at_the_latest_at_its_time_limit(make_network):
    network = make_network((6, 5, 3), neuron={"activation": "identity"}, network={"gain": 30.0})
    simulation = Simulation(network, Continuous(Euler, 1.5e-6, 10, tolerance=None))
    present(simulation, batch=3, nudging=50.0)
    list(simulation.run(5000, every=7, until=[diverged()]))
    assert simulation.step < 5000
    calm = Simulation(make_network((6, 5, 3)), continuous(10, None))
    present(calm, batch=3)
    list(calm.run(25, every=10, until=[diverged()]))
    assert calm.step == 25


def test_a_watcher_sees_the_beginning_and_every_so_many_steps_and_changes_nothing(make_network):
    class Watcher:
        every = 4

        def __init__(self) -> None:
            self.seen: list[int] = []

        def look(self, simulation: Simulation) -> None:
            self.seen.append(simulation.step)

    network = make_network((6, 5, 3))
    watched, alone = (Simulation(network, continuous(30, 1e-3), NoiseSettings(membrane=0.01)) for _ in range(2))
    watched.watcher = watcher = Watcher()
    ends = []
    for simulation in (watched, alone):
        present(simulation, batch=3, stream=STREAM)
        ends.append([state.clone() for state in simulation.settle().state])
    assert watcher.seen == list(range(0, 31, 4))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_hundreds_of_chips_are_one_program_and_each_is_the_one_it_is_alone(make_network):
    sections = {
        "chips": 300,
        "mismatch": {"tau": 0.1, "push": 0.05, "pull": 0.05, "mixing": 0.02, "gain": 0.05, "offset": 0.01},
        "synapse": {"model": "crossbar", "device": "reram_sb"},
    }
    ends = {}
    for chips in (tuple(range(300)), (217,)):
        network = make_network((6, 5, 3), only_chips=chips, **sections)
        simulation = Simulation(network, Continuous(ExponentialEuler, 0.2e-6, 60), NoiseSettings(membrane=0.01))
        generator = torch.Generator().manual_seed(1)
        inputs, labels = (torch.rand(1, 2, units, generator=generator, dtype=torch.float64) for units in (6, 3))
        simulation.present(inputs, labels, 0.5, Stream(1, "settling", chips, dtype=torch.float64))
        ends[chips] = simulation.settle().state
    for many, alone in zip(*ends.values(), strict=True):
        assert torch.equal(many[:, 217], alone[:, 0])
        assert torch.unique(many[0, :, 0], dim=0).shape[0] == 300


@pytest.mark.parametrize("again", ["present", "switch"])
def test_every_synapse_is_told_that_other_samples_come(make_network, monkeypatch, again) -> None:
    simulation = Simulation(make_network(), continuous())
    present(simulation)
    told: list[object] = []
    monkeypatch.setattr(Synapse, "begin", lambda synapse: told.append(synapse))
    sizes = simulation.network.sizes
    getattr(simulation, again)(random(1, 5, sizes[0]), labels(1, 5, sizes[-1]), 0.5)
    assert told == list(simulation.network.synapses)
