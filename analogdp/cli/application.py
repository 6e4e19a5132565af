"""The application of all commands, and how it ends: 0 done, 1 failed, 2 bad input, 130 interrupted; no traceback."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from analogdp import __version__
from analogdp.cli import (
    ablation,
    aging,
    evaluating,
    exporting,
    fitting,
    hysteresis,
    inspection,
    replicas,
    running,
    stability,
    verification,
)
from analogdp.cli.output import let_go, open_closed_streams
from analogdp.errors import AnalogdpError, AnalogdpWarning, ScenarioError

INTERRUPTED = 130

_usual_words = warnings.formatwarning


class _Interruption(AnalogdpError):
    """The user, or a cluster's scheduler, stopped a command."""

    exit_code = INTERRUPTED


class _Commands(TyperGroup):
    """Commands whose interruption is told, which typer would not."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interruption("interrupted") from error


application = typer.Typer(
    name="analogdp",
    cls=_Commands,
    help="Simulate analog neuromorphic hardware that learns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
application.command("run")(running.run)
application.command("resume")(running.resume)
application.command("list")(running.list_runs)
application.command("show")(running.show)
application.command("export")(exporting.export)
application.command("evaluate")(evaluating.evaluate)
application.command("age")(aging.age)
application.command("verify")(verification.verify)
application.command("ablate")(ablation.ablate)
application.command("replicate")(replicas.replicate)
application.command("stability")(stability.stability)
application.command("hysteresis")(hysteresis.hysteresis)
application.command("fit-device")(fitting.fit_device)
application.command("sample-traces")(fitting.sample_traces)
application.command("validate")(inspection.validate)
application.command("schema")(inspection.schema)
application.command("models")(inspection.models)
application.add_typer(inspection.devices, name="devices")
application.add_typer(inspection.scenarios, name="scenarios")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"analogdp {__version__}")
        raise typer.Exit


@application.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the application as a whole."""


def main() -> None:
    """Run the command line and exit."""
    open_closed_streams()
    warnings.formatwarning = _warning_in_words
    try:
        with _terminated_as_interrupted():
            application()
    except ScenarioError as error:
        # Each line names its file and line first, which editors know to follow.
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except AnalogdpError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has left, as `head` does.
        let_go(sys.stdout)
        sys.exit(1)
    except OSError as error:
        _end(f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end a command as Ctrl-C does, which leaves nothing half-written, unless it is to be ignored."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _warning_in_words(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning for users, who did not write the line of code that gives it."""
    if issubclass(category, AnalogdpWarning):
        return f"analogdp: {message}\n"
    return _usual_words(message, category, filename, lineno, line)


def _end(message: str, code: int) -> None:
    typer.echo(f"analogdp: {message}", err=True)
    sys.exit(code)
