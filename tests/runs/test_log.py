from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from analogdp.runs.log import Log


def test_lines_are_appended_with_the_time(tmp_path: Path) -> None:
    Log(tmp_path / "log.txt").write("one")
    Log(tmp_path / "log.txt").write("two\nlines")
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    assert re.fullmatch(rf"{time} one\n{time} two\n  lines\n", (tmp_path / "log.txt").read_text())


def test_warnings_go_to_the_log_and_to_where_they_went_before(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.txt")
    with pytest.warns(UserWarning, match="odd"), log.with_warnings():
        warnings.warn("odd", UserWarning, stacklevel=1)
    assert "UserWarning: odd" in log.path.read_text()
    with pytest.warns(UserWarning, match="later"):
        warnings.warn("later", UserWarning, stacklevel=1)
    assert "later" not in log.path.read_text()
