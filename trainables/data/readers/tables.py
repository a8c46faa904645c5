"""Readers of datasets' text tables and key-value files; a bad cell is an issue to report and never a crash."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainables.common.errors import DataError, did_you_mean


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file, each as (line number, stripped cells in the order of `columns`).

    A row that is too short has "" for the missing cells; blank lines are skipped.

    Raises:
        DataError: the file or a column is missing, or the file is not CSV text.
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
        raise DataError(f"{path}: {error.strerror or error} (expected a CSV file)") from None
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error})") from None


def read_pairs(path: Path) -> dict[str, str]:
    """Return the `key: value` lines of a text file; other lines are skipped.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def parse_float(text: str) -> float | None:
    """Return a cell as a finite float, or None where it is not one.

    Example:
        >>> parse_float("61.5"), parse_float("nan"), parse_float("-")
        (61.5, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def parse_count(text: str) -> int | None:
    """Return a cell as a whole number from 0 up, or None where it is not one.

    Example:
        >>> parse_count("46"), parse_count("46.0"), parse_count("-1")
        (46, 46, None)
    """
    value = parse_float(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def is_file(path: Path) -> bool:
    """Return True for an existing file; False also for a name that the file system refuses."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_inside(relative: str) -> bool:
    """Return True where a path taken from a table stays below its base folder, on any operating system.

    Example:
        >>> is_inside("images/a.png"), is_inside("../a.png"), is_inside("C:/a.png")
        (True, False, False)
    """
    if not relative or "\0" in relative or PureWindowsPath(relative).anchor or PurePosixPath(relative).is_absolute():
        return False
    return ".." not in PureWindowsPath(relative).parts
