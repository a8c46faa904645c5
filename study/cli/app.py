"""What all commands share: the application, where they print, their options and exit codes."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from study.storage.workspace import Workspace, default_root

app = typer.Typer(
    help="Which pretraining gives the best segmentation, and how few labels are enough.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
out = Console()
err = Console(stderr=True)


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    BUG = 1
    USAGE = 2
    FAILED_TRIALS = 3
    INFRASTRUCTURE = 4
    BUDGET = 5
    INTERRUPTED = 130


Name = Annotated[str, typer.Argument(help="A study's name (see `study list`) or a YAML file.")]
RunName = Annotated[str, typer.Argument(help="The name under which a study was run.")]
Profile = Annotated[str | None, typer.Option(help="One of the study file's profiles.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: dotted.path=value. Repeatable.")]
Data = Annotated[list[str] | None, typer.Option("--data", help="Where a dataset lies: LAYOUT=PATH. Repeatable.")]
As = Annotated[str | None, typer.Option("--name", help="Run it under this name instead of its own.")]
Root = Annotated[Path | None, typer.Option("--workspace", help="Where everything is kept. [$STUDY_HOME or ./runs]")]


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def workspace(root: Path | None) -> Workspace:
    """The workspace that an option names, or the default one."""
    return Workspace(root.absolute() if root else default_root())
