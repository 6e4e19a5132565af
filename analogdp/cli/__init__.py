"""The command line: one application, and its errors as one message and an exit code."""

from analogdp.cli.application import main

__all__ = ["main"]
