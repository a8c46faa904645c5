"""Reader of `manifest.csv`, which lists the images and masks of a user's own data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trainables.common.errors import DataError, did_you_mean
from trainables.data.layouts.manifest_classes import CLASSES_FILE, ManifestClasses
from trainables.data.layouts.manifest_columns import MASK_OF, match_columns
from trainables.data.layouts.manifest_paths import dataset_file, exists
from trainables.data.readers.flat_pictures import FLAT
from trainables.data.readers.pictures import file_type, is_video
from trainables.data.readers.tables import parse_count, parse_float, read_table
from trainables.data.records import PHASES, DatasetIssue, Phase, Split

REQUIRED = ("subject", "image")
CLINICAL = ("ef", "edv", "esv")
SPACING = ("row_mm", "column_mm")
COLUMNS = (*REQUIRED, "split", "mask", MASK_OF, "view", "frame", "sequence", "phase", *SPACING, *CLINICAL)
SPLIT_NAMES: Mapping[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
BETWEEN_FILES = "|"
"""Separator of several mask files in one cell."""

_UNKNOWN = {"", "-", "na", "n/a", "nan", "none", "null"}


@dataclass(frozen=True)
class Row:
    """A valid row of the manifest.

    Attributes:
        line: line number in the file.
        subject: identifier of the patient.
        image: image file, relative to the dataset's folder.
        split: the split cell in lower case, or "".
        masks: mask files, relative to the dataset's folder, by the class index of the structure that they show; 0 for
            files of label numbers.
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
    masks: Mapping[int, tuple[str, ...]]
    view: str
    frame: int | None
    sequence: str
    phase: Phase
    spacing: tuple[float, float] | None
    clinical: Mapping[str, float]

    @property
    def single(self) -> bool:
        """True for an image file that holds a single frame, by its type."""
        return file_type(self.image) in FLAT

    @property
    def of_sequence(self) -> bool:
        """True for a single frame that belongs to a sequence: it names one, or its place or phase in one."""
        return bool(self.sequence or self.phase) or self.frame is not None


@dataclass(frozen=True)
class ManifestContent:
    """The usable rows of a manifest.

    Attributes:
        rows: the rows in the file's order.
        classes: names of the masks' class indices; the first is "background".
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]


def read_manifest(
    root: Path, name: str, classes: ManifestClasses, ignore: Collection[str], issues: list[DatasetIssue]
) -> ManifestContent:
    """Return the usable rows of the manifest.

    Args:
        root: the dataset's folder.
        name: file name of the manifest.
        classes: contents of `classes.csv`.
        ignore: names of columns that are not read.
        issues: list that found issues are appended to.

    Raises:
        DataError: it is missing, has no rows, a column is missing, unknown or doubled, or masks have no classes.
    """
    path = root / name
    table = read_table(path, COLUMNS)
    places = match_columns(path, table.header, COLUMNS, REQUIRED, ignore)
    names = tuple(classes.names.values()) or _structures(path, places)
    reader = _RowReader(root, name, _mask_columns(path, places, names), issues)
    rows = []
    for line, values in table.rows:
        cells = {column: values[place] if place < len(values) else "" for column, place in places.items()}
        surplus = len(values) - len(table.header) if any(values[len(table.header) :]) else 0
        if len(values) < len(table.header):
            text = f"{len(values)} cells for {len(table.header)} columns; the others count as empty"
            issues.append(DatasetIssue(name, f"row {line}", "short row", text))
        row = reader.row(line, cells, surplus)
        if row is not None:
            rows.append(row)
    if not rows and not issues:
        raise DataError(f"{path}: no rows, expected one for each image")
    if any(0 in row.masks for row in rows) and not classes.names:
        found = "no structure is listed" if (root / CLASSES_FILE).is_file() else "no such file"
        raise DataError(f"{root / CLASSES_FILE}: {found}, expected the masks' values above 0 and their names")
    return ManifestContent(tuple(rows), ("background", *names))


def _structures(path: Path, columns: Collection[str]) -> tuple[str, ...]:
    """Return the names of the structures that have a column of masks of their own, in the columns' order."""
    names = tuple(column.removeprefix(MASK_OF) for column in columns if column.startswith(MASK_OF))
    if "background" in names:
        raise DataError(f"{path}, row 1: column 'mask:background', expected the name of a structure")
    return names


def _mask_columns(path: Path, columns: Collection[str], names: Sequence[str]) -> Mapping[str, int]:
    """Return the class index of each column of masks; 0 for the column of label numbers."""
    found = {"mask": 0} if "mask" in columns else {}
    by_name = {name.casefold(): index for index, name in enumerate(names, 1)}
    for structure in _structures(path, columns):
        if structure.casefold() not in by_name:
            text = f"column '{MASK_OF}{structure}', but {CLASSES_FILE} has no such name{did_you_mean(structure, names)}"
            raise DataError(f"{path}, row 1: {text}")
        found[MASK_OF + structure] = by_name[structure.casefold()]
    return found


