"""CSV text of a table's rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    r"""Return rows as CSV text, the header being the first row.

    Example:
        >>> csv_text([["subject", "dice"], ["a, b", 0.5]])
        'subject,dice\n"a, b",0.5\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
