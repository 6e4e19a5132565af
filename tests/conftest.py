"""Shared fixtures: scenarios and networks from a few words."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import torch

from analogdp import registry
from analogdp.cli import main
from analogdp.data import Dataset
from analogdp.network import Network, build
from analogdp.scenario.data import DataSettings
from analogdp.scenario.schema import Scenario
from tests.commands import Ended


class BlobsSettings(DataSettings):
    name: str = "blobs"
    inputs: int = 64
    classes: int = 10

    def sizes(self) -> tuple[int, int]:
        return self.inputs, self.classes

    def samples(self) -> tuple[int, int]:
        return 60, 40


@registry.datasets.register("blobs")
class Blobs:
    """Noisy copies of one random pattern for each class: data of any size for tests, as another package would add them."""

    Settings = BlobsSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        assert isinstance(settings, BlobsSettings)
        generator = torch.Generator().manual_seed(seed)
        centres = torch.rand(settings.classes, settings.inputs, generator=generator)
        labels = torch.arange(100) % settings.classes
        samples = centres[labels] + 0.1 * torch.randn(100, settings.inputs, generator=generator)
        names = tuple(map(str, range(settings.classes)))
        return Dataset.of_classes("blobs", names, (samples[:60], labels[:60]), (samples[60:], labels[60:]))


def pytest_configure() -> None:
    """One thread, here and in processes that tests start: as many tests run side by side as the machine has cores.

    Reductions round differently with other numbers of threads; bit-exact tests need a fixed one. How long an example takes
    depends on the neighbours.
    """
    torch.set_num_threads(1)
    hypothesis.settings.register_profile("side by side", deadline=None)
    hypothesis.settings.load_profile("side by side")
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Whatever a test does to the number of threads ends with it."""
    yield
    torch.set_num_threads(1)


@pytest.fixture
def make_scenario() -> Callable[..., Scenario]:
    """``make_scenario(layers=(8, 6, 4), neuron={...})``: a float64 scenario on the CPU."""

    def make(layers: tuple[int, ...] = (64, 12, 10), **sections: Any) -> Scenario:
        network = {"layers": layers, **sections.pop("network", {})}
        run = {"device": "cpu", "dtype": "float64", **sections.pop("run", {})}
        data = {"name": "blobs", "inputs": layers[0], "classes": layers[-1]}
        return Scenario.model_validate({"data": data, "network": network, "run": run, **sections})

    return make


@pytest.fixture
def make_network(make_scenario: Callable[..., Scenario]) -> Callable[..., Network]:
    """``make_network(layers, neuron=...)``: the network of such a scenario, with small random biases."""

    def make(
        layers: tuple[int, ...] = (64, 12, 10), only_chips: tuple[int, ...] | None = None, **sections: Any
    ) -> Network:
        network = build(make_scenario(layers, **sections), only_chips)
        generator = torch.Generator().manual_seed(3)
        for layer in network.layers:
            if layer.bias is not None:
                layer.bias.copy_(0.1 * torch.randn(1, 1, layer.units, generator=generator, dtype=torch.float64))
        return network

    return make


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """``command("export", run, ...)``: exit code, standard output and error of the command line."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["analogdp", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, *capfd.readouterr())

    return run
