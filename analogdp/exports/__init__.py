"""What leaves a run: exporters, registered by name, and readers for what they wrote."""

from analogdp.exports.base import Exporter, OneChipSettings, export_all, export_network, exporter
from analogdp.exports.hdf5 import write_conductances
from analogdp.exports.onnx import Onnx
from analogdp.exports.programming import Programming
from analogdp.exports.reading import Conductances, CrossbarConductances, LineResistances, Tile, read_conductances

__all__ = [
    "Conductances",
    "CrossbarConductances",
    "Exporter",
    "LineResistances",
    "OneChipSettings",
    "Onnx",
    "Programming",
    "Tile",
    "export_all",
    "export_network",
    "exporter",
    "read_conductances",
    "write_conductances",
]
