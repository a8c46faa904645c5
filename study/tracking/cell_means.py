"""Mean test Dice of each cell, as metrics of the study's run: one look compares all cells."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from study.storage.events import JobFinished

DICE = "test/dice"
LONGEST_NAME = 250
"""Characters of a metric's name that MLflow accepts."""


def cell_means(ended: Iterable[JobFinished]) -> dict[str, float]:
    """Return the mean over the completed replicates of each cell, by the metric's name.

    Args:
        ended: ledger events of jobs' ends.

    Example:
        The cell `method=simclr,labels=3` has the metric "test_dice/simclr 3".
    """
    scores: dict[str, list[float]] = defaultdict(list)
    for event in ended:
        if event.kind == "replicate" and event.cell is not None and DICE in event.outcome.metrics:
            scores[event.cell].append(event.outcome.metrics[DICE])
    return {_name(cell): sum(values) / len(values) for cell, values in scores.items()}


def _name(cell: str) -> str:
    """Return the metric of a cell, in the characters that MLflow accepts."""
    levels = " ".join(part.partition("=")[2] for part in cell.split(","))
    return re.sub(r"[^\w.\- ]", "_", f"test_dice {levels}").replace(" ", "/", 1)[:LONGEST_NAME]
