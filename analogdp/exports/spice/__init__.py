"""Trained crossbars as circuits for SPICE simulators."""
