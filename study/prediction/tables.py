"""Tables of a prediction's measures, with images named by their files relative to what the user gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from study.stages.results.csv_text import csv_text
from trainables.downstream.test_metrics import BIPLANE
from trainables.metrics.clinical import Discs, biplane_volume, ejection_fraction

Records = Mapping[str, Mapping[str, Any]]
"""Record of each predicted image by its name, see `ResultFolder.complete`."""

_HEART = ("ed", "es", "edv", "esv", "ef")


def frame_table(records: Records, classes: Sequence[str]) -> str:
    """Return a row for each frame as CSV text: the area of each foreground class in mm2, or in pixels.

    Frames that have a file each are named by it.
    """
    rows: list[Sequence[object]] = [["file", "frame", "unit", *(f"area/{name}" for name in classes[1:])]]
    for name, record in records.items():
        found = record["measures"]
        files = record["frames"] or [name] * len(found["areas"])
        rows.extend([files[n], n, found["unit"], *map(repr, areas)] for n, areas in enumerate(found["areas"]))
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


def subject_table(records: Records) -> str | None:
    """Return a row for each subject with one sequence of each of the two apical views as CSV text; None without any.

    `edv`, `esv` and `ef` are of elliptic discs (biplane Simpson), each view at its own frames of `sequence_table`.
    """
    apical: dict[str, dict[str, list[str]]] = {}
    for name, record in records.items():
        heart = record["measures"]["ventricle"]
        if record["view"] in BIPLANE and heart is not None and heart["discs"] is not None:
            apical.setdefault(record["subject"], {}).setdefault(record["view"], []).append(name)
    rows: list[Sequence[object]] = []
    for subject, views in sorted(apical.items()):
        if all(len(views.get(view, ())) == 1 for view in BIPLANE):
            names = [views[view][0] for view in BIPLANE]
            edv, esv = _biplane([records[name]["measures"]["ventricle"]["discs"] for name in names])
            ef = float(ejection_fraction(edv, esv))
            rows.append([subject, *names, repr(edv), repr(esv), repr(ef)])
    return csv_text([["subject", *BIPLANE, "edv", "esv", "ef"], *rows]) if rows else None


def _biplane(views: Sequence[Sequence[Mapping[str, Any] | None]]) -> tuple[float, float]:
    """Return the end-diastolic and end-systolic volume in mL from the recorded discs of two views."""
    (ed, es), (other_ed, other_es) = [[_discs(each) for each in view] for view in views]
    return biplane_volume(ed, other_ed), biplane_volume(es, other_es)


def _discs(recorded: Mapping[str, Any] | None) -> Discs | None:
    """Return recorded discs, whose arrays may be lists; None for an empty cavity."""
    if recorded is None:
        return None
    arrays = (np.asarray(recorded[name], np.float64) for name in ("diameters", "base", "apex"))
    return Discs(float(recorded["length"]), *arrays)


def failure_table(failures: Iterable[tuple[str, str]]) -> str:
    """Return the file and reason of each image without results as CSV text."""
    return csv_text([["file", "reason"], *failures])
