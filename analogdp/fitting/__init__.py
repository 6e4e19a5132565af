"""Device cards from measurements: pulsed models fitted to conductance against pulses of a group's own devices."""

from analogdp.fitting.goodness import Fit, compare
from analogdp.fitting.outcome import card_of, card_text
from analogdp.fitting.traces import Trace, read_traces, sample_traces, write_traces

__all__ = ["Fit", "Trace", "card_of", "card_text", "compare", "read_traces", "sample_traces", "write_traces"]
