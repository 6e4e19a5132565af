"""Finished runs of small networks, made in about a second: with data of the tests' own, and a page without pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analogdp import api
from analogdp.scenario import Scenario


def small_run(folder: Path, layers: tuple[int, ...] = (12, 6, 4), **sections: Any) -> Path:
    """The directory of a run in ``folder``; sections are those of a scenario."""
    scenario = Scenario.model_validate(
        {
            "name": "small",
            "data": {"name": "blobs", "inputs": layers[0], "classes": layers[-1]},
            "network": {"layers": layers},
            "synapse": {"model": "crossbar", "device": "reram_sb"},
            "learning": {"epochs": 1, "batch": 30, "rate": 0.3},
            "dynamics": {"dt": "0.5 us", "settle": {"tolerance": None, "at_most": "4 us"}},
            "export": [],
            "run": {"device": "cpu", "threads": 1, "dtype": "float64", "directory": folder},
            **sections,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "write_report", lambda run: (run / "report.html").write_text("a page"))
        return api.run(scenario).directory
