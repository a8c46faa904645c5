"""Application object of the command line, with the exit codes, consoles and options that commands share."""

from __future__ import annotations

from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from study.cli.console import OutputConsole
from study.errors import EXIT_CODE
from study.storage.workspace import Workspace, default_root

if TYPE_CHECKING:
    from study.config.definition import Study


class Exit(IntEnum):
    """Exit codes of all commands; `EXIT_CODES` says what each one means."""

    SUCCESS = 0
    INTERNAL_ERROR = 1
    USAGE = 2
    FAILED_JOBS = 3
    INFRASTRUCTURE = EXIT_CODE
    BUDGET = 5
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES = {
    Exit.SUCCESS: "success",
    Exit.INTERNAL_ERROR: "internal error",
    Exit.USAGE: "wrong usage, study file or dataset",
    Exit.FAILED_JOBS: "finished, but some jobs failed",
    Exit.INFRASTRUCTURE: "infrastructure (no cluster, study in use, disk full, error found by `doctor`)",
    Exit.BUDGET: "budget spent",
    Exit.INTERRUPTED: "interrupted (Ctrl-C, `study stop`)",
    Exit.TERMINATED: "ended by SIGTERM (a scheduler, `docker stop`)",
}
"""Meaning of each exit code."""

COMMANDS = (
    "list",
    "validate",
    "plan",
    "rehearse",
    "run",
    "status",
    "report",
    "best",
    "compare",
    "predict",
    "evaluate",
    "stop",
    "retry",
    "extend",
    "repair",
)
"""Commands in the order of the help; the others follow."""


class CommandInterrupted(Exception):
    """Ctrl-C or SIGTERM in a command; typer would end silently on a KeyboardInterrupt."""


class _OrderedGroup(TyperGroup):
    """Commands in the order in which a user needs them."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            CommandInterrupted: it was interrupted.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise CommandInterrupted from None

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of `COMMANDS`."""
        names = super().list_commands(ctx)
        return [*(name for name in COMMANDS if name in names), *sorted(set(names) - set(COMMANDS))]


app = typer.Typer(
    cls=_OrderedGroup,
    help="Compare self-supervised pretraining methods for medical image segmentation, and find how few labels suffice.",
    epilog=f"Exit codes: {', '.join(f'{code.value} {meaning}' for code, meaning in EXIT_CODES.items())}.",
    no_args_is_help=True,
    rich_markup_mode=None,  # importing the renderer of rich help takes longer than all the rest
    pretty_exceptions_enable=False,
    add_completion=True,
)
out = OutputConsole()
err = OutputConsole(stderr=True)

StudySource = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name (see `study list`) or a YAML file.")]
RunName = Annotated[str, typer.Argument(metavar="NAME", help="Name under which the study was run.")]
Profile = Annotated[str | None, typer.Option(help="Profile of the study file to apply, such as smoke or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting: dotted.path=value. Repeatable.")
]
DataPaths = Annotated[list[str] | None, typer.Option("--data", help="Folder of a dataset: LAYOUT=PATH. Repeatable.")]
RunAs = Annotated[str | None, typer.Option("--name", help="Name to run the study under, instead of the file's.")]
Root = Annotated[
    Path | None,
    typer.Option("--workspace", help="Folder of all results (default: $STUDY_HOME or ./runs)."),
]
Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        show_envvar=False,
        help="Ray cluster to join: HOST:PORT, or 'auto' on one of its nodes "
        "(default: $RAY_ADDRESS; without it, start Ray on this machine).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"pretext-study {version('pretext-study')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Declare the options of `study` itself."""


def workspace(root: Path | None) -> Workspace:
    """Return the workspace at a path, or the default one for None."""
    return Workspace(root.absolute() if root else default_root())


def load(
    source: str, profile: str | None, overrides: list[str] | None, data: list[str] | None, run_as: str | None
) -> Study:
    """Return the study that a command's arguments describe.

    Args:
        source: a study's name or file.
        profile: name of a profile, or None.
        overrides: settings as `dotted.path=value`.
        data: datasets' folders as `LAYOUT=PATH`.
        run_as: name that replaces the study's name, or None.
    """
    from study.config.chain_remarks import chain_remarks
    from study.config.definition import load_study

    study = load_study(source, profile=profile, sets=overrides or [], data=data or [], name=run_as)
    for remark in chain_remarks(study, overrides or []):
        err.print(f"note: {remark}", markup=False, highlight=False, soft_wrap=True)
    return study
