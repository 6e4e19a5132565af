"""What leaves a run: exporters, registered by name, and readers for what they wrote."""

from analogdp.exports.aihwkit import Aihwkit
from analogdp.exports.base import Exporter, OneChipSettings, export_all, export_network, exporter
from analogdp.exports.brian2 import Brian2
from analogdp.exports.crosssim import CrossSim
from analogdp.exports.csv_tiles import Csv
from analogdp.exports.hdf5 import write_conductances
from analogdp.exports.nir import Nir
from analogdp.exports.npz import Npz
from analogdp.exports.onnx import Onnx
from analogdp.exports.program_reading import PulsePrograms, read_pulse_programs
from analogdp.exports.programming import Programming
from analogdp.exports.reading import Conductances, CrossbarConductances, LineResistances, Tile, read_conductances
from analogdp.exports.safetensors import Safetensors
from analogdp.exports.spice import Spice

__all__ = [
    "Aihwkit",
    "Brian2",
    "Conductances",
    "CrossSim",
    "CrossbarConductances",
    "Csv",
    "Exporter",
    "LineResistances",
    "Nir",
    "Npz",
    "OneChipSettings",
    "Onnx",
    "Programming",
    "PulsePrograms",
    "Safetensors",
    "Spice",
    "Tile",
    "export_all",
    "export_network",
    "exporter",
    "read_conductances",
    "read_pulse_programs",
    "write_conductances",
]
