"""Table for the terminal: lines fold between words, so that no value is cut while the columns can be narrower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

UNLIMITED = 10**6
"""Width in characters at which no table folds."""

GAP = "  "
"""Space between two columns without rules."""


@dataclass
class WordTable:
    """Table whose columns shrink to their longest word before any word is cut.

    Attributes:
        header: titles of the columns; empty for a table without a header.
        rows: texts of each row, one per column; strings are shown as they are, not as markup.
        ruled: align all columns but the first to the right, and draw rules around the cells where no value folds.
    """

    header: Sequence[str]
    rows: list[Sequence[str | Text]] = field(default_factory=list)
    ruled: bool = False

    def add_row(self, *cells: str | Text) -> None:
        """Append a row of cells."""
        self.rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with rules if only its titles fold, else without them."""
        lines = None if self.ruled else _lines(self, console, options.max_width)
        if lines is not None:
            yield from lines
            return
        ruled = _table(self, ruled=True)
        if self.ruled and _fit(ruled, console, options, titles_only=True):
            yield ruled
            return
        table = _table(self, ruled=False)
        _fit(table, console, options)
        yield table


def _lines(words: WordTable, console: Console, width: int) -> Sequence[Segment] | None:
    """Return the lines of a table of plain strings of one line each, as rich's `Table` would; None for any other table.

    A table with thousands of rows takes rich seconds.
    """
    given = [words.header, *words.rows] if words.header else words.rows
    rows = [[cell for cell in row if isinstance(cell, str) and cell.isprintable()] for row in given]
    if len({*map(len, given), *map(len, rows)}) != 1:
        return None
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + len(GAP) * (len(widths) - 1) > width:
        return None
    lines = [Segment(f"{GAP.join(map(set_cell_size, row, widths))}\n") for row in rows]
    if words.header:
        lines[0] = Segment(lines[0].text, console.get_style("table.header"))
    return lines


def _table(words: WordTable, *, ruled: bool) -> Table:
    table = Table() if ruled else Table(box=None, pad_edge=False)
    table.show_header = bool(words.header)
    for number in range(len(words.header) or max(map(len, words.rows), default=0)):
        title = Text(words.header[number]) if words.header else ""
        table.add_column(title, justify="right" if words.ruled and number else "left", overflow="fold")
    for row in words.rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _fit(table: Table, console: Console, options: ConsoleOptions, *, titles_only: bool = False) -> bool:
    """Narrow the columns until the table fits, first those whose title is their widest text.

    Return False, leaving the table as it is, if words would have to be cut or, with `titles_only`, values folded.
    """
    unlimited = options.update(width=UNLIMITED)
    sizes = [_widths(column, lambda text: Measurement.get(console, unlimited, text)) for column in table.columns]
    widths, values, words = ([size[form] for size in sizes] for form in range(3))
    excess = Measurement.get(console, unlimited, table).maximum - options.max_width
    if excess > sum(widths) - sum(values if titles_only else words):
        return False
    for least in (values, words):
        for _ in range(min(excess, sum(widths) - sum(least))):
            widest = max((n for n in range(len(widths)) if widths[n] > least[n]), key=widths.__getitem__)
            widths[widest] -= 1
            excess -= 1
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    return True


def _widths(column: Column, measure: Callable[[RenderableType], Measurement]) -> tuple[int, int, int]:
    """Return a column's width with nothing folded, with its title folded, and with its values folded too."""
    title, body = measure(column.header), [measure(text) for text in column.cells]
    value = max([title.minimum, *(size.maximum for size in body)])
    return max(title.maximum, value), value, max([title.minimum, *(size.minimum for size in body)])
