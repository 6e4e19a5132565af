"""How the command line ends."""

import errno

import pytest

from analogdp.cli import application
from analogdp.errors import InputError, Problem, RunError, ScenarioError


@pytest.fixture
def ending(monkeypatch, capsys):
    """The exit code and the message after a command has raised an error."""

    def end(error):
        def raising():
            raise error

        monkeypatch.setattr(application, "application", raising)
        with pytest.raises(SystemExit) as ended:
            application.main()
        return ended.value.code, capsys.readouterr().err

    return end


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no such thing"), 2, "analogdp: no such thing\n"),
        (RunError("it diverged"), 1, "analogdp: it diverged\n"),
        (
            ScenarioError([Problem("a", "x", "f.yaml", 1), Problem("b", "y", "f.yaml", 2)]),
            2,
            "f.yaml:1: a: x\nf.yaml:2: b: y\n",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "runs/a"),
            1,
            "analogdp: runs/a cannot be read or written: Read-only file system\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "analogdp: a file cannot be read or written: No space left on device\n",
        ),
        (KeyboardInterrupt(), 130, "analogdp: interrupted\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_one_message_and_an_exit_code(ending, error, code, message):
    assert ending(error) == (code, message)


def test_a_mistake_of_the_programs_own_is_not_hidden(ending):
    with pytest.raises(ZeroDivisionError):
        ending(ZeroDivisionError())
