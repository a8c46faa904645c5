"""Table that renders as terminal text, Markdown, LaTeX, HTML and CSV."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from rich.console import Group
from rich.text import Text

from analysis.templates import render
from study.word_table import WordTable


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Attributes:
        text: displayed text.
        strong: True for emphasis, as the best of its column or tied with it.
    """

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """Table in a form-independent representation.

    Attributes:
        title: caption above the table.
        header: column titles; the first column names the rows.
        rows: entries of each row, one per column.
        notes: lines below the table.
        data: unrounded values in long form, one row per value, for CSV.
        prose: True where the entries are sentences: aligned left, and wrapped in LaTeX.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...]
    data: pd.DataFrame
    prose: bool = False

    def to_rich(self) -> Group:
        """Return a terminal table; title and notes may be wider than the columns."""
        table = WordTable(self.header, ruled=True)
        for row in self.rows:
            table.add_row(*(Text(entry.text, style="bold green" if entry.strong else "") for entry in row))
        return Group(Text(self.title, style="bold"), table, *(Text(note, style="dim") for note in self.notes))

    def to_markdown(self) -> str:
        """Return a heading, a pipe table and the notes."""
        lines = [f"## {self.title}", ""]
        lines.append(_pipe([_escape(title) for title in self.header]))
        lines.append(_pipe([":--", *[":--" if self.prose else "--:"] * (len(self.header) - 1)]))
        lines += [_pipe([_emphasized(entry) for entry in row]) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def to_latex(self) -> str:
        """Return a table environment with booktabs rules; columns after the first are right-aligned, or wrapped."""
        others = len(self.header) - 1
        columns = rf"*{{{others}}}{{p{{{0.9 / others:.2f}\textwidth}}}}" if self.prose else "r" * others
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(self.title)}}}"]
        lines += [rf"\begin{{tabular}}{{l{columns}}}", r"\toprule"]
        lines += [" & ".join(map(_tex, self.header)) + r" \\", r"\midrule"]
        for row in self.rows:
            texts = [rf"\textbf{{{_tex(entry.text)}}}" if entry.strong else _tex(entry.text) for entry in row]
            lines.append(" & ".join(texts) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\footnotesize {_tex(note)}" for note in self.notes]
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def to_html(self) -> str:
        """Return a table element with the title as caption, and the notes as paragraphs."""
        return render("table.html.j2", table=self)

    def to_csv(self) -> str:
        """Return `data` as CSV with a header line."""
        return str(self.data.to_csv(index=False, lineterminator="\n"))


def _pipe(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _emphasized(entry: Entry) -> str:
    text = _escape(entry.text)
    return f"**{text}**" if entry.strong and text else text


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
_TEX |= {character: "\\" + character for character in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
