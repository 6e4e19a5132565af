"""How neurons are wired: layers, the flat state, and building a network from a scenario."""

from analogdp.network.build import build, resolve_device
from analogdp.network.field import Field, ReadNoise, Transmission
from analogdp.network.layout import Layout
from analogdp.network.network import Layer, Network
from analogdp.network.projections import Passage

__all__ = ["Field", "Layer", "Layout", "Network", "Passage", "ReadNoise", "Transmission", "build", "resolve_device"]
