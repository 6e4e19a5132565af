"""The commands that look at things and change nothing: validate, schema, devices, scenarios, models."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from analogdp import library, registry
from analogdp.cli.tables import table
from analogdp.errors import InputError, Problem, ScenarioError

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Scenario files, or names of shipped ones.")
]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. neuron.alpha=0.3.")
]

devices = typer.Typer(help="List the device cards, or show one.", invoke_without_command=True)
scenarios = typer.Typer(help="List the shipped scenarios, or show one.", invoke_without_command=True)


def validate(files: FilesArgument, settings: SettingsOption = None) -> None:
    """Check scenario files: all problems of all of them, and what the good ones would cost."""
    from analogdp.scenario import load_scenario
    from analogdp.scenario.estimate import estimate, refuse_if_too_large

    problems: list[Problem] = []
    for file in files:
        try:
            scenario = load_scenario(file, settings or ())
            refuse_if_too_large(scenario)
            typer.echo(f"{file}: good; {scenario.name} takes {estimate(scenario)}")
        except ScenarioError as error:
            problems += error.problems
        except InputError as error:
            problems.append(Problem("", str(error), file))
    if problems:
        raise ScenarioError(problems)


def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from analogdp.scenario.loading import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@devices.callback()
def list_devices(context: typer.Context) -> None:
    """List the shipped device cards."""
    if context.invoked_subcommand:
        return
    _list("devices", ("model", "material", "source"))


@devices.command("show")
def show_device(name: Annotated[str, typer.Argument(help="A card's name, or a path to one.")]) -> None:
    """Show a device card as it stands in its file."""
    from analogdp.devices.cards import load_card

    card = load_card(name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else library.find("devices", name)
    typer.echo(f"# {card.name}: {card.model} model, {card.low:g} to {card.high:g} S\n# {path}\n")
    typer.echo(path.read_text(encoding="utf-8").rstrip())


@scenarios.callback()
def list_scenarios(context: typer.Context) -> None:
    """List the shipped scenarios."""
    if context.invoked_subcommand:
        return
    _list("scenarios", ("description",))


def _list(kind: library.Kind, columns: tuple[str, ...]) -> None:
    """A table of shipped files, as they are written: to check them all would take seconds."""
    from analogdp.scenario.yaml import read_yaml

    names = library.names(kind)
    found = [read_yaml(library.find(kind, name)).data for name in names]
    rows = [[name, *(str(data.get(key, "")) for key in columns)] for name, data in zip(names, found, strict=True)]
    table(("name", *columns), rows)


@scenarios.command("show")
def show_scenario(name: Annotated[str, typer.Argument(help="A scenario's name.")]) -> None:
    """Show a shipped scenario as it stands in its file."""
    path = library.find("scenarios", name)
    typer.echo(f"# {path}\n\n{path.read_text(encoding='utf-8').rstrip()}")


def models() -> None:
    """List everything that a scenario can name: neurons, devices, synapses, clocks, data sets and so on."""
    for known in registry.all_registries():
        typer.echo(f"{known.kind}{'es' if known.kind.endswith('s') else 's'}:")
        names = known.names()
        width = max(map(len, names), default=0)
        for name in names:
            typer.echo(f"  {name:<{width}}  {_first_line(known.get(name))}".rstrip())
        typer.echo("")


def _first_line(member: Any) -> str:
    """The first sentence of what a part says about itself."""
    text = inspect.getdoc(member) or ""
    return text.partition("\n")[0]
