"""Warnings on the command line are words for the user, not lines of code."""

import subprocess
import sys


def test_a_rounded_delay_is_told_in_words():
    command = [sys.executable, "-m", "analogdp", "validate", "quickstart", "--set", "dynamics.axons={delay: 0.7 us}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in shown.stderr.splitlines() if "multiple" in line]
    assert lines, shown.stderr
    assert all(line.startswith("analogdp: dynamics.axons.delay.") for line in lines)
    assert not any(".py:" in line for line in lines)
