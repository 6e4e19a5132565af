"""The crossbar section of a scenario."""

import re
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from analogdp.synapses import CrossbarSettings


@pytest.mark.parametrize(("written", "tile"), [("64x32", (64, 32)), (" 8 x 4 ", (8, 4)), (None, None)])
def test_a_tile_is_word_lines_times_bit_lines(written: str | None, tile: tuple[int, int] | None) -> None:
    assert CrossbarSettings(tile=written).tile == tile  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "fan_in", "scale"), [("4/sqrt(fan_in)", 64, 0.5), ("2 / sqrt(fan_in)", 4, 1.0), (3, 9, 3.0)]
)
def test_the_weight_range_is_a_number_or_follows_the_fan_in(written: Any, fan_in: int, scale: float) -> None:
    assert CrossbarSettings(weight_range=written).full_scale(fan_in) == scale


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"tile": "64x0"}, '64 x 0 cells. A tile needs at least 1 row and 1 column; write it as "64x64"'),
        ({"tile": "big"}, "'big' is no tile"),
        ({"tile": 64}, "64 is no tile"),
        ({"weight_range": "4/fan_in"}, "'4/fan_in' is no weight range"),
        ({"weight_range": -1}, "-1"),
        ({"dac": {"bits": 1}}, "allowed: 2 to 20"),
        ({"adc": {"range": "guessed"}}, "guessed"),
        ({"adc": {"bitts": 8}}, "did you mean 'bits'"),
        ({"write": {"rounding": "up"}}, "stochastic"),
        ({"write": {"most_pulses": 0}}, "0 is out of range"),
        ({"device": {"card": "reram_sb", "step": 7}}, "step: 7 is out of range"),
    ],
)
def test_a_wrong_section_is_told_what_is_allowed(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        CrossbarSettings.model_validate(section)


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"tile": "64x32", "dac": {"bits": 6, "range": 1.5}, "adc": {"range": "calibrated"}, "weight_range": 0.7},
        {"device": {"card": "capacitor", "lifetime": "1 ms"}, "pair": "balanced", "write": {"accumulate": "sample"}},
    ],
)
def test_a_section_written_out_reads_back_the_same(section: dict[str, Any]) -> None:
    settings = CrossbarSettings.model_validate(section)
    written = settings.model_dump(mode="json")
    assert CrossbarSettings.model_validate(written) == settings
    schema = CrossbarSettings.model_json_schema()
    jsonschema.validate(section, schema)
    jsonschema.validate(written, schema)


def test_a_balanced_pair_has_no_reference_to_put_at_a_symmetry_point(make_scenario: Any) -> None:
    with pytest.raises(ValidationError, match="reram_array_om"):
        make_scenario(synapse={"model": "crossbar", "device": "reram_array_om", "pair": "balanced"})


def test_balanced_pairs_take_more_memory() -> None:
    assert CrossbarSettings(pair="balanced").cell_bytes(4) > CrossbarSettings().cell_bytes(4) > 20


@pytest.mark.parametrize("clock", ["continuous", "sweep"])
@pytest.mark.parametrize("read_time", [None, "1 us"])
def test_read_noise_in_time_needs_the_time_of_a_read(make_scenario: Any, clock: str, read_time: str | None) -> None:
    device = {"card": "reram_sb", "read_noise": "1 %", "read_time": read_time}
    sections = {"synapse": {"model": "crossbar", "device": device}, "dynamics": {"clock": clock}}
    if read_time is None and clock != "sweep":
        with pytest.raises(ValidationError, match="say how long a read integrates"):
            make_scenario(**sections)
    else:
        make_scenario(**sections)


def test_the_time_of_a_noisy_read_needs_read_noise(make_scenario: Any) -> None:
    device = {"card": "reram_sb", "read_time": "1 us"}
    with pytest.raises(ValueError, match="read_noise is 0; set both"):
        make_scenario(synapse={"model": "crossbar", "device": device})
