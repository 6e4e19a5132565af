"""Torch modules whose weights are held by crossbars: drop-in layers for hardware-aware training by backpropagation."""

from analogdp.nn.conversion import age, convert, program
from analogdp.nn.modules import CrossbarConv2d, CrossbarLinear

__all__ = ["CrossbarConv2d", "CrossbarLinear", "age", "convert", "program"]
