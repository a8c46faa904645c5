"""Numbers of labelled subjects that the cells of a study use, as one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.common.label_counts import LabelCounts


def label_line(counts: Iterable[LabelCounts]) -> str:
    """Return the numbers of labelled subjects with the number of cells that use them, fewest first.

    Args:
        counts: numbers of each cell, at least one.
    """
    cells = sorted(Counter(counts).items(), key=lambda item: (item[0].training, item[0].validation))
    return "labels: " + "; ".join(f"{labels} ({number} cell{'' if number == 1 else 's'})" for labels, number in cells)
