"""Crossbars as circuits: what wire resistance makes of reads, exactly."""
