"""`study`: the commands, and what an error looks like."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from study.cluster import ClusterLost
from study.lock import StudyLocked
from study.workspace import Workspace, default_root
from trainables.errors import UserError

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
    INTERRUPTED = 130


Name = Annotated[str, typer.Argument(help="A study's name (see `study list`) or a YAML file.")]
RunName = Annotated[str, typer.Argument(help="The name under which a study was run.")]
Profile = Annotated[str | None, typer.Option(help="One of the study file's profiles.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Override a setting: dotted.path=value. Repeatable.")]
Data = Annotated[list[str] | None, typer.Option("--data", help="Where a dataset lies: LAYOUT=PATH. Repeatable.")]
As = Annotated[str | None, typer.Option("--name", help="Run it under this name instead of its own.")]
Root = Annotated[Path | None, typer.Option("--workspace", help="Where everything is kept. [$STUDY_HOME or ./runs]")]


def workspace(root: Path | None) -> Workspace:
    """The workspace that an option names, or the default one."""
    return Workspace(root.absolute() if root else default_root())


def main() -> None:
    """Run the command line; bad input ends with one message and code 2."""
    import study.cli.commands  # noqa: F401 - registers the commands

    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(command: Callable[[], int | None]) -> int:
    """The exit code of `command`, with its expected errors told in one message each."""
    try:
        return int(command() or Exit.OK)
    except UserError as error:
        return _fail(str(error), Exit.USAGE)
    except (StudyLocked, ClusterLost) as error:
        return _fail(str(error), Exit.INFRASTRUCTURE)
    except typer.Exit as error:
        return error.exit_code
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to go on", Exit.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        show = getattr(error, "show", None)  # click's own errors: unknown option, missing argument
        if show is None:
            raise
        show()
        return Exit.USAGE


def _fail(message: str, code: Exit) -> int:
    err.print(f"[bold red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    return code


def _plain(message: str) -> str:
    return message.replace("[", r"\[")
