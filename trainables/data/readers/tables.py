"""Text tables and key-value files of datasets, read so that a bad cell is a fault and never a crash."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainables.common.errors import DataError, did_you_mean


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each as (line number, its cells in the order of `columns`, stripped).

    A row that is too short has "" for the missing cells; blank lines are passed over.

    Raises:
        DataError: no such file, a column is missing, or the file is not text in CSV form.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            for name in columns:
                if name not in header:
                    raise DataError(f"{path}, row 1: no column '{name}'{did_you_mean(name, header)}")
            places = [header.index(name) for name in columns]
            for cells in reader:
                if any(cells):
                    yield reader.line_num, [cells[place].strip() if place < len(cells) else "" for place in places]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}, expected a CSV file") from None
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error})") from None


def read_pairs(path: Path) -> dict[str, str]:
    """The `key: value` lines of a text file; other lines are passed over.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def number(text: str) -> float | None:
    """`text` as a finite float, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(text: str) -> int | None:
    """`text` as a whole number from 0 up ("46" or "46.0"), or None."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def is_file(path: Path) -> bool:
    """Whether `path` is a file; a name that the file system refuses is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_inside(relative: str) -> bool:
    """Whether a path taken from a table stays below the folder it is relative to, on any operating system."""
    if not relative or "\0" in relative or PureWindowsPath(relative).anchor or PurePosixPath(relative).is_absolute():
        return False
    return ".." not in PureWindowsPath(relative).parts
