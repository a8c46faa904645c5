"""A table as text: for the terminal, for Markdown, for CSV."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text


@dataclass(frozen=True)
class Entry:
    """One place of a table: its text, and whether it stands out (best of its column, or tied with it)."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be shown in several ways.

    Attributes:
        title: above it.
        header: titles of the columns; the first column names the rows.
        rows: of entries, one a column.
        notes: below it, one a line.
        data: the same at full precision, one row a value, for CSV.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...]
    data: pd.DataFrame

    def to_rich(self) -> Group:
        """For the terminal; title and notes may be wider than the table."""
        table = RichTable()
        for number, title in enumerate(self.header):
            table.add_column(title, justify="left" if number == 0 else "right", overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(entry.text, style="bold green" if entry.strong else "") for entry in row))
        return Group(Text(self.title, style="bold"), table, *(Text(note, style="dim") for note in self.notes))

    def to_markdown(self) -> str:
        """A heading, a pipe table and the notes."""
        lines = [f"## {self.title}", ""]
        lines.append(_pipe([_escape(title) for title in self.header]))
        lines.append(_pipe([":--", *["--:"] * (len(self.header) - 1)]))
        lines += [_pipe([_marked(entry) for entry in row]) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """`data`, with a header line."""
        return str(self.data.to_csv(index=False, lineterminator="\n"))


def _pipe(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(entry: Entry) -> str:
    text = _escape(entry.text)
    return f"**{text}**" if entry.strong and text else text


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
