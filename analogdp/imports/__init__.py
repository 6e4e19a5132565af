"""What comes into the simulator: conductances that were measured on a chip."""

from analogdp.imports.measured import Measured, MeasuredCrossbar, read_measured
from analogdp.imports.replacing import Missing, WeightErrors, replace_cells

__all__ = ["Measured", "MeasuredCrossbar", "Missing", "WeightErrors", "read_measured", "replace_cells"]
