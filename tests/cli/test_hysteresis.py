"""The hysteresis command, run as a user runs it."""

import csv
import sys

import pytest

from analogdp.cli import main


@pytest.fixture
def analogdp(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["analogdp", "hysteresis", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_a_loop_is_drawn_and_written(analogdp, tmp_path):
    options = ("--periods", "1", "--steps", "40", "--chips", "2", "--out", "loop.png", "--csv", "loop.csv")
    code, text, _ = analogdp("yakopcic_example", "--amplitude", "300 mV", "--frequency", "70 Hz", *options)
    assert code == 0
    assert "yakopcic_example (yakopcic), 0.3 V at 70 Hz: loop.png" in text
    assert (tmp_path / "loop.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "loop.csv").open()))
    assert list(rows[0]) == ["time_s", "voltage_v", "current0_a", "current1_a", "state0", "state1"]
    assert len(rows) == 41
    assert float(rows[10]["voltage_v"]) == pytest.approx(0.3)


def test_amplitude_frequency_and_file_have_defaults(analogdp, tmp_path):
    code, text, _ = analogdp("vteam_example", "--periods", "1", "--steps", "40")
    assert code == 0
    assert "0.42 V" in text
    assert (tmp_path / "hysteresis_vteam_example.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reram_sb"], "card reram_sb: a hysteresis loop needs a bare model with a state equation"),
        (["vteam_exampel"], "did you mean 'vteam_example'"),
        (["stanford_pku_hfox", "--amplitude", "3 V"], "card stanford_pku_hfox: 3 V is beyond"),
        (["vteam_example", "--amplitude", "3 Hz"], "--amplitude: '3 Hz' is not a voltage; write for example '0.2 V'"),
        (["vteam_example", "--frequency", "fast"], "--frequency: 'fast' is no quantity"),
        (
            ["vteam_example", "--amplitude", "-1 V"],
            "card vteam_example: amplitude: -1 is out of range; allowed: above 0",
        ),
        (["vteam_example", "--out", "loop.jpg"], "loop.jpg: a name that ends in .png is needed"),
        (["vteam_example", "--csv", "nowhere/loop.csv"], "there is no folder"),
    ],
)
def test_bad_input_ends_with_code_two_and_one_message(analogdp, arguments, said):
    code, _, message = analogdp(*arguments)
    assert code == 2
    assert said in message
    assert "Traceback" not in message
