"""Files of traces: what is read, and what is refused with the line, the column and the value."""

import numpy as np
import pytest

from analogdp.devices import load_card
from analogdp.errors import InputError
from analogdp.fitting import read_traces, sample_traces, write_traces
from tests.fitting.samples import traces

HEADING = "device,direction,conductance_uS"


def rows(device="a", up=10, down=10, start=10.0):
    """A device that is pulsed up and down."""
    directions = [0] + [1] * up + [-1] * down
    return [f"{device},{direction},{start + number % 7}" for number, direction in enumerate(directions)]


@pytest.fixture
def read(tmp_path):
    """Reads lines as a file of traces."""

    def from_lines(lines, unit=None):
        path = tmp_path / "pulses.csv"
        path.write_text("\n".join(lines) + "\n")
        return read_traces(path, unit)

    return from_lines


def test_a_file_holds_the_reads_of_each_device_in_siemens(read):
    first, second = read([HEADING, *rows("a"), *rows("b", up=12)])
    assert (first.device, second.device) == ("a", "b")
    assert first.conductances[:3] == pytest.approx([10e-6, 11e-6, 12e-6], rel=1e-12)
    assert first.directions.tolist() == [1.0] * 10 + [-1.0] * 10
    assert len(second.conductances) == 23


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "sample.csv"
    written = traces("soft_bounds", devices=3)
    write_traces(path, written)
    for old, new in zip(written, read_traces(path), strict=True):
        assert new.device == old.device
        assert np.array_equal(new.directions, old.directions)
        assert new.conductances == pytest.approx(old.conductances, rel=1e-8)


@pytest.mark.parametrize(
    ("heading", "unit", "siemens"),
    [
        ("device,direction,conductance_S", None, 1.0),
        ("device,direction,conductance (nS)", None, 1e-9),
        ("Device,Direction,Conductance[mS]", None, 1e-3),
        ("device,direction,conductance_siemens", None, 1.0),
        ("device,direction,conductance", "uS", 1e-6),
        ("device;direction;conductance_uS", None, 1e-6),
        ("\ufeffdevice,direction,conductance_uS", None, 1e-6),
    ],
)
def test_the_unit_stands_in_the_heading_or_in_the_option(read, heading, unit, siemens):
    delimiter = ";" if ";" in heading else ","
    lines = [line.replace(",", delimiter) for line in rows(start=0.01)]
    lines = [line.replace(f"{delimiter}{float(line.split(delimiter)[2])}", f"{delimiter}0.5") for line in lines[:-1]]
    trace = read([heading, *lines, f"a{delimiter}-1{delimiter}0.25"], unit)[0]
    assert trace.conductances[[0, -1]] == pytest.approx([0.5 * siemens, 0.25 * siemens])


def test_columns_may_stand_in_any_order_with_others_between_and_empty_lines(read):
    lines = ["conductance_uS,temperature,pulse,direction,device", ""]
    for number, line in enumerate(rows()):
        device, direction, conductance = line.split(",")
        lines += [f"{conductance},300,{number},{direction},{device}", ""]
    assert read(lines)[0].directions.sum() == 0


@pytest.mark.parametrize(("up", "down", "start"), [("up", "down", "start"), ("+1", "-1", "0"), ("1.0", "-1.0", "0.0")])
def test_directions_may_be_words_or_signs(read, up, down, start):
    lines = [f"a,{start},5"] + [f"a,{up},6"] * 10 + [f"a,{down},4"] * 10
    assert read([HEADING, *lines])[0].directions.tolist() == [1.0] * 10 + [-1.0] * 10


@pytest.mark.parametrize(
    ("line", "place", "needed"),
    [
        ("a,1,", ":13: conductance: ''", "empty cell"),
        ("a,1", ":13: conductance: ''", "empty cell"),
        (",1,5", ":13: device: ''", "empty cell"),
        ("a,1,twelve", ":13: conductance: 'twelve'", "not a number"),
        ("a,1,nan", ":13: conductance: 'nan'", "finite"),
        ("a,1,inf", ":13: conductance: 'inf'", "finite"),
        ("a,1,-2.5", ":13: conductance: '-2.5'", "at least 0"),
        ("a,1,5e6", ":13: conductance: '5e6'", "check the unit"),
        ("a,2,5", ":13: direction: '2'", r"\+1 or up, -1 or down"),
        ("a,0,5", ":13: direction: '0'", "only there"),
        ("b,1,5", ":13: direction: '1'", "first row is its start"),
    ],
)
def test_a_bad_value_is_named_with_its_line_and_column(read, line, place, needed):
    lines = [HEADING, *rows()]
    lines[12] = line
    with pytest.raises(InputError, match=f"pulses.csv{place}.*{needed}"):
        read(lines)


@pytest.mark.parametrize(
    ("number", "needed"), [("13", "12 should follow 11"), ("11", "12 should"), ("x", "whole number")]
)
def test_a_gap_in_numbered_pulses_is_named(read, number, needed):
    lines = [f"{line},{place}" for place, line in enumerate(rows())]
    lines[12] = lines[12].rsplit(",", 1)[0] + f",{number}"
    with pytest.raises(InputError, match=f"pulses.csv:14: pulse: '{number}'.*{needed}"):
        read([f"{HEADING},pulse", *lines])


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        ([""], "the file is empty"),
        ([HEADING], "no reads below the heading"),
        (["device,conductance_uS", "a,1"], "no column 'direction'"),
        ([HEADING + ",device", "a,0,1,a"], "2 columns 'device'"),
        (["device,direction,conductance", "a,0,1"], "has no unit"),
        ([HEADING, *rows(up=9)], "device 'a' has 9 pulses up; at least 10 up and 10 down"),
        ([HEADING, *rows(), *rows("b", down=0)], "device 'b' has 0 pulses down"),
        ([HEADING, "a,0,5", *["a,1,5"] * 10, *["a,-1,5"] * 10], "'a' does not move"),
        ([HEADING, 'a,0,"5'], "not a CSV file"),
        ([HEADING, "a,0,10,5"], r"pulses.csv:2: a, 0, 10, 5: more values than the heading has columns"),
    ],
)
def test_a_file_that_cannot_be_fitted_says_what_is_needed(read, lines, needed):
    with pytest.raises(InputError, match=needed):
        read(lines)


@pytest.mark.parametrize(
    ("heading", "unit", "told"), [(HEADING, "uS", "leave one"), (HEADING[:-3], "volt", "conductance")]
)
def test_a_unit_that_does_not_fit_is_refused(read, heading, unit, told):
    with pytest.raises(InputError, match=told):
        read([heading, *rows()], unit)


@pytest.mark.parametrize(("content", "told"), [(b"\xff\xfe\x00", "UTF-8"), (None, "No such file")])
def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path, content, told):
    path = tmp_path / "pulses.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_traces(path)


def test_a_samples_devices_do_not_depend_on_how_long_they_are_pulsed():
    card = load_card("reram_sb")
    short, long = (sample_traces(card, 3, sweeps, 20, seed=4) for sweeps in (1, 2))
    assert np.array_equal(short[2].conductances, long[2].conductances[:41])


def test_a_sample_of_a_one_sided_card_is_refused():
    with pytest.raises(InputError, match="pcm_gst: no counted pulses up and down"):
        sample_traces(load_card("pcm_gst"), 3, 1, 20)


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"sweeps": 0}, {"pulses": -1}])
def test_a_sample_needs_at_least_one_of_everything(wrong):
    with pytest.raises(InputError, match="is not at least 1"):
        sample_traces(load_card("reram_sb"), **{"devices": 2, "sweeps": 1, "pulses": 5, **wrong})
