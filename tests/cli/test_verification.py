"""``analogdp verify`` as a user calls it."""

import json
import sys

import pytest

from analogdp.cli import main

SMALL = ("quickstart", "--set", "synapse=ideal", "--set", "learning.optimizer=null", "--steps", "5", "--samples", "1")


@pytest.fixture
def verify(tmp_path, monkeypatch, capsys):
    """Runs the command; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["analogdp", "verify", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_agreement_ends_with_code_0_and_tells_every_number_as_json(verify, tmp_path):
    code, out, err = verify(*SMALL, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["passed"]
    assert found["largest"] == max(each["largest"] for each in found["differences"]) <= 1e-12
    assert found["engine"].startswith("Brian2 ")
    assert list(tmp_path.iterdir()) == []


def test_disagreement_ends_with_code_1_after_the_table(verify):
    code, out, err = verify(*SMALL, "--tolerance", "1e-30", "--equations")
    assert code == 1
    assert err.startswith("analogdp: Brian2 ")
    assert "states differ by up to " in err
    assert "FAIL" in out
    assert "dplus/dt = (plus_target - plus) / plus_tau : 1" in out


def test_what_cannot_be_checked_ends_with_code_2(verify):
    code, out, err = verify("quickstart")
    assert (code, out) == (2, "")
    assert "synapse.dac: Brian2 reads weights exactly; use --set synapse.dac=null" in err
    assert "Traceback" not in err
