"""`study`: the command line, and what an error looks like."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import typer

from study.cli import commands, datasets, doctor, export  # noqa: F401 - register the commands
from study.cli.app import Exit, app, err
from study.execution.cluster import ClusterLost, StorageFull
from study.storage.lock import StudyLocked
from trainables.common.errors import UserError


def main() -> None:
    """Run the command line; bad input ends with one message and code 2."""
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(command: Callable[[], int | None]) -> int:
    """The exit code of `command`, with its expected errors told in one message each."""
    try:
        return int(command() or Exit.OK)
    except UserError as error:
        return _fail(str(error), Exit.USAGE)
    except (StudyLocked, ClusterLost, StorageFull) as error:
        return _fail(str(error), Exit.INFRASTRUCTURE)
    except typer.Exit as error:
        return error.exit_code
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to go on", Exit.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _fail(f"{error}; make some and run the same command again", Exit.INFRASTRUCTURE)
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
