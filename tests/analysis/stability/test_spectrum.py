"""Leading eigenvalues: numpy's of whole matrices, scipy's ARPACK, and the claims of theory are what they are compared with."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigs

from analogdp import registry
from analogdp.analysis.stability import System, free_state, linear_step, linearise, loop_gain, spectrum
from analogdp.dynamics import Continuous, Poisson, Sweep
from analogdp.network import Network
from tests.analysis.stability.conftest import normal

TAU = 1e-6
METHODS = ("exp_euler", "etd2rk", "euler", "heun", "rk4")
ORDERS = ("forward_backward", "forward", "odd_even", "random")
CLOCKS = {
    **{name: Continuous(registry.integrators.get(name), 0.2 * TAU, 100) for name in METHODS},
    **{order: Sweep(order=order) for order in ORDERS},
    "poisson": Poisson(1e6, 0.2 * TAU, 100, share=0.7),
}
NETWORKS = {
    "loops": {"mismatch": {"alpha": 0.05}},
    "time constants": {"mismatch": {"tau": {"std": 0.2, "compartments": 0.1}}},
    "gains": {"mismatch": {"gain": {"std": 0.1, "compartments": 0.05}}, "feedback": "random"},
    "transposed": {"neuron": {"model": "dp_transposed"}, "mismatch": {"alpha": 0.1}},
}


def written_out(product, like):
    units = torch.eye(like.shape[-1], dtype=like.dtype)
    return torch.stack([product(unit.expand_as(like).clone()) for unit in units], -1).numpy()


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_its_growth_is_the_spectral_radius_of_a_step(nudged, name, clock):
    system, state = nudged((5, 4, 4, 3), at="free", chips=2, **NETWORKS[name])
    found = spectrum(system, state, CLOCKS[clock])
    step = written_out(linear_step(system, state, CLOCKS[clock]), state)
    assert found.growth.numpy() == pytest.approx(np.abs(np.linalg.eigvals(step)).max(-1), rel=1e-9)
    assert found.converged.all()


def test_etd_ab2_with_unequal_time_constants_grows_as_its_two_step_matrix(nudged):
    system, state = nudged((5, 4, 4, 3), **NETWORKS["time constants"])
    clock = Continuous(registry.integrators.get("etd_ab2"), 0.2 * TAU, 100)
    z, jacobian = 0.2 * TAU / system.tau[0, 0].numpy(), system.jacobian_matrix(state)[0, 0].numpy()
    gain, change = -np.expm1(-z), 1 + np.expm1(-z) / z
    identity = np.eye(len(z))
    step = np.block(
        [
            [identity + gain[:, None] * (jacobian - identity) + change[:, None] * jacobian, -np.diag(change)],
            [jacobian, np.zeros_like(jacobian)],
        ]
    )
    wanted = np.abs(np.linalg.eigvals(step)).max()
    assert spectrum(system, state, clock).growth[0, 0].item() == pytest.approx(wanted, rel=1e-9)


def test_the_differential_equation_has_the_rightmost_eigenvalue(nudged):
    system, state = nudged((5, 4, 4, 3), **NETWORKS["time constants"])
    tau, jacobian = system.tau[0, 0].numpy(), system.jacobian_matrix(state)[0, 1].numpy()
    wanted = np.linalg.eigvals((jacobian - np.eye(len(tau))) / tau[:, None]).real.max()
    assert np.log(spectrum(system, state).growth[0, 1].item()) == pytest.approx(wanted * tau.min(), rel=1e-9)


def test_large_networks_are_not_written_out_and_agree_with_arpack(nudged):
    system, state = nudged((20, 60, 60, 10), neuron={"alpha": 0.1, "beta": 0.15})
    found = spectrum(system, state, Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, 100))
    assert found.matrix_free
    assert bool(found.certain.all())
    product = system.jacobian(state)

    def first(vector):
        both = torch.zeros_like(state)
        both[0, 0] = torch.from_numpy(vector)
        return product(both)[0, 0].numpy()

    operator = LinearOperator((system.size, system.size), matvec=first, dtype=float)
    (wanted,) = eigs(operator, 1, which="LR", return_eigenvectors=False)
    assert abs(found.leading[0, 0].item()) == pytest.approx(abs(wanted), rel=1e-6)


def test_eigenvalues_that_have_not_converged_are_told(nudged):
    system, state = nudged((20, 60, 60, 10), neuron={"alpha": 0.1, "beta": 0.15})
    found = spectrum(system, state, directions=6)
    assert not found.certain.any()
    assert bool((found.residuals[..., 0] > 1e-6).all())


@pytest.mark.parametrize("clock", ["exp_euler", "rk4", "forward_backward", "random"])
@pytest.mark.parametrize("layers", [(20, 60, 60, 10), (5, 4, 3)])
def test_networks_without_loops_have_nothing_but_zeros(nudged, layers, clock):
    """Claim 4: DP-transposed; every exponent of the differential equation is that of a lone neuron, whatever beta."""
    system, state = nudged(layers, at="free", neuron={"model": "dp_transposed", "alpha": 0.3, "beta": 20.0})
    found = spectrum(system, state, CLOCKS[clock])
    assert not found.values.any()
    alone = {"exp_euler": np.exp(-0.2), "rk4": np.exp(-0.2), "forward_backward": 0, "random": 0}[clock]
    assert found.growth.numpy() == pytest.approx(alone, abs=3e-6)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_means_of_transposed_dyads_at_the_ends_are_the_free_activities(nudged, alpha):
    """Claim 4, for any activation and strength."""
    for activation in ("relu", "tanh"):
        neuron = {"model": "dp_transposed", "alpha": alpha, "beta": 3.0, "activation": activation}
        system, state = nudged(neuron=neuron, network={"gain": 2.0})
        active = system.field.presented[0]
        pairs = zip(system.network.layers, system.network.synapses, system.layers(state), strict=True)
        for index, (layer, synapse, own) in enumerate(pairs):
            active = active @ synapse.weights.mT + layer.bias
            if index < 2:
                active = active.relu() if activation == "relu" else active.tanh()
            assert torch.allclose(layer.neuron.upward(own), active, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.7, 1.0])
def test_sweeps_converge_just_where_the_loop_gain_is_below_one(nudged, alpha):
    """Claim 1: the multiplier of a forward-backward sweep is -g Lambda or g Lambda."""
    system, state = nudged(at="free", neuron={"alpha": alpha})
    found, near = spectrum(system, state, Sweep()), linearise(system, state)
    assert torch.allclose(found.growth, loop_gain(near))
    assert torch.allclose(found.leading.real, loop_gain(near) * (1 if alpha < 0.5 else -1))
    assert not found.leading.imag.abs().gt(1e-9).any()


@pytest.mark.parametrize(("margin", "converges"), [(0.99, True), (1.01, False)])
def test_relaxed_sweeps_converge_up_to_two_over_one_and_the_loop_gain(nudged, margin, converges):
    """Claim 3, last sentence: gamma > 0, whatever beta."""
    system, state = nudged((6, 5, 4, 3), at="free", neuron={"alpha": 0.9, "beta": 8.0, "output": "linearised"})
    gain = loop_gain(linearise(system, state))
    assert bool((gain > 1.5).all())
    sweep = written_out(linear_step(system, state, Sweep()), state)
    for sample in range(2):
        share = margin * 2 / (1 + gain[0, sample].item())
        relaxed = (1 - share) * np.eye(system.size) + share * sweep[0, sample]
        assert (np.abs(np.linalg.eigvals(relaxed)).max() < 1) == converges


def at_loop_gain(nudged, wanted: float, **sections):
    """A network whose strength makes the loop gain of each sample what is wanted, one sample at a time."""
    system, state = nudged(at="free", samples=1, **sections)
    strength = system.field.nudging * wanted / loop_gain(linearise(system, state)).item()
    system.nudge(*(own.clone() for own in system.field.presented), strength)
    return system, state


def test_a_negative_gamma_loses_stability_by_a_real_eigenvalue_just_where_the_loop_gain_is_one(nudged):
    """Claim 2: J has the eigenvalue 1 there, so that no damping helps; the synchronous map loses it there, too."""
    neuron = {"alpha": 0.1, "output": "linearised"}
    for wanted in (0.98, 1.02):
        system, state = at_loop_gain(nudged, wanted, neuron=neuron)
        found = spectrum(system, state)
        assert found.leading.imag.abs().item() < 1e-9
        assert (found.growth.item() < 1) == (wanted < 1)
        assert (found.values.abs().max().item() < 1) == (wanted < 1)
        damped = spectrum(system, state, Continuous(registry.integrators.get("exp_euler"), 0.01 * TAU, 100))
        assert (damped.growth.item() < 1) == (wanted < 1)


def test_a_positive_gamma_is_stable_below_a_loop_gain_of_one(nudged):
    """Claim 3, first sentence; the synchronous map may be unstable just above, and continuous time is not."""
    neuron = {"alpha": 0.9, "output": "linearised"}
    system, state = at_loop_gain(nudged, 0.999, neuron=neuron)
    assert spectrum(system, state).values.abs().max().item() < 1
    system, state = at_loop_gain(nudged, 1.1, neuron=neuron)
    assert spectrum(system, state).growth.item() < 1


def test_one_hidden_layer_is_stable_in_continuous_time_at_any_positive_gamma(nudged):
    system, state = at_loop_gain(nudged, 1e5, layers=(6, 8, 4), neuron={"alpha": 1.0, "output": "linearised"})
    found = spectrum(system, state)
    assert found.growth.item() == pytest.approx(np.exp(-1))
    assert found.values.imag.abs().max().item() > 100


@pytest.mark.parametrize(("depth", "published"), [(2, 4.0), (3, 2.37), (4, 1.88), (5, 1.65)])
def test_a_single_loop_loses_stability_at_the_published_gain(chain, depth, published):
    """Claim 3: gK = cos(pi / 2m)^(-2m), by a complex pair."""
    exact = np.cos(np.pi / 2 / depth) ** (-2 * depth)
    assert exact == pytest.approx(published, abs=5e-3)
    for gain in (0.999 * exact, 1.001 * exact):
        found = spectrum(*chain(depth, gain))
        assert (found.growth.item() < 1) == (gain < exact)
        assert found.leading.imag.abs().item() == pytest.approx(np.tan(np.pi / 2 / depth), rel=1e-2)


def test_compartments_of_unequal_speed_have_the_loop_gain_of_the_papers(nudged):
    """Claim 6: with equal gains, |kappa(h)| is at most alpha (1 - alpha) |tau+ - tau-| / (tau+ + tau-) of the slope."""
    system, state = nudged((6, 5, 3), at="free", neuron={"alpha": 0.5, "activation": "identity"})
    response = linearise(system, state).hidden[0]
    tau = torch.tensor([1.0, 0.25], dtype=torch.float64).reshape(2, 1, 1, 1)
    frequencies = torch.logspace(-2, 2, 4001, dtype=torch.float64)
    largest = max(response.transfer(1 / (1 + 1j * w * tau)).mean_by_push.abs().max().item() for w in frequencies)
    assert largest == pytest.approx(0.25 * 0.75 / 1.25, rel=1e-5)


def with_unequal_speeds(network: Network, ratio: float) -> None:
    speeds = torch.tensor([TAU, ratio * TAU], dtype=torch.float64).reshape(2, 1, 1, 1)
    for layer in network.layers:
        layer.tau = speeds.expand(2, 1, 1, layer.units).clone()


@pytest.mark.parametrize(
    ("model", "alpha", "stable"),
    [("dp", 0.5, False), ("dp_transposed", 0.5, False), ("dp_transposed", 0.0, True), ("dp_transposed", 1.0, True)],
)
def test_unequal_speeds_destabilise_symmetric_nudging_but_never_transposed_ends(make_network, model, alpha, stable):
    """Claim 6: at a strength where with equal time constants there are no loops at all."""
    output = {"output": "linearised"} if model == "dp" else {}
    neuron = {"model": model, "alpha": alpha, "beta": 50.0, "activation": "identity", **output}
    network = make_network((6, 8, 8, 4), neuron=neuron, network={"gain": 2.0})
    samples = normal(1, 1, 6), normal(1, 1, 4, seed=1), 50.0
    equal = System(network, *samples)
    assert spectrum(equal, free_state(equal)).growth.item() == pytest.approx(np.exp(-1))
    with_unequal_speeds(network, 0.25)
    unequal = System(network, *samples)
    found = spectrum(unequal, free_state(unequal))
    assert (found.growth.item() < 1) == stable


@pytest.mark.parametrize("share", [0.2, 2.17])
@pytest.mark.parametrize("method", ["exp_euler", "etd_ab2", "euler", "heun"])
def test_neurons_without_loops_grow_as_the_least_stable_of_their_own_chip(nudged, method, share):
    """The slowest one, or the fastest one where the steps are too long for it; numpy's eigenvalues of Euler's own step."""
    neuron = {"model": "dp_transposed", "alpha": 0.3, "beta": 3.0}
    system, state = nudged(at="free", chips=3, neuron=neuron, mismatch={"tau": 0.3})
    clock = Continuous(registry.integrators.get(method), share * TAU, 100)
    z = share * TAU / system.tau[:, 0].numpy()
    alone = {"euler": 1 - z, "heun": 1 - z + z**2 / 2}.get(method, np.exp(-z))
    growth = spectrum(system, state, clock).growth.numpy()
    assert growth == pytest.approx(np.abs(alone).max(-1)[:, None].repeat(2, 1), rel=1e-9)


def test_unequal_speeds_of_the_outputs_alone_close_loops_of_transposed_nudging(make_network):
    """Not so with equal ones; numpy's eigenvalues of the whole motion."""
    neuron = {"model": "dp_transposed", "alpha": 0.5, "beta": 20.0, "activation": "identity"}
    network = make_network((6, 3), neuron=neuron)
    outputs = network.layers[-1]
    outputs.tau = torch.tensor([TAU, TAU / 4], dtype=torch.float64).reshape(2, 1, 1, 1).expand(2, 1, 1, 3).clone()
    system = System(network, normal(1, 1, 6), normal(1, 1, 3, seed=1), 20.0)
    state = free_state(system)
    motion = (system.jacobian_matrix(state)[0, 0].numpy() - np.eye(system.size)) / system.tau[0, 0].numpy()[:, None]
    wanted = np.linalg.eigvals(motion).real.max() * TAU / 4
    assert np.log(spectrum(system, state).growth.item()) == pytest.approx(wanted, rel=1e-9)
