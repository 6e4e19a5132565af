"""Files of crossbars, from a few words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analogdp.exports import export_network, exporter
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from tests.exports.networks import Export


@pytest.fixture
def export(tmp_path: Path, make_network: Callable[..., Network], make_scenario: Callable[..., Scenario]) -> Export:
    """``export(chips=2, tile="5x4")``: a file of crossbars 8 x 6 and 6 x 4, and their network."""

    def make(chips: int = 1, name: str = "c.h5", **synapse: Any) -> tuple[Path, Network]:
        sections: dict[str, Any] = {
            "synapse": {"model": "crossbar", "device": "reram_sb", **synapse},
            "chips": chips,
        }
        network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
        return export_network(network, scenario, exporter("hdf5"), tmp_path / name)[0], network

    return make
