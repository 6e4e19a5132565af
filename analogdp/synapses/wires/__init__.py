"""Crossbars as circuits: what the resistance of their wires makes of reads, exactly."""

from analogdp.synapses.wires.circuit import Drive, Wires
from analogdp.synapses.wires.newton import solve_nonlinear
from analogdp.synapses.wires.solving import Method, Solution, solve
from analogdp.synapses.wires.transfer import transfer_matrix

__all__ = ["Drive", "Method", "Solution", "Wires", "solve", "solve_nonlinear", "transfer_matrix"]
