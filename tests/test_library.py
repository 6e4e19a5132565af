"""Finding the files that travel with the package."""

import pytest

from analogdp import library
from analogdp.errors import InputError


@pytest.fixture(params=["checkout", "installed"])
def places(request, tmp_path, monkeypatch):
    """A package with files beside it, as in a checkout, or inside it, as in an installed copy."""
    package = tmp_path / "analogdp"
    root = package / "library" if request.param == "installed" else tmp_path
    (root / "scenarios" / "papers").mkdir(parents=True)
    (root / "devices").mkdir()
    for name in ("scenarios/quickstart", "scenarios/papers/two-tales", "devices/reram"):
        (root / f"{name}.yaml").write_text("name: x")
    (root / "scenarios" / "notes.txt").write_text("not a scenario")
    monkeypatch.setattr(library, "_PACKAGE", package)
    return root


def test_all_shipped_files_are_listed_by_name_also_in_subfolders(places):
    assert library.names("scenarios") == ["papers/two-tales", "quickstart"]
    assert library.names("devices") == ["reram"]


@pytest.mark.parametrize("name", ["papers/two-tales", "quickstart"])
def test_a_file_is_found_by_its_name(places, name):
    assert library.find("scenarios", name) == places / "scenarios" / f"{name}.yaml"


@pytest.mark.parametrize("name", ["quikstart", "../scenarios/quickstart"])
def test_an_unknown_name_is_answered_with_the_known_ones(places, name):
    with pytest.raises(
        InputError, match=r"unknown scenario .*did you mean 'quickstart'\? Known: papers/two-tales, quickstart"
    ):
        library.find("scenarios", name)


def test_this_copy_has_its_files():
    assert "quickstart" in library.names("scenarios")
    assert "reram_sb" in library.names("devices")
