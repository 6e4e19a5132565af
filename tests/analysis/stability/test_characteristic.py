"""The characteristic equation: numpy's eigenvalues of the whole Jacobian, published constants, and delay lines written out."""

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import linearise, loop_gain, spectrum
from analogdp.analysis.stability.characteristic import CharacteristicFunction, loop_equation
from analogdp.dynamics import Continuous, Simulation
from analogdp.dynamics.axons import AxonSettings, DelaySettings
from analogdp.errors import InputError

TAU = 1e-6

ALIKE = {
    "negative gamma": {"neuron": {"alpha": 0.1}},
    "cross-entropy": {"network": {"loss": "cross_entropy"}},
    "gammas of their own": {"mismatch": {"alpha": 0.1}},
    "random feedback": {"feedback": "random"},
    "transposed with mismatch": {"neuron": {"model": "dp_transposed"}, "mismatch": {"alpha": 0.1}},
}

UNLIKE = {
    "kinks": {"neuron": {"activation": "relu", "beta": 0.9}},
    "unequal slopes": {"neuron": {"alpha": 0.2, "beta": 0.3}},
    "unequal time constants": {"mismatch": {"tau": {"std": 0.2, "compartments": 0.2}, "alpha": 0.05}},
    "random feedback": {"feedback": "random", "mismatch": {"tau": 0.2, "gain": {"std": 0.1, "compartments": 0.1}}},
    "transposed with mismatch": {"neuron": {"model": "dp_transposed"}, "mismatch": {"tau": 0.2, "alpha": 0.1}},
}


def motion_of(system, state):
    """d (target - s) / tau of the first chip's second sample, as a matrix, and the Jacobian and time constants in it."""
    jacobian, tau = system.jacobian_matrix(state)[0, 1].numpy(), system.tau[0, 0].numpy()
    return (jacobian - np.eye(len(tau))) / tau[:, None], jacobian, tau


@pytest.mark.parametrize("layers", [(6, 5, 3), (6, 5, 4, 3), (6, 4, 4, 4, 3)])
@pytest.mark.parametrize("name", ALIKE)
def test_its_roots_are_the_eigenvalues_of_the_jacobian_that_are_not_zero(nudged, name, layers):
    system, state = nudged(layers, at="free", **ALIKE[name])
    found = loop_equation(linearise(system, state)).eigenvalues()[0, 1].numpy()
    wanted = np.linalg.eigvals(motion_of(system, state)[1])
    for value in found[np.abs(found) > 1e-2]:
        assert np.abs(wanted - value).min() < 1e-9
    assert np.abs(found).max() == pytest.approx(np.abs(wanted).max(), rel=1e-9)


@pytest.mark.parametrize("name", UNLIKE)
def test_its_general_form_is_the_determinant_of_the_whole_network(nudged, name):
    system, state = nudged(**UNLIKE[name])
    _, jacobian, tau = motion_of(system, state)
    exponents = np.array([0.3 + 1j, -0.2 + 0.5j, 2 - 3j]) / TAU
    signs, logarithms = CharacteristicFunction(linearise(system, state), sample=1)(exponents)
    wanted = [np.linalg.det(np.eye(len(tau)) - jacobian / (1 + tau * p)[:, None]) for p in exponents]
    assert signs * np.exp(logarithms) == pytest.approx(np.array(wanted), rel=1e-10)


@pytest.mark.parametrize("name", ["kinks", "unequal time constants", "transposed with mismatch"])
def test_its_rightmost_root_is_the_rightmost_eigenvalue(nudged, name):
    system, state = nudged(**UNLIKE[name])
    wanted = np.linalg.eigvals(motion_of(system, state)[0])
    root = CharacteristicFunction(linearise(system, state), sample=1).rightmost()
    assert root.certain
    rightmost = wanted[wanted.real.argmax()]
    assert (root.value.real, abs(root.value.imag)) == pytest.approx((rightmost.real, abs(rightmost.imag)), abs=1e-3)


def delayed(share: float, up: tuple[int, ...], down: tuple[int, ...]) -> AxonSettings:
    """Delays of so many steps, each a share of tau."""
    late = {name: tuple(share * TAU * n for n in own) for name, own in (("bottom_up", up), ("top_down", down))}
    return AxonSettings(delay=DelaySettings(**late))


