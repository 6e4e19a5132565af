"""What a simulated network would be as a chip: its energy, its time, and what age makes of it."""

from analogdp.analysis.ablation import Ablation
from analogdp.analysis.account import History, account
from analogdp.analysis.aging import Aging, Moment
from analogdp.analysis.report import EnergyReport, Part

__all__ = ["Ablation", "Aging", "EnergyReport", "History", "Moment", "Part", "account"]
