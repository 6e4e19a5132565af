"""The commands that look at things, run as a user runs them."""

import json
import subprocess
import sys

import jsonschema
import pytest

from analogdp import __version__, library, registry
from analogdp.cli import main


@pytest.fixture
def analogdp(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["analogdp", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_the_version_is_the_packages(analogdp):
    assert analogdp("--version") == (0, f"analogdp {__version__}\n", "")


def test_the_help_names_all_commands(analogdp):
    code, text, _ = analogdp("--help")
    assert code == 0
    for command in ("run", "resume", "list", "show", "validate", "schema", "devices", "scenarios", "models"):
        assert f"\n  {command} " in text


def test_the_help_does_not_wait_for_torch():
    code = "import sys; import analogdp.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", ["devices", "scenarios"])
def test_a_list_of_shipped_files_does_not_wait_for_torch(command):
    code = (
        "import sys; from analogdp.cli.application import application; "
        "application(standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, command], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("arguments", [["vallidate"], ["validate"], ["validate", "--sett", "a"], ["devices", "shwo"]])
def test_a_wrong_command_line_ends_with_code_two(analogdp, arguments):
    code, _, message = analogdp(*arguments)
    assert code == 2
    assert "Usage: " in message


def test_a_good_scenario_is_told_with_what_it_will_cost(analogdp, tmp_path):
    (tmp_path / "a.yaml").write_text("name: mine")
    code, text, message = analogdp("validate", "a.yaml")
    assert (code, message) == (0, "")
    assert text.startswith("a.yaml: good; mine takes at most about 4")
    assert " MB of memory and " in text


def test_all_problems_of_all_files_are_told_with_their_lines(analogdp, tmp_path):
    (tmp_path / "good.yaml").write_text("name: good")
    (tmp_path / "bad.yaml").write_text("neuron:\n  alpha: 1.5\n  modle: dp\n")
    (tmp_path / "large.yaml").write_text("network: {layers: [64, 1000000000000, 10]}")
    code, text, message = analogdp("validate", "good.yaml", "bad.yaml", "large.yaml", "gone.yaml")
    assert code == 2
    assert text.startswith("good.yaml: good")
    starts = [
        "bad.yaml:2: neuron.alpha: 1.5 is out of range; allowed: 0 to 1",
        "bad.yaml:3: neuron.modle: unknown key 'modle'; did you mean 'model'?",
        "large.yaml: scenario needs about 38 PB of memory",
        "gone.yaml: there is no such file",
    ]
    assert [line[: len(start)] for line, start in zip(message.splitlines(), starts, strict=True)] == starts


def test_an_override_is_validated_with_the_file(analogdp, tmp_path):
    (tmp_path / "a.yaml").write_text("name: mine")
    code, _, message = analogdp("validate", "a.yaml", "--set", "neuron.alpha=2")
    assert code == 2
    assert message == "--set neuron.alpha=2: neuron.alpha: 2 is out of range; allowed: 0 to 1\n"


def test_the_printed_schema_is_a_json_schema(analogdp):
    code, text, _ = analogdp("schema")
    assert code == 0
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"name": "mine", "neuron": {"alpha": "30 %"}}, schema)


@pytest.mark.parametrize("kind", ["devices", "scenarios"])
def test_the_shipped_files_are_listed_and_shown_as_they_are(analogdp, kind):
    code, text, _ = analogdp(kind)
    assert code == 0
    listed = [line.split()[0] for line in text.splitlines()[1:]]
    assert listed == library.names(kind)
    code, text, _ = analogdp(kind, "show", listed[0])
    assert code == 0
    assert library.find(kind, listed[0]).read_text().strip() in text


@pytest.mark.parametrize(("kind", "name"), [("devices", "reram_sc"), ("scenarios", "quikstart")])
def test_an_unknown_shipped_file_is_answered_with_the_nearest(analogdp, kind, name):
    code, _, message = analogdp(kind, "show", name)
    assert code == 2
    assert message.startswith("analogdp: unknown ")
    assert "did you mean '" in message


def test_a_device_card_of_ones_own_is_shown(analogdp, tmp_path):
    (tmp_path / "mine.yaml").write_text(library.find("devices", "capacitor").read_text())
    code, text, _ = analogdp("devices", "show", "mine.yaml")
    assert code == 0
    assert text.startswith("# capacitor: linear model, ")


def test_every_registered_part_is_listed_with_what_it_is(analogdp):
    code, text, _ = analogdp("models")
    assert code == 0
    sections = text.strip().split("\n\n")
    for known, section in zip(registry.all_registries(), sections, strict=True):
        for name in known.names():
            (line,) = [line for line in section.splitlines() if line.split()[:1] == [name]]
            assert len(line.split()) > 2


def test_a_reader_who_leaves_early_causes_no_complaint(tmp_path):
    command = f"{sys.executable} -m analogdp schema | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{\n", "")