def delay_line(system, state, gain: np.ndarray, up: tuple[int, ...], down: tuple[int, ...]) -> np.ndarray:
    """Exponential Euler of a network whose messages take time, with all that is on its way written out as state."""
    jacobian, size, depth = motion_of(system, state)[1], system.size, max(*up, *down)
    matrix = np.zeros(((depth + 1) * size, (depth + 1) * size))
    matrix[size:, :-size] = np.eye(depth * size)
    matrix[:size, :size] = np.diag(1 - gain)
    for target, row in enumerate(system.places):
        for source, column in enumerate(system.places):
            late = 0 if source == target else up[source] if source < target else down[target]
            own = slice(late * size + column.start, late * size + column.stop)
            matrix[row, own] += gain[row, None] * jacobian[row, column]
    return matrix


def compare_with_delay_line(system, state, share, up, down):
    """The root found and that of the matrix, as multipliers."""
    clock = Continuous(registry.integrators.get("exp_euler"), share * TAU, 10, axons=delayed(share, up, down))
    root = CharacteristicFunction(linearise(system, state), sample=1, clock=clock).rightmost()
    gain = -np.expm1(-share * TAU / motion_of(system, state)[2])
    wanted = np.abs(np.linalg.eigvals(delay_line(system, state, gain, up, down))).max()
    assert root.certain
    assert np.exp(root.value.real * share * TAU) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "share", "up", "down"),
    [
        (0.1, 0.2, (3, 3), (6, 6)),
        (0.9, 0.2, (3, 3), (6, 6)),
        (0.1, 0.5, (20, 21), (10, 8)),
        (0.9, 0.5, (7, 0), (12, 31)),
        (0.9, 1.0, (40,), (40,)),
    ],
)
def test_delays_give_the_eigenvalues_of_the_delay_lines_written_out(nudged, alpha, share, up, down):
    """Also where so many roots lie side by side that a contour could miss them, or the rightmost one be another."""
    layers = (6, 3, 3) if len(up) == 1 else (6, 3, 3, 3)
    mismatch = {"tau": {"std": 0.2, "compartments": 0.1}} if share == 0.5 else {}
    neuron = {"alpha": alpha, "beta": 0.8, "output": "linearised"}
    gain, at = (1.5, "rest") if alpha > 0.5 else (1.0, "free")
    system, state = nudged(layers, at=at, neuron=neuron, mismatch=mismatch, network={"gain": gain})
    compare_with_delay_line(system, state, share, up, down)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_random_delays_give_the_eigenvalues_of_the_delay_lines_written_out(nudged, seed):
    draw = np.random.default_rng(seed)
    up, down = (tuple(draw.integers(5, 41, 2).tolist()) for _ in range(2))
    neuron = {"alpha": draw.uniform(), "beta": draw.uniform(0.2, 0.9), "output": "linearised"}
    at, tau = ("free", 0.1) if seed % 2 else ("rest", 0.0)
    system, state = nudged((6, 3, 3, 3), at=at, neuron=neuron, mismatch={"tau": tau})
    compare_with_delay_line(system, state, draw.choice([0.2, 0.5]), up, down)


def test_euler_steps_as_long_as_tau_forget_the_state_and_have_the_roots_of_the_jacobian(nudged):
    system, state = nudged((6, 4, 4, 3), neuron={"alpha": 0.1, "beta": 0.8, "output": "linearised"})
    clock = Continuous(registry.integrators.get("euler"), TAU, 10)
    root = CharacteristicFunction(linearise(system, state), sample=1, clock=clock).rightmost()
    wanted = np.abs(np.linalg.eigvals(motion_of(system, state)[1])).max()
    assert root.certain
    assert np.exp(root.value.real * TAU) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("delay", [1.0, 4.0])
