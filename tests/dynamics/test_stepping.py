import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from analogdp import registry
from analogdp.dynamics import AxonSettings, Continuous, ExponentialEuler, Poisson, Simulation
from analogdp.dynamics.stepping import CapturedStepping
from analogdp.errors import InputError
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream

STREAM = Stream(3, "steps", dtype=torch.float64)
NOISE = {
    "membrane": 0.02,
    "common": 0.01,
    "coloured": {"std": 0.01, "correlation": 2e-6},
    "nudging": 0.1,
    "asymmetry": 0.05,
    "conductance": {"std": 0.05, "correlation": 5e-6},
}


class Tape(TorchDispatchMode):
    """Plays the part of a CUDA graph on any device: the recorded operations run again on the very same memory."""

    def __init__(self, work) -> None:
        super().__init__()
        self._operations = []
        with self:
            work()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        assert "normal" not in str(function), "no numbers are drawn inside a graph"
        assert "_local_scalar_dense" not in str(function), "nothing is read back inside a graph"
        self._operations.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for function, args, kwargs, result in self._operations:
            again = function(*args, **kwargs)
            made = result if isinstance(result, tuple | list) else (result,)
            for old, new in zip(made, again if isinstance(again, tuple | list) else (again,), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def present(simulation: Simulation, seed: int) -> None:
    chips = simulation.network.chip_indices
    stream = Stream(3, "steps", chips=chips, dtype=torch.float64).at(seed)
    simulation.present(random(1, 4, 6, seed=seed), random(1, 4, 3, seed=seed + 100), 0.5, stream)


def captured(simulation: Simulation) -> Simulation:
    """The same simulation, computed as it is where there is CUDA."""
    present(simulation, 0)
    work = simulation._workspace
    work.stepping = CapturedStepping(work.field, work.state, work.step, work.noise, work, capture=Tape)
    return simulation


AXONS = AxonSettings.model_validate({"delay": 0.4e-6, "threshold": 0.01})
CLOCKS = {
    **{
        name: Continuous(registry.integrators.get(name), 0.2e-6, 60, tolerance=None)
        for name in registry.integrators.names()
        if registry.integrators.get(name).strong_order is not None
    },
    "delays and events": Continuous(ExponentialEuler, 0.2e-6, 60, tolerance=None, axons=AXONS),
    "poisson": Poisson(1e6, 0.2e-6, 60, tolerance=None),
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.parametrize("chips", [1, 2])
def test_captured_steps_with_all_noise_have_the_bits_of_usual_ones_for_sample_after_sample(make_network, name, chips):
    network = make_network((6, 5, 4, 3), chips=chips)
    noise = NoiseSettings.model_validate(NOISE)
    usual, graphs = (Simulation(network, CLOCKS[name], noise, tau=1e-6) for _ in range(2))
    captured(graphs)
    for seed in (0, 1, 0):
        for simulation in (usual, graphs):
            present(simulation, seed)
            simulation.advance(47)
            simulation.advance(5, residual := torch.empty(chips, 4, dtype=torch.float64))
            assert bool((residual > 0).all())
        for one, other in zip(usual.state, graphs.state, strict=True):
            assert torch.equal(one, other)
        assert torch.equal(usual.field.output_drive, graphs.field.output_drive)


def test_captured_steps_follow_memory_of_earlier_steps(make_network):
    network = make_network((6, 5, 4, 3))
    clock = Continuous(registry.integrators.get("etd_ab2"), 0.2e-6, 60, tolerance=1e-4)
    usual, graphs = Simulation(network, clock), Simulation(network, clock)
    captured(graphs)
    for seed in (1, 2):
        for simulation in (usual, graphs):
            simulation.present(random(1, 4, 6, seed=seed), random(1, 4, 3, seed=seed + 100), 0.5)
        one, other = usual.settle(), graphs.settle()
        assert one.steps == other.steps
        assert all(torch.equal(a, b) for a, b in zip(one.state, other.state, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("mismatch", "tolerance"), [({}, None), ({"tau": 0.1}, 1e-9)], ids=["equal", "mismatched"])
def test_compiled_steps_are_the_usual_ones_up_to_rounding(make_network, mismatch, tolerance):
    network = make_network((6, 5, 4, 3), mismatch=mismatch)
    clock = Continuous(ExponentialEuler, 0.2e-6, 60, tolerance)
    noise = NoiseSettings(membrane=0.02, common=0.01)
    usual, compiled = Simulation(network, clock, noise), Simulation(network, clock, noise, compiled=True)
    for seed in (0, 1):
        for simulation in (usual, compiled):
            present(simulation, seed)
            simulation.settle()
        for one, other in zip(usual.state, compiled.state, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(usual.field.output_drive, compiled.field.output_drive, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("clock", "noise", "message"),
    [
        (Poisson(1e6, 0.2e-6, 60), {}, "only steps of clock: continuous"),
        (Continuous(registry.integrators.get("rk4"), 0.2e-6, 60), {}, "only steps of exp_euler and euler"),
        (CLOCKS["delays and events"], {}, "messages with delays or thresholds"),
        (CLOCKS["exp_euler"], {"nudging": 0.1}, "noise of nudging"),
        (Continuous(ExponentialEuler, 0.2e-6, 60, 1e-3, check_every=1), {}, "after every step"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(make_network, clock, noise, message):
    simulation = Simulation(make_network((6, 5, 3)), clock, NoiseSettings.model_validate(noise), compiled=True)
    with pytest.raises(InputError, match=message):
        simulation.present(random(1, 4, 6))


def test_captured_steps_tell_quiet_from_noisy_and_free_from_nudged_presentations(make_network):
    network = make_network((6, 5, 3))
    usual, graphs = (Simulation(network, CLOCKS["exp_euler"], NoiseSettings(membrane=0.05)) for _ in range(2))
    captured(graphs)
    for label, nudging, quiet in ((True, 0.5, False), (True, 0.5, True), (False, 0.0, True), (True, 0.2, True)):
        for simulation in (usual, graphs):
            labels = random(1, 4, 3, seed=1) if label else None
            simulation.present(random(1, 4, 6), labels, nudging, STREAM, quiet=quiet)
            simulation.advance(20)
        assert all(torch.equal(a, b) for a, b in zip(usual.state, graphs.state, strict=True))


def test_captured_steps_notice_that_converters_were_calibrated(make_network):
    synapse = {"model": "crossbar", "device": "idealized", "adc": {"bits": 4, "range": "calibrated"}}
    network = make_network((6, 5, 3), synapse=synapse)
    usual, graphs = (Simulation(network, CLOCKS["exp_euler"]) for _ in range(2))
    captured(graphs)
    ends = []
    for _ in range(2):
        for simulation in (usual, graphs):
            simulation.present(random(1, 4, 6), random(1, 4, 3, seed=1), 0.5)
            simulation.advance(20)
        assert all(torch.equal(a, b) for a, b in zip(usual.state, graphs.state, strict=True))
        ends.append(usual.state[0].clone())
        for own in network.synapses:
            own.calibrate(random(1, 4, own.inputs, seed=3), random(1, 4, own.outputs, seed=4))
    assert not torch.equal(*ends)
