"""The whole report, from outside: a page that works in a browser, pictures that show something, from any run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from analogdp.errors import InputError
from analogdp.reports import report, write_report
from tests.exports.networks import VERIFIED, network_of, of_units, programmed, table, with_lossy_lines
from tests.reports.chromium import needs_chromium, open_page, plots
from tests.reports.runs import make_run

CURVES = {"accuracy", "loss", "settling", "pulses"}
CROSSBARS = {f"synapse{layer}-{kind}" for layer in (0, 1) for kind in ("conductances", "weights", "writes")}

ELABORATE = {"synapse0-devices", "synapse0-programming", "synapse1-programming"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("runs") / "digits-asymmetric-1")
    write_report(run)
    return run


@needs_chromium
def test_the_page_draws_every_figure_without_a_word_on_the_console(finished: Path, tmp_path: Path) -> None:
    opened = open_page(finished / "report.html", tmp_path / "profile")
    drawn = plots(opened.document)
    assert opened.console == []
    assert set(drawn.drawings) == set(drawn.traces) == CURVES | CROSSBARS


@pytest.fixture(scope="module")
def elaborate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crossbar of units of six devices in pairs, and one of single cells against a reference, both written and verified."""
    units = of_units(with_lossy_lines(table(64, 32, 2, (32, 32))), (0.4, 0.2, 0.1, 0.1, 0.1, 0.1), polarities=2)
    single = table(32, 10, 2, (32, 32))
    network = network_of(programmed(units, polarities=2), programmed(single, polarities=1), chips=(0, 1))
    folder = tmp_path_factory.mktemp("runs") / "elaborate-1"
    run = make_run(folder, chips=2, epochs=1, network=network, exported=VERIFIED)
    write_report(run)
    return run


@needs_chromium
def test_programming_and_single_devices_are_drawn_without_a_word_on_the_console(
    elaborate: Path, tmp_path: Path
) -> None:
    opened = open_page(elaborate / "report.html", tmp_path / "profile")
    drawn = plots(opened.document)
    assert opened.console == []
    assert set(drawn.drawings) == CURVES | CROSSBARS | ELABORATE
    assert drawn.traces["synapse0-devices"] == 12
    assert (drawn.traces["synapse0-programming"], drawn.traces["synapse1-programming"]) == (5, 3)


def test_the_page_tells_programming_units_and_wires(elaborate: Path) -> None:
    page = (elaborate / "report.html").read_text()
    assert "<h2>Programming</h2>" in page
    assert "A cell is 6 devices in parallel" in page
    assert page.count("2.5 Ω along word lines") == 2


def test_a_run_whose_weights_were_put_in_place_exactly_has_no_such_section(finished: Path) -> None:
    assert "<h2>Programming</h2>" not in (finished / "report.html").read_text()
    assert not list((finished / "plots").glob("*programming*"))


@needs_chromium
def test_an_error_on_a_page_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<p>broken</p><script>undefinedFunction()</script>")
    assert "undefinedFunction" in open_page(page, tmp_path / "profile").console[0]


@needs_chromium
def test_the_selector_shows_the_maps_of_another_chip_and_keeps_the_histograms(finished: Path, tmp_path: Path) -> None:
    choose = """<script>
      const choice = document.getElementById("chip");
      choice.value = "2";
      choice.dispatchEvent(new Event("change"));
      const traces = (name) => document.getElementById(name).data.filter((trace) => trace.visible !== false);
      const shown = (name) => traces(name).map((trace) => trace.meta?.chip ?? "all");
      document.title = JSON.stringify([shown("synapse0-weights"), shown("synapse1-writes")]);
    </script></body>"""
    page = tmp_path / "chosen.html"
    page.write_text((finished / "report.html").read_text().replace("</body>", choose))
    opened = open_page(page, tmp_path / "profile")
    assert opened.console == []
    title = re.search("<title>(.*?)</title>", opened.document)
    assert title is not None
    assert json.loads(title[1].replace("&quot;", '"')) == [[2, 2, 2], [2, 2, "all", "all"]]


@needs_chromium
def test_a_page_without_conductances_and_with_a_hostile_description_works(tmp_path: Path) -> None:
    hostile = "</p></script><script>console.error('in')</script><img src=x onerror=console.error(1)>"
    run = make_run(tmp_path / "a-1", crossbars=False, description=hostile, reason=hostile, command=[hostile])
    opened = open_page(write_report(run), tmp_path / "profile")
    assert opened.console == []
    assert set(plots(opened.document).drawings) == {"accuracy", "loss", "settling"}
    assert "&lt;script&gt;console.error" in opened.document