def test_long_delays_leave_the_root_of_a_real_crossing_to_the_right(nudged, delay):
    """At zero frequency a delay is nothing: above the boundary of a negative gamma there is a real root, smaller if late."""
    neuron = {"activation": "identity", "alpha": 0.2, "beta": 0.9, "output": "linearised"}
    system, state = nudged((6, 4, 4, 3), neuron=neuron, network={"gain": 1.5})
    near = linearise(system, state)
    assert float(loop_gain(near).min()) > 1
    function = CharacteristicFunction(near, delays=((delay * TAU,), (delay * TAU,)))
    root = function.rightmost()
    signs, _ = function(np.linspace(1.001 * root.value.real, 5 / TAU, 200) + 0j)
    assert root.certain
    assert root.value.real > 0
    assert (signs.real > 0).all()


def test_delays_make_a_linear_network_grow_as_fast_as_it_does_in_the_simulator(nudged):
    """With a positive gamma delays destabilise; the growth of a long simulation is within 1e-3 of the root's."""
    neuron = {"activation": "identity", "alpha": 0.9, "beta": 0.9, "output": "linearised"}
    system, state = nudged((6, 4, 4, 3), samples=2, neuron=neuron, network={"gain": 1.5})
    clock = Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, 1000, None, axons=delayed(0.2, (3, 3), (6, 6)))
    roots = [CharacteristicFunction(linearise(system, state), sample=k, clock=clock).rightmost() for k in (0, 1)]
    growth = np.exp(roots[0].value.real * 0.2 * TAU)
    assert growth > 1
    simulation = Simulation(system.network, clock)
    simulation.present(*system.field.presented, system.field.nudging)
    sizes = []
    for _ in range(2):
        simulation.advance(1000)
        peaks = []
        for _ in range(200):
            simulation.advance(1)
            peaks.append(max((layer[0, 0, 0] - layer[1, 0, 0]).abs().max().item() for layer in simulation.state))
        sizes.append(max(peaks))
    assert (sizes[1] / sizes[0]) ** (1 / 1200) == pytest.approx(growth, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_transposed_dyads_have_no_roots_at_any_time_constants_and_delays(nudged, alpha):
    """Claim 4; at alpha = 0 and 1 also with kinks and strong nudging, as the mean then follows one compartment alone."""
    neuron = {
        "model": "dp_transposed",
        "alpha": alpha,
        "beta": 5.0,
        "activation": "relu" if alpha in (0, 1) else "identity",
    }
    system, state = nudged(neuron=neuron, mismatch={"tau": 0.3}, network={"gain": 2.0})
    delays = ((0.7 * TAU,), (1.9 * TAU, 0.0))
    signs, logarithms = CharacteristicFunction(linearise(system, state), delays=delays)(
        np.array([0.1 + 2j, -0.5, 3]) / TAU
    )
    assert signs * np.exp(logarithms) == pytest.approx(np.ones(3), abs=1e-12)


def test_methods_with_stages_and_events_are_refused(nudged):
    system, state = nudged((6, 4, 3))
    near = linearise(system, state)
    with pytest.raises(InputError, match="another equation"):
        CharacteristicFunction(near, clock=Continuous(registry.integrators.get("heun"), 0.2 * TAU, 10))
    events = AxonSettings.model_validate({"threshold": 0.01})
    with pytest.raises(InputError, match="events are not linear"):
        CharacteristicFunction(near, clock=Continuous(registry.integrators.get("euler"), 0.2 * TAU, 10, axons=events))
    with pytest.raises(InputError, match="unequal slopes"):
        loop_equation(near)


def test_without_hidden_layers_there_is_no_loop(nudged):
    system, state = nudged((6, 3), at="free")
    assert not torch.any(loop_equation(linearise(system, state)).eigenvalues())


def test_steps_of_etd_ab2_with_unequal_time_constants_have_the_root_of_their_matrix(nudged):
    neuron = {"alpha": 0.1, "beta": 0.8, "output": "linearised"}
    system, state = nudged((6, 4, 3), at="free", neuron=neuron, mismatch={"tau": 0.2})
    clock = Continuous(registry.integrators.get("etd_ab2"), 0.5 * TAU, 10)
    root = CharacteristicFunction(linearise(system, state), sample=1, clock=clock).rightmost()
    wanted = spectrum(system, state, clock).growth[0, 1].item()
    assert root.certain
    assert np.exp(root.value.real * 0.5 * TAU) == pytest.approx(wanted, rel=1e-8)
