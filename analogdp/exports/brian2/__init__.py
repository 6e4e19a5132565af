"""Inference as a script that needs numpy and Brian2 only."""

from analogdp.exports.brian2.exporter import Brian2, Brian2Settings

__all__ = ["Brian2", "Brian2Settings"]
