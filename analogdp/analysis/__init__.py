"""What a simulated network would be as a chip, how it learns and what disturbs it: energy, age, gradients, attacks."""

from analogdp.analysis.ablation import Ablation
from analogdp.analysis.account import History, account
from analogdp.analysis.adversarial import accuracy_under_attack, fgsm, pgd
from analogdp.analysis.aging import Aging, Moment
from analogdp.analysis.alignment import alignment_angles
from analogdp.analysis.gradients import forward, input_gradients, loss_gradients
from analogdp.analysis.lipschitz import jacobian_norm, spectral_product, weights_product
from analogdp.analysis.report import EnergyReport, Part

__all__ = [
    "Ablation",
    "Aging",
    "EnergyReport",
    "History",
    "Moment",
    "Part",
    "account",
    "accuracy_under_attack",
    "alignment_angles",
    "fgsm",
    "forward",
    "input_gradients",
    "jacobian_norm",
    "loss_gradients",
    "pgd",
    "spectral_product",
    "weights_product",
]
