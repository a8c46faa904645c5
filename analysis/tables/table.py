"""A table as text: for the terminal, for Markdown, LaTeX, HTML and CSV."""

from __future__ import annotations

import html
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

    def to_latex(self) -> str:
        """A table environment with booktabs' rules; numbers after the first column are set to the right."""
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(self.title)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}", r"\toprule"]
        lines += [" & ".join(map(_tex, self.header)) + r" \\", r"\midrule"]
        for row in self.rows:
            texts = [rf"\textbf{{{_tex(entry.text)}}}" if entry.strong else _tex(entry.text) for entry in row]
            lines.append(" & ".join(texts) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {_tex(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def to_html(self) -> str:
        """A table element with its title as caption, and the notes."""
        head = "".join(f"<th>{html.escape(title)}</th>" for title in self.header)
        rows = []
        for first, *others in self.rows:
            entries = "".join(f"<td>{_in_html(entry)}</td>" for entry in others)
            rows.append(f'<tr><th scope="row">{_in_html(first)}</th>{entries}</tr>')
        notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in self.notes)
        table = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
        return f'<div class="table"><table><caption>{html.escape(self.title)}</caption>{table}</table></div>{notes}\n'

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


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
_TEX |= {character: "\\" + character for character in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _in_html(entry: Entry) -> str:
    text = html.escape(entry.text)
    return f"<strong>{text}</strong>" if entry.strong and text else text
