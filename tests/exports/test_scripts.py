"""Scripts that formats for other simulators come with, where these are not installed."""

import runpy
import sys
from pathlib import Path

import pytest

from analogdp.exports import aihwkit, crosssim


@pytest.mark.parametrize(
    ("script", "package", "said"),
    [(aihwkit.SCRIPT, "aihwkit", "pip install aihwkit"), (crosssim.SCRIPT, "simulator", "sandialabs/cross-sim")],
)
def test_a_script_says_which_package_it_needs(
    script: str, package: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.py").write_text(script)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit, match=f"^this script needs .*{said}"):
        runpy.run_path(str(tmp_path / "run.py"))
