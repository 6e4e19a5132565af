"""The ablate command, run as a user runs it."""

import sys

import pytest

from analogdp.cli import main

SMALL = """
name: small
network: {layers: [64, 10]}
noise: {membrane: 0.05}
mismatch: {gain: 0.05}
learning: {epochs: 1, batch: 500}
"""


@pytest.fixture
def analogdp(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with a scenario; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["analogdp", "ablate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_a_table_is_printed_and_progress_told_beside_it(analogdp, tmp_path):
    code, text, told = analogdp("small.yaml", "--seeds", "1", "--only", "membrane_noise", "--set", "seed=7")
    assert code == 0
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["variant", "full", "ideal", "without-membrane_noise"]
    assert "seeds 7." in text
    assert lines[-1] == "picture: runs/small-ablation-1/ablation.png"
    assert (tmp_path / "runs/small-ablation-1/ablation.json").exists()
    assert told.startswith("ablation runs/small-ablation-1: 3 runs\n[1/3] full, seed 7: epoch 0, test accuracy")
    assert told.endswith("[3/3] without-membrane_noise, seed 7: finished\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "membrane_nose"], "unknown non-ideality 'membrane_nose': did you mean 'membrane_noise'?"),
        (["--only", "wires"], "this scenario has no wires; it has gain_mismatch, membrane_noise"),
        (["--only", ","], "no non-ideality is named"),
        (["--mode", "alon"], "unknown mode 'alon': did you mean 'alone'?"),
        (["--seeds", "0"], "seeds: 0 is out of range; allowed: 1 to 1000"),
        (["--out", "small.yaml"], "small.yaml is a file"),
        (["--set", "nois.membrane=1"], "unknown key 'nois'"),
    ],
)
def test_bad_input_ends_with_code_two_and_one_message(analogdp, arguments, said):
    code, text, message = analogdp("small.yaml", *arguments)
    assert (code, text) == (2, "")
    assert said in message
    assert "Traceback" not in message
