"""An installed copy: the wheel holds everything the package needs, and works from any directory."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
TINY = """
name: tiny
network: {layers: [64, 8, 10]}
synapse: {model: crossbar, device: ecram_mo}
learning: {epochs: 1, batch: 128}
"""

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheel, is missing")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel's contents, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture
def installed(wheel, tmp_path):
    """Runs ``python -m analogdp`` of the wheel in an empty folder; its standard output."""

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(wheel)}
        command = [sys.executable, "-m", "analogdp", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_the_wheel_is_typed_and_brings_its_licence_but_no_tests(wheel):
    files = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert "analogdp/py.typed" in files
    assert any(name.endswith("licenses/LICENSE") for name in files)
    assert {name.partition("/")[0].partition("-")[0] for name in files} == {"analogdp"}


@pytest.mark.parametrize("kind", ["devices", "scenarios"])
def test_an_installed_copy_finds_all_shipped_files(wheel, installed, kind):
    shipped = {
        path.relative_to(CHECKOUT / kind).with_suffix("").as_posix() for path in (CHECKOUT / kind).rglob("*.yaml")
    }
    _, *lines = installed(kind).splitlines()
    assert {line.split()[0] for line in lines} == shipped
    assert str(wheel) in installed(kind, "show", sorted(shipped)[0])


@pytest.mark.slow
def test_an_installed_copy_trains_exports_and_reports(installed, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    installed("run", "tiny.yaml")
    run = tmp_path / "runs" / "tiny-1"
    assert (run / "conductances.h5").is_file()
    page = (run / "report.html").read_text()
    assert (CHECKOUT / "analogdp" / "reports" / "page.css").read_text().strip() in page
