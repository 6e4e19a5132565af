"""Small scenarios that Brian2 checks, in tests."""

from typing import Any

from analogdp.scenario import Scenario


def small(layers: tuple[int, ...] = (6, 5, 4, 3), **sections: Any) -> Scenario:
    """A scenario on random patterns of any size."""
    network = {"layers": layers, **sections.pop("network", {})}
    data = {"name": "blobs", "inputs": layers[0], "classes": layers[-1]}
    return Scenario.model_validate({"data": data, "network": network, **sections})
