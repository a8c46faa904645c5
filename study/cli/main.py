"""Entry point of `study`: runs a command, and turns its errors into one message and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.text import Text

from study.cli import (  # noqa: F401 - each module registers its commands
    best,
    compare,
    components,
    datasets,
    doctor,
    evaluate,
    export,
    init_dataset,
    lifecycle,
    new,
    predict,
    rehearse,
    report,
    run,
    status,
    study_files,
)
from study.cli.app import CommandInterrupted, Exit, app, err
from study.cli.console import discard_output, printable, reader_gone
from study.cli.renamed import renamed_option_message
from study.cli.termination import CONTINUE, interrupted, termination_as_interrupt
from study.errors import InfrastructureError
from trainables.common.errors import UserError

NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG)
"""Error numbers of files that this user may not write or read, such as those of a read-only workspace."""


def main() -> None:
    """Run the command line and exit with the command's code."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; each expected error is printed as one message.

    A command whose output nobody reads any more (`study report NAME | head`) ends quietly.

    Raises:
        Exception: an internal error, which Python prints with its traceback and exit code 1.
    """
    try:
        with termination_as_interrupt():
            return int(command() or Exit.SUCCESS)
    except UserError as error:
        return _fail(str(error), Exit.USAGE)
    except InfrastructureError as error:
        return _fail(str(error), Exit.INFRASTRUCTURE)
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, CommandInterrupted):
        return _interrupted(interrupted())
    except SystemExit as error:
        if error.code == signal.SIGTERM:  # from Ray's own handler, while Ray starts
            return _interrupted(Exit.TERMINATED)
        return _closed_pipe(error)
    except OSError as error:
        return _file_system_error(error)
    except Exception as error:
        return _usage_error(error)


def _file_system_error(error: OSError) -> int:
    """Print an error of a full disk, or of a folder that may not be used; raise any other error again."""
    if error.errno == errno.ENOSPC:
        place = f" at {error.filename}" if error.filename else ""
        return _fail(f"disk full{place}. Fix: free space, then run the same command again", Exit.INFRASTRUCTURE)
    if error.errno not in NOT_ALLOWED or not isinstance(error.filename, str | bytes | os.PathLike):
        raise error
    path = Path(os.fsdecode(error.filename))
    text = f"{path.parent}: {error.strerror} (at {path.name}). Fix: get the right to write there, or choose another "
    return _fail(f"{text}workspace (--workspace)", Exit.USAGE)


def _closed_pipe(error: SystemExit) -> int:
    """Return success if the exit is due to a closed output; raise again what caused any other exit."""
    cause = error.__context__  # both rich and typer make an exit of a broken pipe
    if not isinstance(cause, BrokenPipeError):
        raise error
    if not reader_gone():
        raise cause  # the pipe to another process, such as a worker
    discard_output()
    return Exit.SUCCESS


def _usage_error(error: Exception) -> int:
    """Print an error of the argument parser; raise any other error again."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    context = getattr(error, "ctx", None)
    command = context.info_name if context is not None else None
    message = renamed_option_message(command, getattr(error, "option_name", ""))
    if message is not None:
        return _fail(message, Exit.USAGE)
    with contextlib.suppress(BrokenPipeError):
        show()
    return Exit.USAGE


def _interrupted(code: Exit) -> Exit:
    with contextlib.suppress(SystemExit):  # the reader of the message may be gone, and the code remains
        err.print(CONTINUE)
    return code


def _fail(message: str, code: Exit) -> int:
    with contextlib.suppress(SystemExit):  # the reader of the message may be gone, and the code remains
        err.print(Text.assemble(("error:", "bold red"), " ", printable(message)), soft_wrap=True)
    return code
