"""Reading YAML that somebody else wrote."""

import os
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analogdp.errors import ScenarioError
from analogdp.scenario.yaml import MOST_BYTES, Document, Place, dump_yaml, parse_yaml, read_yaml


def refusal(text):
    with pytest.raises(ScenarioError) as caught:
        parse_yaml(text, "a.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("012", 12),
        ("0x10", 16),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ("1 us", "1 us"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        (".inf", float("inf")),
    ],
)
def test_scalars_mean_what_a_scientist_expects(written, value):
    read = parse_yaml(f"a: {written}", "a.yaml").data["a"]
    assert read == value
    assert type(read) is type(value)


def test_every_path_has_the_line_it_was_written_in():
    document = parse_yaml("# first\nneuron:\n  alpha: 0.3\n\n  tau: 1 us\nlayers:\n- 1\n- 2\n", "a.yaml")
    assert document.place("neuron") == Place("a.yaml", 2)
    assert document.place("neuron.tau") == Place("a.yaml", 5)
    assert document.place("layers.1") == Place("a.yaml", 8)


def test_a_path_that_was_not_written_has_the_place_of_the_section_around_it():
    document = parse_yaml("a:\n  b: 1\n", "a.yaml")
    assert document.place("a.c.d") == Place("a.yaml", 1)
    assert document.place("x") == Place("a.yaml")
    assert Document(None).place("x") is None


def test_aliases_stand_for_their_anchors():
    assert parse_yaml("a: &x {b: [1, 2]}\nc: *x", "a.yaml").data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


BOMB = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.yaml: the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("a: 1\nb: 2\na: 3", "a.yaml:3: key 'a' stands twice, first in line 1"),
        ("a: [1", "a.yaml:1: this is not YAML"),
        ("a: b\n\tc: d", "this is not YAML"),
        ("a: *b", "a.yaml:1: this is not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "this is not YAML: expected a single document"),
        ("a: \x00", "this is not YAML"),
        ("x:\n  a: !!python/object/apply:os.system ['echo']", "a.yaml:2: the tag '!!python/object/apply:os.system'"),
        ("a: !mine 3", "a.yaml:1: the tag '!mine'"),
        ("a: !mine [3]", "a.yaml:1: the tag '!mine'"),
        ("a: !!set {b, c}", "the tag '!!set'"),
        ("a: !!int three", "'three' is not of the type int"),
        ("a: &x {b: 1}\nc: {<<: *x}", "a.yaml:2: merge keys (<<) are not read"),
        ("1: 2", "a.yaml:1: keys must be names"),
        ("? [1]\n: 2", "a.yaml:1: keys must be names"),
        ("a: &x [*x]", "a.yaml:1: an alias stands within its own anchor"),
        (BOMB, "its aliases expand to more than 100000 values"),
        ("[" * 100_000, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "a.yaml:1: nested too deeply; allowed: 50 levels"),
        ("a: " + "9" * 5000, "is too long a number"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_not_plain_bounded_data_is_refused_with_file_and_line(text, words):
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: \xff", "1: byte 3 is not UTF-8 text; save the file as UTF-8"),
        (b"a: 1\n" + b"#" * MOST_BYTES, "the file is larger than 1 MB"),
    ],
)
def test_a_file_that_is_not_text_or_is_huge_is_refused(tmp_path, content, words):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ScenarioError, match=words):
        read_yaml(tmp_path / "a.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(tmp_path / "a.yaml").data == {"a": 1}


def test_a_missing_file_is_answered_with_the_nearest_one(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("name: x")
    with pytest.raises(ScenarioError, match=r"there is no such file; did you mean .*quickstart.yaml\?"):
        read_yaml(tmp_path / "quikstart.yaml")


def test_a_directory_is_answered_with_the_files_in_it(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("name: x")
    with pytest.raises(ScenarioError, match=r"this is a directory, not a file; it holds quickstart.yaml"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("name", ["nowhere/a.yaml", "a\0b.yaml", "x" * 300])
def test_a_name_that_cannot_be_a_file_is_refused(tmp_path, name):
    with pytest.raises(ScenarioError):
        read_yaml(f"{tmp_path}/{name}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused_with_the_systems_reason(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1")
    (tmp_path / "a.yaml").chmod(0)
    with pytest.raises(ScenarioError, match="Permission denied"):
        read_yaml(tmp_path / "a.yaml")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.dictionaries(
    st.text(), st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
)


@given(DATA.filter(bool))
def test_dumped_data_reads_back_as_the_same_data(data):
    try:
        text = dump_yaml(data)
    except yaml.YAMLError:  # PyYAML refuses some control characters
        return
    assert parse_yaml(text, "a.yaml").data == data


@pytest.mark.parametrize("text", ["1e-3", "0o7", "no", "null", "<<", "1_000", "~", "2024-01-01", ""])
def test_text_that_looks_like_something_else_is_dumped_in_quotes(text):
    assert parse_yaml(dump_yaml({"a": text, text: 1}), "a.yaml").data == {"a": text, text: 1}


def test_a_dump_keeps_the_keys_order_and_lists_within_a_line():
    assert dump_yaml({"b": {"z": [1, 2]}, "a": 1e-06}) == "b:\n  z: [1, 2]\na: 1.0e-06\n"


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_scenario_error(text):
    with suppress(ScenarioError):
        parse_yaml(text, "a.yaml")
