"""The pictures of the documentation are those of the notebooks."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def module():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "figures.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("name", module().FIGURES)
def test_a_figure_is_what_its_notebook_draws(name):
    stored = (ROOT / "docs" / "figures" / f"{name}.png").read_bytes()
    assert stored == module().figure(name), "run: python docs/figures.py"


def test_all_figures_are_shown_and_all_that_are_shown_are_there():
    shown = {
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"\(figures/([\w-]+)\.png\)", page.read_text())
    }
    assert shown == set(module().FIGURES) == {path.stem for path in (ROOT / "docs" / "figures").glob("*.png")}
