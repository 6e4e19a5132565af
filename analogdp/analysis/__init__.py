"""What a simulated network would cost as a chip: energy and time."""

from analogdp.analysis.account import History, account
from analogdp.analysis.report import EnergyReport, Part

__all__ = ["EnergyReport", "History", "Part", "account"]
