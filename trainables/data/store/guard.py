"""Guard around the code that lists and decodes a dataset: whatever it raises becomes one error that names the file."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from trainables.common.errors import DataError, UserError
from trainables.data.readers.limits import size_limit
from trainables.data.records import DatasetListing
from trainables.data.settings import DataSettings

_LONGEST = 200  # characters that a message repeats of a library's error


@contextlib.contextmanager
def guarded(root: Path, max_gigabytes: float) -> Iterator[None]:
    """Run readers inside the `with` block: with the limit of a file's size, without their warnings.

    Args:
        root: the dataset's folder.
        max_gigabytes: largest size of one decoded file.

    Raises:
        UserError: as raised inside the block.
        DataError: any other exception inside the block, for lack of memory too; its message begins with the file that
            was being read, or with `root` where that is unknown.
    """
    with size_limit(max_gigabytes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they repeat parts of files, and faults are reported as issues
        try:
            yield
        except UserError:
            raise
        except MemoryError as error:
            text = "not enough memory to decode it. Fix: free memory, or lower `max_gigabytes`"
            raise DataError(f"{_file_of(error, root)}: {text}") from None
        except Exception as error:  # each library raises its own, and a damaged file may end up anywhere in it
            text = " ".join(str(error).split())[:_LONGEST]
            problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise DataError(f"{_file_of(error, root)}: cannot be decoded ({problem})") from None


def _file_of(error: BaseException, root: Path) -> Path:
    """Return the file that was being read: the last one below `root` that a function on the way to the error held."""
    found = root
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, Path) and value.is_relative_to(root) and value.is_file():
                found = value
    return found


def list_dataset(settings: DataSettings, root: Path) -> DatasetListing:
    """List a dataset's sequences without decoding them.

    Raises:
        DataError: `root` does not hold the layout, or a file that the listing needs is damaged.
    """
    with guarded(root, settings.max_gigabytes):
        return settings.layout.scan(root)
