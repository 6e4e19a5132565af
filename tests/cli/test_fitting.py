"""The commands fit-device and sample-traces, run as a user runs them."""

import json
import sys

import pytest

from analogdp.cli import main
from analogdp.devices import load_card

OUTPUTS = ("mine.yaml", "mine.png", "mine.json")


@pytest.fixture
def analogdp(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["analogdp", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def sample(analogdp, tmp_path):
    """A file of traces of three devices."""
    path = tmp_path / "mine.csv"
    code, said, _ = analogdp(
        "sample-traces", path, "--devices", 3, "--sweeps", 1, "--pulses", 40, "--card", "idealized"
    )
    assert (code, said) == (0, f"3 devices, 240 pulses: {path}\n")
    return path


def test_a_fit_writes_a_card_a_picture_and_all_numbers(analogdp, sample, tmp_path):
    code, said, errors = analogdp(
        "fit-device", sample, "--model", "soft_bounds", "--model", "constant", "--material", "HfO2"
    )
    assert (code, errors) == (0, "fitting soft_bounds\nfitting constant\n")
    assert "dBIC" in said
    assert "soft_bounds  " in said
    assert load_card(tmp_path / "mine.yaml").material == "HfO2"
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "mine.json").read_text())["fits"]) == 2


def test_the_files_go_where_they_are_asked_to(analogdp, sample, tmp_path):
    options = ("--out", "out", "--card", "there.yaml", "--plot", "there.png", "--name", "other")
    assert analogdp("fit-device", sample, "--model", "constant", *options)[0] == 0
    assert load_card(tmp_path / "there.yaml").name == "other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "out", "there.png", "there.yaml"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.json"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "soft"), "unknown model 'soft'"),
        (("--card", "card.txt"), "ends in .yaml"),
        (("--out", "mine.csv"), "cannot make the folder"),
        (("--plot", "nowhere/mine.png"), "there is no folder"),
        (("--unit", "uS"), "leave one of them out"),
        (("--name", "two words"), "name"),
    ],
)
def test_a_wrong_option_ends_with_code_two_and_writes_nothing(analogdp, sample, tmp_path, options, told):
    code, _, message = analogdp("fit-device", sample, "--model", "constant", *options)
    assert code == 2
    assert told in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == [sample]


def test_a_bad_file_ends_with_code_two_and_names_the_line(analogdp, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("device,direction,conductance_uS\na,0,5\na,1,five\n")
    code, _, message = analogdp("fit-device", path)
    assert code == 2
    assert message == f"analogdp: {path}:3: conductance: 'five': not a number; write for example 12.5 or 1.25e1\n"


def test_a_file_that_is_not_there_ends_with_code_two(analogdp):
    code, _, message = analogdp("fit-device", "missing.csv")
    assert (code, message) == (2, "analogdp: missing.csv: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sample.csv", "--card", "reram"), "unknown device 'reram'"),
        (("sample.csv", "--card", "pcm_gst"), "no counted pulses up and down"),
        (("sample.csv", "--devices", "0"), "devices: 0 is not at least 1"),
        (("sample.txt",), "ends in .csv"),
    ],
)
def test_a_sample_that_cannot_be_made_ends_with_code_two(analogdp, tmp_path, arguments, told):
    code, _, message = analogdp("sample-traces", *arguments)
    assert code == 2
    assert told in message
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_file(analogdp, tmp_path):
    for name, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        analogdp("sample-traces", name, "--devices", 2, "--sweeps", 1, "--pulses", 10, "--seed", seed)
    first, second, third = ((tmp_path / name).read_text() for name in ("a.csv", "b.csv", "c.csv"))
    assert first == second != third


def test_a_file_that_may_be_a_measurement_is_not_overwritten(analogdp, tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("precious")
    code, _, message = analogdp("sample-traces", path)
    assert code == 2
    assert "is there already" in message
    assert path.read_text() == "precious"
