"""Usage texts: one form of all arguments."""

import pytest
import typer

from study.cli.app import app
from study.cli.main import guarded


def leaves(command, path=()):
    """Yield the path of every command that runs something, with the command."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for name, each in (below or {}).items():
        yield from leaves(each, (*path, name))


def test_arguments_are_named_in_capitals():
    named = {
        (*path, option.name): option.metavar
        for path, command in leaves(typer.main.get_command(app))
        for option in command.params
        if option.param_type_name == "argument"
    }
    assert len(named) > 10
    assert {place: name for place, name in named.items() if name is None or not name.isupper()} == {}


@pytest.mark.parametrize(("command", "name"), [(("plan",), "STUDY"), (("data", "check"), "TARGET")])
def test_a_missing_argument_is_named_as_in_the_usage(command, name, capsys):
    assert guarded(lambda: app(list(command), standalone_mode=False)) == 2
    error = capsys.readouterr().err
    assert name in error.splitlines()[0]
    assert f"Missing argument '{name}'" in error
