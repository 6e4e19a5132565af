"""What a neuron is: the models, their activations and the losses that nudge their outputs."""

from analogdp.neurons.activations import Activation, by_name
from analogdp.neurons.base import NeuronModel
from analogdp.neurons.dyadic import DualPropagation, DualPropagationTransposed, Dyadic
from analogdp.neurons.hopfield import Hopfield
from analogdp.neurons.lifted import InvertedLiftedProximalOperatorMachine, LiftedProximalOperatorMachine
from analogdp.neurons.losses import CrossEntropy, LeastSquares, Loss
from analogdp.neurons.predictive_coding import PredictiveCoding
from analogdp.neurons.threshold import Threshold
from analogdp.neurons.untied import Backpropagation, UntiedNeurons

__all__ = [
    "Activation",
    "Backpropagation",
    "CrossEntropy",
    "DualPropagation",
    "DualPropagationTransposed",
    "Dyadic",
    "Hopfield",
    "InvertedLiftedProximalOperatorMachine",
    "LeastSquares",
    "LiftedProximalOperatorMachine",
    "Loss",
    "NeuronModel",
    "PredictiveCoding",
    "Threshold",
    "UntiedNeurons",
    "by_name",
]
