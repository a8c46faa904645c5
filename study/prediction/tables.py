"""Tables of a prediction's measures, with images named by their files relative to what the user gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from study.stages.results.csv_text import csv_text

Records = Mapping[str, Mapping[str, Any]]
"""Record of each predicted image by its name, see `ResultFolder.complete`."""

_HEART = ("ed", "es", "edv", "esv", "ef")


def frame_table(records: Records, classes: Sequence[str]) -> str:
    """Return a row for each frame as CSV text: the area of each foreground class in mm2, or in pixels."""
    rows: list[Sequence[object]] = [["file", "frame", "unit", *(f"area/{name}" for name in classes[1:])]]
    for name, record in records.items():
        found = record["measures"]
        rows.extend([name, frame, found["unit"], *map(repr, areas)] for frame, areas in enumerate(found["areas"]))
    return csv_text(rows)


def volume_table(records: Records, classes: Sequence[str]) -> str | None:
    """Return a row for each volume as CSV text, the volume of each class in mL; None without volumes."""
    rows: list[Sequence[object]] = [["file", "volume", *(f"ml/{name}" for name in classes[1:])]]
    for name, record in records.items():
        rows.extend([name, number, *map(repr, each)] for number, each in enumerate(record["measures"]["volumes"] or ()))
    return csv_text(rows) if len(rows) > 1 else None


def sequence_table(records: Records, classes: Sequence[str]) -> str | None:
    """Return a row for each sequence as CSV text: smoothness of each class and the left ventricle's measures.

    `ed` and `es` are the frames (or volumes) of the largest and smallest ventricle, `edv` and `esv` its volumes in mL,
    `ef` the ejection fraction in percent. None where no image is a sequence.
    """
    smooth = [f"smoothness/{name}" for name in classes[1:]]
    rows: list[Sequence[object]] = []
    for name, record in records.items():
        found = record["measures"]
        if found["smoothness"] is None and found["ventricle"] is None:
            continue
        heart = found["ventricle"] or {}
        values = [*(found["smoothness"] or [None] * len(smooth)), *(heart.get(part) for part in _HEART)]
        frames = len(found["areas"])
        rows.append([name, frames, found["unit"], *("" if value is None else repr(value) for value in values)])
    columns = ["file", "frames", "unit", *smooth, *_HEART]
    if all(record["measures"]["ventricle"] is None for record in records.values()):
        columns = columns[: -len(_HEART)]
        rows = [row[: len(columns)] for row in rows]
    return csv_text([columns, *rows]) if rows else None


def failure_table(failures: Iterable[tuple[str, str]]) -> str:
    """Return the file and reason of each image without results as CSV text."""
    return csv_text([["file", "reason"], *failures])
