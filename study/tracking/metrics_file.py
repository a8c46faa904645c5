"""Reading of the metrics file that a job writes: one JSON line an epoch."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MetricRow:
    """One value of one metric.

    Attributes:
        key: the metric's name, such as `val/dice`.
        value: the metric's value.
        time: milliseconds since 1970-01-01 UTC.
        step: epoch, from 1.
    """

    key: str
    value: float
    time: int
    step: int


@dataclass(frozen=True)
class NewRows:
    """Rows that a metrics file has gained.

    Attributes:
        rows: the new rows in the order of the file.
        position: byte up to which the file has been read.
        epoch: last epoch read.
    """

    rows: list[MetricRow]
    position: int
    epoch: int


def read_new_rows(path: Path, position: int, epoch: int) -> NewRows:
    """Return the rows that follow a position in a metrics file.

    A last line without a line break is left for the next call; a damaged line is skipped.

    Args:
        path: the metrics file; it need not exist yet.
        position: byte at which to begin.
        epoch: last epoch already read; a restarted job repeats this epoch and earlier ones, which are skipped.
    """
    if not path.exists():
        return NewRows([], position, epoch)
    with path.open("rb") as file:
        file.seek(position)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    rows: list[MetricRow] = []
    for line in complete.splitlines():
        with contextlib.suppress(ValueError):
            values = json.loads(line)
            step, time = int(values["epoch"]), int(values["time"] * 1000)
            if step > epoch:
                rows += [MetricRow(key, float(value), time, step) for key, value in values["metrics"].items()]
                epoch = step
    return NewRows(rows, position + len(complete), epoch)
