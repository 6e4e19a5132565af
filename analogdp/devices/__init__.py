"""What a memory cell is: device models and the cards that give them measured parameters."""

from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.devices.cards import CardField, DeviceCard, load_card
from analogdp.devices.exponential import ExponentialStep
from analogdp.devices.imperfect import ImperfectDevice, Imperfections
from analogdp.devices.ion_drift import IonDrift
from analogdp.devices.measured import MeasuredDevice
from analogdp.devices.neurosim import NeuroSim
from analogdp.devices.piecewise import PiecewiseStep
from analogdp.devices.population import symmetry_point
from analogdp.devices.power import PowerStep
from analogdp.devices.programmed import ProgrammedDevice
from analogdp.devices.pulsed import PulsedDevice
from analogdp.devices.stanford_pku import StanfordPku
from analogdp.devices.state_equation import StateEquationDevice
from analogdp.devices.steps import ConstantStep, LinearStep, SoftBounds
from analogdp.devices.vteam import Vteam
from analogdp.devices.yakopcic import Yakopcic

__all__ = [
    "CardField",
    "ConstantStep",
    "DeviceCard",
    "DeviceModel",
    "DeviceSettings",
    "DeviceState",
    "ExponentialStep",
    "ImperfectDevice",
    "Imperfections",
    "IonDrift",
    "LinearStep",
    "MeasuredDevice",
    "NeuroSim",
    "PiecewiseStep",
    "PowerStep",
    "ProgrammedDevice",
    "PulsedDevice",
    "SoftBounds",
    "StanfordPku",
    "StateEquationDevice",
    "Vteam",
    "WritePulse",
    "Yakopcic",
    "load_card",
    "symmetry_point",
]
