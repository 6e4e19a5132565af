"""The characteristic equation: numpy's eigenvalues of the whole Jacobian, published constants, and delay lines written out."""

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import contours, linearise, loop_gain
from analogdp.analysis.stability.characteristic import CharacteristicFunction, loop_equation
from analogdp.analysis.stability.contours import Rectangle, count_zeros, rightmost_zero
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


def delayed(steps: int) -> AxonSettings:
    return AxonSettings(delay=DelaySettings(bottom_up=(steps * 0.2 * TAU,), top_down=(2 * steps * 0.2 * TAU,)))


def delay_line(system, state, gain: float, steps: int) -> np.ndarray:
    """Exponential Euler of a linear network whose messages take time, with all that is on its way written out as state."""
    jacobian, size, depth = motion_of(system, state)[1], system.size, 2 * steps
    matrix = np.zeros(((depth + 1) * size, (depth + 1) * size))
    matrix[size:, :-size] = np.eye(depth * size)
    matrix[:size, :size] = (1 - gain) * np.eye(size)
    for target, row in enumerate(system.places):
        for source, column in enumerate(system.places):
            late = 0 if source == target else steps if source < target else 2 * steps
            own = slice(late * size + column.start, late * size + column.stop)
            matrix[row, own] += gain * jacobian[row, column]
    return matrix


@pytest.mark.parametrize("alpha", [0.1, 0.9])
def test_delays_give_the_eigenvalues_of_the_delay_lines_written_out(nudged, alpha):
    system, state = nudged((6, 4, 4, 3), neuron={"alpha": alpha, "beta": 0.4})
    clock = Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, 10, axons=delayed(3))
    root = CharacteristicFunction(linearise(system, state), sample=1, clock=clock).rightmost()
    wanted = np.abs(np.linalg.eigvals(delay_line(system, state, -np.expm1(-0.2), 3))).max()
    assert root.certain
    assert np.exp(root.value.real * 0.2 * TAU) == pytest.approx(wanted, rel=1e-7)


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
    clock = Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, 1000, None, axons=delayed(3))
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


def polynomial(*zeros: complex):
    def function(points):
        values = np.prod([points - zero for zero in zeros], axis=0)
        with np.errstate(divide="ignore"):
            return np.sign(values), np.log(np.abs(values))

    return function


def test_zeros_are_counted_with_their_multiplicity():
    zeros = (0.5, 0.5, 1 + 1j, 1 - 1j, -3.0)
    assert count_zeros(polynomial(*zeros), Rectangle(0, 2, -2, 2)).zeros == 4
    assert count_zeros(polynomial(*zeros), Rectangle(0.7, 2, -2, 2)).zeros == 2


def test_the_rightmost_zero_is_found_and_its_absence_too():
    found = rightmost_zero(polynomial(0.5, 1 + 1j, 1 - 1j), Rectangle(0, 2, -2, 2), 1e-2)
    assert found.certain
    assert found.value == pytest.approx(1 + 1j)
    assert rightmost_zero(polynomial(-1), Rectangle(0, 2, -2, 2), 1e-2).value is None


def test_a_root_whose_contours_were_not_followed_to_the_end_is_not_certain(monkeypatch):
    monkeypatch.setattr(contours, "MOST_POINTS", 10)
    assert not rightmost_zero(polynomial(0.5, 1 + 1j, 1 - 1j), Rectangle(0, 2, -2, 2), 1e-2).certain


def test_a_contour_through_a_zero_is_not_certain():
    assert not count_zeros(polynomial(0.5, 1), Rectangle(0.5, 2, -2, 2)).certain


def test_without_hidden_layers_there_is_no_loop(nudged):
    system, state = nudged((6, 3), at="free")
    assert not torch.any(loop_equation(linearise(system, state)).eigenvalues())