@dataclass(frozen=True)
class _RowReader:
    """Reader of the manifest's rows; `mask_columns` gives the class index by column."""

    root: Path
    name: str
    mask_columns: Mapping[str, int]
    issues: list[DatasetIssue]

    def row(self, line: int, cells: Mapping[str, str], surplus: int) -> Row | None:
        """Return a row, or None with an issue; `surplus` is the number of cells beyond the last column."""
        place = f"row {line}"
        masks = {column: self._mask_files(cells[column]) for column in self.mask_columns if cells[column]}
        listed = {"image": _files(cells["image"], between=None), **masks}
        paths = {text: dataset_file(self.root, text) for texts in listed.values() for text in texts}
        for column, texts in listed.items():
            outside = next((text for text in texts if paths[text] is None), None)
            if outside is not None:
                text = f"{column} '{outside[:80]}', expected a path below the dataset's folder"
                self._issue(place, "path outside the dataset", text, "sequence", damage=True)
                return None
        problem = _surplus(surplus) or _problem(cells) or _mask_problem(masks)
        if problem:
            self._issue(place, "unreadable row", problem, "sequence")
            return None
        image = paths[cells["image"]] or ""
        if not exists(self.root, image):
            self._issue(place, "missing image", f"{image} is listed but does not exist", "sequence")
            return None
        found = {self.mask_columns[name]: tuple(paths[text] or "" for text in texts) for name, texts in masks.items()}
        absent = [file for files in found.values() for file in files if not exists(self.root, file)]
        for file in absent:
            self._issue(place, "missing mask", f"{file} is listed but does not exist", "mask")
        return _valid_row(line, cells, image, {} if absent else found)

    def _mask_files(self, cell: str) -> list[str]:
        """Return the files that a cell lists; a file may have the separator in its name."""
        whole = dataset_file(self.root, cell)
        return _files(cell, between=None if whole is not None and exists(self.root, whole) else BETWEEN_FILES)

    def _issue(self, place: str, kind: str, text: str, skipped: str, *, damage: bool = False) -> None:
        self.issues.append(DatasetIssue(self.name, place, kind, text, "damage" if damage else "loss", skipped))


def _files(cell: str, between: str | None = BETWEEN_FILES) -> list[str]:
    """Return the paths that a cell lists; with `between` None, the cell as the only one."""
    parts = [cell] if between is None else cell.split(between)
    return [part.strip() for part in parts if part.strip()]


def _mask_problem(masks: Mapping[str, Sequence[str]]) -> str:
    """Return the problem with a row's mask files by column, or ""."""
    if "mask" in masks and len(masks) > 1:
        other = next(column for column in masks if column != "mask")
        return f"masks in both 'mask' and '{other}', expected label numbers or a file for each structure"
    for file in (file for files in masks.values() for file in files):
        if file_type(file) is None or is_video(file):
            return f"mask '{file[-40:]}' is of an unsupported file type"
    return ""


def _valid_row(line: int, cells: Mapping[str, str], image: str, masks: Mapping[int, tuple[str, ...]]) -> Row:
    down, across = (parse_float(cells.get(column, "")) for column in SPACING)
    return Row(
        line=line,
        subject=cells["subject"],
        image=image,
        split=cells.get("split", "").lower(),
        masks=masks,
        view=cells.get("view", "") or "image",
        frame=parse_count(cells.get("frame", "")),
        sequence=cells.get("sequence", ""),
        phase=cast(Phase, cells.get("phase", "").upper()),  # _problem checked it
        spacing=(down, across) if down and across and min(down, across) > 0 else None,
        clinical={key: value for key in CLINICAL if (value := parse_float(cells.get(key, ""))) is not None},
    )


def _surplus(cells: int) -> str:
    return f"{cells} more cells than columns. Fix: quote a cell that has a separator in it" if cells else ""


def _problem(cells: Mapping[str, str]) -> str:
    """Return the problem with a row's cells, or ""."""
    if not cells["subject"] or not cells["image"]:
        return "expected a subject and an image"
    if file_type(cells["image"]) is None:
        return f"image '{cells['image'][-40:]}' is of an unsupported file type"
    if cells.get("frame", "") and parse_count(cells["frame"]) is None:
        return f"frame is '{cells['frame'][:20]}', expected a whole number from 0 up"
    if cells.get("phase", "").upper() not in PHASES:
        return f"phase is '{cells['phase'][:20]}', expected ED, ES or nothing"
    if cells.get("split", "") and cells["split"].lower() not in SPLIT_NAMES:
        return f"split is '{cells['split'][:20]}', expected train, val, test or nothing"
    return _number_problem(cells)


def _number_problem(cells: Mapping[str, str]) -> str:
    numbers = {name: cells.get(name, "") for name in (*SPACING, *CLINICAL)}
    for name, text in numbers.items():
        if text.lower() not in _UNKNOWN and parse_float(text) is None:
            expected = "a number with a decimal point" if "," in text else "a number"
            return f"{name} is '{text[:20]}', expected {expected}"
    unknown = [name for name in SPACING if numbers[name].lower() in _UNKNOWN]
    if len(unknown) == 1:
        return f"{unknown[0]} is empty, expected both of {' and '.join(SPACING)} or neither"
    return ""
