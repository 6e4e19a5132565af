"""Output that nobody reads."""

import os
import sys

import pytest

from analogdp.cli.output import open_closed_streams, tell


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_was_closed_from_the_start_goes_nowhere(monkeypatch, name):
    monkeypatch.setattr(sys, name, None)
    open_closed_streams()
    with getattr(sys, name) as stream:
        print("unheard", file=stream)
        assert stream.name == os.devnull


def test_lines_are_written_at_once():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader) as heard:
        tell("one", stream)
        assert heard.readline() == "one\n"


def test_a_reader_who_leaves_is_let_go():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        os.close(reader)
        tell("one", stream)
        tell("two", stream)
