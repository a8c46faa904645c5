"""Readers of datasets' text tables and key-value files; a bad cell is an issue to report and never a crash."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from trainables.common.errors import DataError, did_you_mean

_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)[\r\n]")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAMPLE = 1000  # bytes that are looked at to find UTF-16 without a byte-order mark


@dataclass(frozen=True)
class Table:
    """A CSV file's cells, stripped of white space around them.

    Attributes:
        header: cells of the first row.
        rows: each further row as (line number, cells); blank rows are left out.
    """

    header: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Open a CSV file as spreadsheets write it.

    Cells are separated by commas, semicolons or tabs, whichever yields the most of the expected columns, or by the
    character that a first line `sep=;` names. The text is UTF-8 or UTF-16, or Windows-1252 where it is not UTF-8.

    Args:
        path: the file.
        columns: expected names of columns.

    Raises:
        DataError: the file cannot be read or is not CSV text; while iterating over the rows, too.
    """
    text = _read_text(path)
    if not text.strip("\ufeff \t\r\n"):
        raise DataError(f"{path}: empty file (expected a first row with the names of columns, such as '{columns[0]}')")
    told = _SEPARATOR_LINE.match(text)
    expected = {name.casefold() for name in columns}

    def known(separator: str) -> int:
        try:
            _, header = next(_cells(path, text, separator, told is not None), (0, []))
        except DataError:  # quotes that do not fit this separator
            return 0
        return len(expected & {cell.casefold() for cell in header})

    separator = told[1] if told else max(_SEPARATORS, key=known)
    rows = _cells(path, text, separator, told is not None)
    _, header = next(rows, (0, []))
    return Table(tuple(header), ((line, cells) for line, cells in rows if any(cells)))


def _cells(path: Path, text: str, separator: str, told: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield every row of a CSV text with its line number; `told` skips the line that names the separator."""
    lines = io.StringIO(text, newline="")
    if told:
        next(lines)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        row = 1 + told
        for cells in reader:
            row = reader.line_num + told + 1
            yield row - 1, [cell.strip() for cell in cells]
    except csv.Error as error:
        text = f"{path}, row {row}: quotes that are not closed, or do not enclose a whole cell ({error})"
        raise DataError(f"{text}. Fix: close them, or double a quote within a quoted cell") from None


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error} (expected a CSV file)") from None
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):  # of ASCII text, every other byte is then zero
        sample = content[first:_SAMPLE:2]
        if sample and sample.count(0) > len(sample) / 2:
            return content.decode(encoding, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file, each as (line number, stripped cells in the order of `columns`).

    A row that is too short has "" for the missing cells; blank lines are skipped.

    Raises:
        DataError: the file or a column is missing, or the file is not CSV text.
    """
    table = read_table(path, columns)
    for name in columns:
        if name not in table.header:
            raise DataError(f"{path}, row 1: no column '{name}'{did_you_mean(name, table.header)}")
    places = [table.header.index(name) for name in columns]
    for line, cells in table.rows:
        yield line, [cells[place] if place < len(cells) else "" for place in places]


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