def test_the_page_loads_nothing_from_anywhere(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "default-src 'none'" in page
    head = page[: page.index("plotly.js v")]
    assert set(re.findall(r"""<[^>]+(?:src|href)=["']?([^"'>]*)""", head)) == {"data:,"}
    assert "showSendToCloud: false" in page


def test_the_page_says_what_was_run_and_how_it_went(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    head = page[: page.index("plotly.js v")]
    for text in (
        "digits-asymmetric<span",
        '<span class="badge finished">',
        "Asymmetric nudging on soft-bounds ReRAM",
        "mean ± standard deviation over 3 chips",
        "Nobody, J. Irrepr. Res. 2020",  # the card's source
        "3.75",  # a parameter of the card
        "name: digits-asymmetric\n",  # the resolved scenario
        "2.13.0",
        "&#x27;scenarios/my scenario.yaml&#x27;",
    ):
        assert text in head, text
    for checksum in json.loads((finished / "manifest.json").read_text())["checksums"].values():
        assert checksum in head


@pytest.mark.parametrize(("run", "more"), [("finished", set()), ("elaborate", ELABORATE)])
def test_the_pictures_are_not_blank(run: str, more: set[str], request: pytest.FixtureRequest) -> None:
    pictures = sorted((request.getfixturevalue(run) / "plots").iterdir())
    assert {picture.stem.replace("_", "-") for picture in pictures} == CURVES | CROSSBARS | more
    for picture in pictures:
        pixels = imread(picture)[..., :3]
        assert min(pixels.shape[:2]) > 400
        assert 0.01 < np.mean(np.any(pixels < 0.95, axis=-1)) < 0.9, picture.name


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", chips=2, sizes=(4, 3))
    files = [write_report(run), *sorted((run / "plots").iterdir())]
    first = [file.read_bytes() for file in files]
    write_report(run)
    assert [file.read_bytes() for file in files] == first


def test_a_diverged_run_says_where_and_when_and_shows_what_was_measured(tmp_path: Path) -> None:
    reason = "layer 2 of chip 0 passed 1e6 at 1.2e-05 s"
    run = make_run(tmp_path / "a-1", chips=1, epochs=0, crossbars=False, journal=True, status="diverged", reason=reason)
    page = write_report(run).read_text()
    assert '<span class="badge diverged">diverged</span>' in page
    assert f"<strong>Diverged.</strong> {reason}" in page
    assert (run / "plots" / "loss.png").exists()


def test_a_run_that_was_stopped_before_its_first_evaluation_can_be_reported(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", epochs=-1, crossbars=False, journal=True, status="running")
    assert "No evaluation was made" in write_report(run).read_text()
    assert list((run / "plots").iterdir()) == []


def test_a_manifest_with_nothing_in_it_is_enough(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    (run / "manifest.json").write_text("{}")
    assert '<span class="badge unknown">' in write_report(run).read_text()


def test_a_regression_is_headed_by_its_loss(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False, classifies=False)
    page = write_report(run).read_text()
    assert "<dt>Test loss, with noise</dt>" in page
    assert not (run / "plots" / "accuracy.png").exists()


def test_large_arrays_are_averaged_and_the_page_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", chips=1, epochs=1, sizes=(300, 20))
    assert "Maps show means over blocks of 2 word lines × 1 bit lines." in write_report(run).read_text()


def test_maps_of_the_first_chips_only_are_shown_and_the_page_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", chips=10, epochs=1, sizes=(4, 3))
    page = write_report(run).read_text()
    assert "(the first 8 of 10)" in page
    assert '<option value="7">' in page
    assert '<option value="8">' not in page


def test_synapses_beyond_the_most_that_a_page_shows_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_CROSSBARS", 2)
    run = make_run(tmp_path / "a-1", chips=1, epochs=1, sizes=(2, 2, 2, 2, 2))
    page = write_report(run).read_text()
    assert "2 more synapses are in conductances.h5" in page
    assert 'id="synapse1-weights"' in page
    assert 'id="synapse2-weights"' not in page


@pytest.mark.parametrize("name", ["scenario.yaml", "manifest.json"])
def test_a_directory_that_is_no_run_is_named(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    (run / name).unlink()
    with pytest.raises(InputError, match=f"a-1 has no {name}"):
        write_report(run)


@pytest.mark.parametrize("name", ["manifest.json", "metrics.parquet", "conductances.h5"])
def test_a_damaged_file_is_named_and_no_page_is_left(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "a-1", sizes=(4, 3))
    (run / name).write_bytes((run / name).read_bytes()[:40])
    with pytest.raises(InputError, match=name):
        write_report(run)
    assert not (run / "report.html").exists()
