"""The same simulations on a CUDA device; skipped where there is none (``pytest -m gpu`` runs only these)."""

import pytest
import torch

from analogdp import registry
from analogdp.data import load
from analogdp.dynamics import AxonSettings, Continuous, ExponentialEuler, Poisson, Simulation
from analogdp.dynamics.stepping import CapturedStepping, Stepping
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream

pytestmark = pytest.mark.gpu


@pytest.fixture
def make_trainer(make_scenario):
    def make(device, **sections):
        scenario = make_scenario(learning={"epochs": 1, "batch": 16}, run={"device": device}, chips=2, **sections)
        return Trainer(scenario, build(scenario), load(scenario.data, scenario.seed))

    return make


def test_training_with_ideal_weights_agrees_with_the_cpu(make_trainer):
    """Initial weights are drawn on each device, so those of the CPU are copied over."""
    on_cpu, on_gpu = make_trainer("cpu"), make_trainer("cuda")
    on_gpu.network.load_state_dict(on_cpu.network.state_dict())
    for _ in range(3):
        here, there = on_cpu.advance(), on_gpu.advance()
        assert there.loss == pytest.approx(here.loss, rel=1e-8)
    for name, value in on_cpu.network.state_dict().items():
        torch.testing.assert_close(on_gpu.network.state_dict()[name].cpu(), value, rtol=1e-8, atol=1e-10)


def test_a_noisy_crossbar_trains_and_a_restored_run_goes_on_with_the_same_bits(make_trainer):
    sections = {
        "synapse": {"model": "crossbar", "device": "ecram_mo", "adc": {"bits": 8}},
        "noise": {"membrane": 0.01, "nudging": 0.05},
        "mismatch": {"tau": 0.05, "alpha": 0.02},
    }
    whole, resumed = make_trainer("cuda", **sections), make_trainer("cuda", **sections)
    whole.advance()
    resumed.restore({name: value.clone() for name, value in whole.tensors().items()})
    assert whole.advance() == resumed.advance()
    assert whole.evaluate() == resumed.evaluate()


def test_a_chunk_of_steps_never_waits_for_the_host(make_scenario):
    network = build(make_scenario(run={"device": "cuda", "dtype": "float32"}))
    clock = Continuous(ExponentialEuler, 0.2e-6, 100, tolerance=None)
    simulation = Simulation(network, clock, NoiseSettings(membrane=0.1))
    inputs = torch.rand(1, 8, 64, device="cuda")
    simulation.present(inputs, stream=Stream(0, "noise", device=network.device))
    simulation.advance(20)  # the steps are captured here
    torch.cuda.set_sync_debug_mode("error")
    try:
        simulation.advance(20)
    finally:
        torch.cuda.set_sync_debug_mode("default")


AXONS = AxonSettings.model_validate({"delay": 0.4e-6, "threshold": 0.01})
CLOCKS = {
    **{
        name: Continuous(registry.integrators.get(name), 0.2e-6, 60, tolerance=None)
        for name in ("exp_euler", "etd2rk", "euler", "heun", "sra1")
    },
    "delays and events": Continuous(ExponentialEuler, 0.2e-6, 60, tolerance=None, axons=AXONS),
    "poisson": Poisson(1e6, 0.2e-6, 60, tolerance=None),
}
NOISE = {
    "membrane": 0.02,
    "common": 0.01,
    "coloured": {"std": 0.01, "correlation": 2e-6},
    "nudging": 0.1,
    "asymmetry": 0.05,
    "conductance": {"std": 0.05, "correlation": 5e-6},
}


@pytest.mark.parametrize("name", CLOCKS)
def test_captured_graphs_have_the_bits_of_steps_taken_one_by_one(make_scenario, name):
    network = build(make_scenario((6, 5, 4, 3), chips=2, run={"device": "cuda", "dtype": "float32"}))
    noise, ends = NoiseSettings.model_validate(NOISE), []
    for one_by_one in (False, True):
        simulation = Simulation(network, CLOCKS[name], noise, tau=1e-6)
        for seed in (0, 1):
            generator = torch.Generator("cuda").manual_seed(seed)
            inputs, labels = (torch.rand(1, 4, units, generator=generator, device="cuda") for units in (6, 3))
            stream = Stream(3, "steps", (0, 1), network.device).at(seed)
            simulation.present(inputs, labels, 0.5, stream)
            work = simulation._workspace
            if one_by_one:
                work.stepping = Stepping(work.field, work.state, work.step, work.noise)
            assert isinstance(work.stepping, CapturedStepping) is not one_by_one
            simulation.advance(45)
        ends.append([state.clone() for state in simulation.state])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
