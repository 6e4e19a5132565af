"""Trained crossbars as circuits for SPICE simulators."""

from analogdp.exports.spice.exporter import Spice
from analogdp.exports.spice.settings import SpiceSettings

__all__ = ["Spice", "SpiceSettings"]
