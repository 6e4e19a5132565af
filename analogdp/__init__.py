"""Simulates analog neuromorphic hardware that learns: dyadic neurons on memristor crossbars, in continuous time.

import analogdp as adp

scenario = adp.load_scenario("scenarios/quickstart.yaml")
result = adp.run(scenario)
result.accuracy
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analogdp import nn
    from analogdp.ablation import ablate
    from analogdp.aging import age
    from analogdp.analysis import Ablation, Aging
    from analogdp.api import Result, open_run, resume, run
    from analogdp.diagrams import PhaseDiagram, stability
    from analogdp.exports import read_conductances
    from analogdp.replicas import Replication, replicate
    from analogdp.runs import Observer, Recording, read_recordings
    from analogdp.scenario import Scenario, load_scenario
    from analogdp.transfer import evaluate, export, with_conductances
    from analogdp.transplant import from_torch
    from analogdp.verification.comparison import Verification, verify

__all__ = [
    "Ablation",
    "Aging",
    "Observer",
    "PhaseDiagram",
    "Recording",
    "Replication",
    "Result",
    "Scenario",
    "Verification",
    "__version__",
    "ablate",
    "age",
    "evaluate",
    "export",
    "from_torch",
    "load_scenario",
    "nn",
    "open_run",
    "read_conductances",
    "read_recordings",
    "replicate",
    "resume",
    "run",
    "stability",
    "verify",
    "with_conductances",
]

try:
    __version__ = version("analogdp")
except PackageNotFoundError:  # imported from a source tree that is not installed
    __version__ = "unknown"

_HOMES = {
    "Ablation": "analogdp.analysis",
    "Aging": "analogdp.analysis",
    "Observer": "analogdp.runs",
    "PhaseDiagram": "analogdp.diagrams",
    "Recording": "analogdp.runs",
    "Replication": "analogdp.replicas",
    "Result": "analogdp.api",
    "Scenario": "analogdp.scenario",
    "Verification": "analogdp.verification.comparison",
    "ablate": "analogdp.ablation",
    "age": "analogdp.aging",
    "evaluate": "analogdp.transfer",
    "export": "analogdp.transfer",
    "from_torch": "analogdp.transplant",
    "load_scenario": "analogdp.scenario",
    "open_run": "analogdp.api",
    "read_conductances": "analogdp.exports",
    "read_recordings": "analogdp.runs",
    "replicate": "analogdp.replicas",
    "resume": "analogdp.api",
    "run": "analogdp.api",
    "stability": "analogdp.diagrams",
    "verify": "analogdp.verification.comparison",
    "with_conductances": "analogdp.transfer",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that ``analogdp --help`` need not wait for torch."""
    if name == "nn":
        return importlib.import_module("analogdp.nn")
    if name not in _HOMES:
        raise AttributeError(f"module 'analogdp' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
