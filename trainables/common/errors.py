"""User-facing errors, which the command line shows as one message without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Invalid input: a setting, path, dataset or checkpoint. The message names place, found and expected value."""


class DataError(UserError):
    """A dataset, or a file in it, that does not match its layout or cannot be read."""


class CheckpointError(UserError):
    """A checkpoint or artifact that is missing, damaged, or does not fit the network."""


class TrainingFailed(Exception):
    """A training run that diverged or collapsed; it is not repeated, as equal settings would fail again."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: the closest known name, or all if none is close.

    Example:
        >>> did_you_mean("simclrr", ["byol", "simclr"])
        "; did you mean 'simclr'?"
        >>> did_you_mean("xyz", ["byol", "simclr"])
        '; known: byol, simclr'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(known)}" if known else ""
