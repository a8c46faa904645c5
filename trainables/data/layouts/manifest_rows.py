"""Reader of `manifest.csv` and `classes.csv`, which describe a user's own data."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainables.common.errors import DataError
from trainables.data.readers.pictures import FLAT, file_type, is_video
from trainables.data.readers.tables import is_file, is_inside, parse_count, parse_float, read_rows
from trainables.data.records import PHASES, DatasetIssue, Phase, Split

REQUIRED = ("subject", "image")
OPTIONAL = ("split", "mask", "view", "frame", "sequence", "phase", "row_mm", "column_mm", "ef", "edv", "esv")
CLASSES_FILE = "classes.csv"
_CLASS_COLUMNS = ("value", "name")
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class Row:
    """A valid row of the manifest.

    Attributes:
        line: line number in the file.
        subject: identifier of the patient.
        image: image file, relative to the dataset's folder.
        split: the split cell in lower case, or "".
        mask: mask file, relative to the dataset's folder, or "".
        view: name of the view.
        frame: place of a single image in its sequence, or the frame that the mask belongs to; None when empty.
        sequence: name that keeps sequences of a view apart, or "".
        phase: phase of the frame in the cardiac cycle, or "".
        spacing: (row, column) pixel spacing in mm, or None.
        clinical: measured values by name, see `SequenceRecord.clinical`.
    """

    line: int
    subject: str
    image: str
    split: str
    mask: str
    view: str
    frame: int | None
    sequence: str
    phase: Phase
    spacing: tuple[float, float] | None
    clinical: Mapping[str, float]

    @property
    def single(self) -> bool:
        """True for an image file that holds a single frame of a sequence, by its type."""
        return file_type(self.image) in FLAT


def read_classes(root: Path) -> dict[int, str]:
    """Return the names of the masks' values above 0, from `classes.csv`; empty where there is no such file.

    Raises:
        DataError: the file is not a list of values and names.
    """
    path = root / CLASSES_FILE
    if not path.is_file():
        return {}
    found: dict[int, str] = {}
    for line, (value, name) in read_rows(path, _CLASS_COLUMNS):
        level = parse_count(value)
        taken = name in found.values() or (name == "background" and level != 0)
        if level is None or not name or level in found or taken:
            raise DataError(f"{path}, row {line}: '{value},{name}', expected a number and a name of their own")
        found[level] = name
    found.pop(0, None)
    if len(found) > 254:
        raise DataError(f"{path}: {len(found)} classes, expected at most 254")
    return dict(sorted(found.items()))


def read_manifest(root: Path, name: str, issues: list[DatasetIssue]) -> list[Row]:
    """Return the usable rows of the manifest, each file once.

    Args:
        root: the dataset's folder.
        name: file name of the manifest.
        issues: list that found issues are appended to.

    Raises:
        DataError: it is missing, lacks a column or has no rows.
    """
    path = root / name
    columns = (*REQUIRED, *(column for column in OPTIONAL if column in _header(path)))
    found = [
        _row(root, name, line, dict(zip(columns, row, strict=True)), issues) for line, row in read_rows(path, columns)
    ]
    rows = [row for row in found if row is not None]
    if not rows and not issues:
        raise DataError(f"{path}: no rows, expected one for each image")
    return _build_once(name, rows, issues)


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, csv.Error):
        return []  # read_rows says what is wrong


def _row(root: Path, name: str, line: int, cells: Mapping[str, str], issues: list[DatasetIssue]) -> Row | None:
    place = f"row {line}"
    for column in ("image", "mask"):
        file = cells.get(column, "")
        if file and not is_inside(file):
            text = f"{column} '{file[:80]}', expected a path below the dataset's folder"
            issues.append(DatasetIssue(name, place, "path outside the dataset", text, "damage", "sequence"))
            return None
    problem = _problem(cells)
    if problem:
        issues.append(DatasetIssue(name, place, "unreadable row", problem, "loss", "sequence"))
        return None
    if not is_file(root / cells["image"]):
        text = f"{cells['image']} is listed but does not exist"
        issues.append(DatasetIssue(name, place, "missing image", text, "loss", "sequence"))
        return None
    mask = cells.get("mask", "")
    if mask and not is_file(root / mask):
        issues.append(DatasetIssue(name, place, "missing mask", f"{mask} is listed but does not exist", "loss", "mask"))
        mask = ""
    down, across = parse_float(cells.get("row_mm", "")), parse_float(cells.get("column_mm", ""))
    clinical = {key: value for key in ("ef", "edv", "esv") if (value := parse_float(cells.get(key, ""))) is not None}
    return Row(
        line=line,
        subject=cells["subject"],
        image=cells["image"],
        split=cells.get("split", "").lower(),
        mask=mask,
        view=cells.get("view", "") or "image",
        frame=parse_count(cells.get("frame", "")),
        sequence=cells.get("sequence", ""),
        phase=cells.get("phase", "").upper(),  # type: ignore[arg-type]  # _problem checked it
        spacing=(down, across) if down and across and min(down, across) > 0 else None,
        clinical=clinical,
    )


def _problem(cells: Mapping[str, str]) -> str:
    """Return the problem with a row's cells, or ""."""
    if not cells["subject"] or not cells["image"]:
        return "expected a subject and an image"
    if file_type(cells["image"]) is None:
        return f"image '{cells['image'][-40:]}' is of an unsupported file type"
    mask = cells.get("mask", "")
    if mask and (file_type(mask) is None or is_video(mask)):
        return f"mask '{mask[-40:]}' is of an unsupported file type"
    if cells.get("frame", "") and parse_count(cells["frame"]) is None:
        return f"frame is '{cells['frame'][:20]}', expected a whole number from 0 up"
    if cells.get("phase", "").upper() not in PHASES:
        return f"phase is '{cells['phase'][:20]}', expected ED, ES or nothing"
    if cells.get("split", "") and cells["split"].lower() not in _SPLITS:
        return f"split is '{cells['split'][:20]}', expected train, val, test or nothing"
    return ""


def _build_once(name: str, rows: Sequence[Row], issues: list[DatasetIssue]) -> list[Row]:
    """Drop rows that list a file again: its frame would count twice, or be in both training and test data."""
    owners: dict[str, tuple[str, ...]] = {}
    seen: dict[tuple[str, int | None], int] = {}
    kept = []
    for row in rows:
        owner = (row.subject, row.view, row.sequence)
        file = PurePosixPath(row.image).as_posix()
        frame = None if row.single else row.frame
        if owners.setdefault(file, owner) != owner or (file, frame) in seen:
            line = seen.get((file, frame))
            text = f"{row.image} is listed in row {line}" if line else f"{row.image} is listed as another sequence's"
            issues.append(DatasetIssue(name, f"row {row.line}", "listed twice", text, "loss", "row"))
            continue
        seen[file, frame] = row.line
        kept.append(row)
    return kept


def read_splits(name: str, rows: Sequence[Row], issues: list[DatasetIssue]) -> dict[str, Split]:
    """Return the split of each subject; one in two splits stays in the one not used for training."""
    order: tuple[Split, ...] = ("train", "val", "test")
    splits: dict[str, Split] = {}
    for row in rows:
        if not row.split:
            continue
        split = _SPLITS[row.split]
        before = splits.get(row.subject, split)
        splits[row.subject] = max(split, before, key=order.index)
        if before != split:
            text = f"the subject is in {before} and in {split}; it stays in {splits[row.subject]}"
            issues.append(DatasetIssue(name, f"row {row.line}", "subject in two splits", text, "loss", "row"))
    return splits
