"""How weights change: plasticity rules, optimizers and training."""

from analogdp.learning.always_on import AlwaysOnTrainer
from analogdp.learning.base import Progress
from analogdp.learning.dual_weight import DualWeight, StabilisedDualWeight
from analogdp.learning.evaluation import Evaluation, evaluate
from analogdp.learning.plasticity import PlasticityRule
from analogdp.learning.trainer import Trainer
from analogdp.learning.two_phase import (
    ContrastiveHebbianLearning,
    CoupledLearning,
    EquilibriumPropagation,
    TwoPhaseTrainer,
)

__all__ = [
    "AlwaysOnTrainer",
    "ContrastiveHebbianLearning",
    "CoupledLearning",
    "DualWeight",
    "EquilibriumPropagation",
    "Evaluation",
    "PlasticityRule",
    "Progress",
    "StabilisedDualWeight",
    "Trainer",
    "TwoPhaseTrainer",
    "evaluate",
]
