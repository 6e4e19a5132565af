"""Showing the progress of many runs: lines on standard error."""

from __future__ import annotations

import sys
from pathlib import Path

from analogdp.ablation import Campaign
from analogdp.analysis.ablation import Outcome
from analogdp.cli.output import tell
from analogdp.cli.progress import describe
from analogdp.runs import Row


class CampaignLines(Campaign):
    """A line for each run that has ended, and where runs come in turn for each of their evaluations."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._run = ""

    def begins(self, directory: Path, runs: int) -> None:
        self._total = runs
        tell(f"ablation {directory}: {runs} runs", sys.stderr)

    def run_begins(self, variant: str, seed: int) -> None:
        self._run = f"[{self._done + 1}/{self._total}] {variant}, seed {seed}"

    def evaluated(self, rows: list[Row]) -> None:
        tell(f"{self._run}: {describe(rows)}", sys.stderr)

    def said(self, message: str) -> None:
        tell(message, sys.stderr)

    def run_ended(self, variant: str, outcome: Outcome) -> None:
        self._done += 1
        reason = f": {outcome.reason}" if outcome.reason else ""
        tell(f"[{self._done}/{self._total}] {variant}, seed {outcome.seed}: {outcome.status}{reason}", sys.stderr)
