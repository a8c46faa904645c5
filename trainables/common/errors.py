"""The errors that are somebody's input and not our fault: shown as one message, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: a setting, path, dataset or checkpoint. The message says where, what was found, what was expected."""


class DataError(UserError):
    """A dataset, or one file of it, that cannot be read as its layout says."""


class CheckpointError(UserError):
    """A checkpoint or artifact that is missing, damaged, or not what the network expects."""


class TrainingFailed(Exception):
    """A run that ended by its own judgement (diverged, collapsed): the same settings would end the same way again."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest known name, or the known names when none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
