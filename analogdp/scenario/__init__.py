"""What a user writes: the schema of a scenario, its loading, units, and an estimate of what it will cost."""

from analogdp.scenario.loading import dump_scenario, load_scenario
from analogdp.scenario.schema import Scenario

__all__ = ["Scenario", "dump_scenario", "load_scenario"]
