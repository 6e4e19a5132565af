"""What comes into the simulator: conductances that were measured on a chip."""

from analogdp.imports.measured import Measured, MeasuredCrossbar, read_measured

__all__ = ["Measured", "MeasuredCrossbar", "read_measured"]
