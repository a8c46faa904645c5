"""Your own data: a CSV file that lists images and masks."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.data.formats.pictures import FLAT, Picture, is_video, kind_of, peek, read_picture
from trainables.data.formats.tables import is_file, is_inside, number, read_rows, whole
from trainables.data.layouts.labels import to_classes
from trainables.data.records import PHASES, Clip, Fault, Layout, Phase, Pixels, Scan, Split
from trainables.errors import DataError

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
class Manifest(Layout):
    """`manifest.csv` and, for masks, `classes.csv`; documented in docs/DATA.md.

    A row is an image file of one frame, a whole file of several (volume, video, DICOM cine), or the mask of one frame
    of such a file. Rows with the same subject, view and sequence that name single-frame files make up one sequence in
    the order of `frame`.

    Attributes:
        file: name of the CSV file in the dataset's folder.
        time: whether several slices in a NIfTI or MetaImage file are moments of a cycle; else they are a volume.
    """

    title: ClassVar[str] = "your own data (CSV manifest)"
    file: str = "manifest.csv"
    time: bool = False

    def __post_init__(self) -> None:
        if not is_inside(self.file):
            raise ValueError(f"file '{self.file}': expected a name in the dataset's folder")

    def scan(self, root: Path) -> Scan:
        """List the sequences of the manifest.

        Raises:
            DataError: the manifest or the list of classes is missing or is not one.
        """
        classes = read_classes(root)
        faults: list[Fault] = []
        rows = _rows(root, self.file, faults)
        if any(row.mask for row in rows) and not classes:
            raise DataError(f"{root / CLASSES_FILE}: no such file, expected the masks' values and names")
        splits = _splits(self.file, rows, faults)
        groups: dict[tuple[str, ...], list[_Row]] = defaultdict(list)
        for row in rows:
            groups[(row.subject, row.view, row.sequence, "" if row.single else row.image)].append(row)
        clips = []
        for key, members in groups.items():
            name, split = "/".join(filter(None, key)), splits.get(members[0].subject)
            clip = _clip(root, name, members, split, faults, time=self.time)
            if clip is not None:
                clips.append(clip)
        return Scan(tuple(clips), ("background", *classes.values()), tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a sequence.

        Raises:
            DataError: a file is unreadable, or the frames of a sequence differ in size.
        """
        meaning = {value: index for index, value in enumerate(read_classes(root), 1)}
        if "image" in clip.files:
            picture = read_picture(root / clip.files["image"])
        else:
            paths = [root / file for file in _numbered(clip, "image").values()]
            picture = _together([(path, read_picture(path)) for path in paths])
        images, faults = picture.images, list[Fault]()
        masks: dict[int, np.ndarray] = {}
        if "mask" in clip.files:
            file = clip.files["mask"]
            labels = read_picture(root / file, labels=True).images
            mask, fault = to_classes(labels, images.shape, meaning, file)
            masks = dict(enumerate(mask)) if mask is not None else {}
            faults.extend([fault] if fault else [])
        for frame, file in _numbered(clip, "mask").items():
            if frame >= len(images):
                text = f"mask of frame {frame}, but the image has {len(images)} frames (from 0)"
                faults.append(Fault(file, "", "traced frame past the end", text, "loss", "mask"))
                continue
            labels = read_picture(root / file, labels=True).images
            if labels.shape[0] == len(images) > 1:
                labels = labels[frame : frame + 1]
            mask, fault = to_classes(labels, (1, *images.shape[1:]), meaning, file)
            faults.extend([fault] if fault else [])
            if mask is not None:
                masks[frame] = mask[0]
        return Pixels(images[:, None], masks, picture.planes, tuple(faults))


@dataclass(frozen=True)
class _Row:
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
        """Whether the image file holds a single frame of a sequence, by its kind."""
        return kind_of(self.image) in FLAT


def read_classes(root: Path) -> dict[int, str]:
    """Names of the masks' values above 0, from `classes.csv`; empty where there is no such file.

    Raises:
        DataError: it is not such a list.
    """
    path = root / CLASSES_FILE
    if not path.is_file():
        return {}
    found: dict[int, str] = {}
    for line, (value, name) in read_rows(path, _CLASS_COLUMNS):
        level = whole(value)
        if level is None or not name or level in found or name in found.values():
            raise DataError(f"{path}, row {line}: '{value},{name}', expected a number and a name of their own")
        found[level] = name
    found.pop(0, None)
    if len(found) > 254:
        raise DataError(f"{path}: {len(found)} classes, expected at most 254")
    return dict(sorted(found.items()))


def _rows(root: Path, name: str, faults: list[Fault]) -> list[_Row]:
    path = root / name
    optional = [column for column in OPTIONAL if column in _header(path)]
    rows = []
    for line, cells in read_rows(path, (*REQUIRED, *optional)):
        row = _row(root, name, line, dict(zip((*REQUIRED, *optional), cells, strict=True)), faults)
        if row is not None:
            rows.append(row)
    if not rows and not faults:
        raise DataError(f"{path}: no rows, expected one for each image")
    return rows


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, csv.Error):
        return []  # read_rows says what is wrong


def _row(root: Path, name: str, line: int, cells: Mapping[str, str], faults: list[Fault]) -> _Row | None:
    place = f"row {line}"
    for column in ("image", "mask"):
        file = cells.get(column, "")
        if file and not is_inside(file):
            text = f"{column} '{file[:80]}', expected a path below the dataset's folder"
            faults.append(Fault(name, place, "path outside the dataset", text, "damage", "sequence"))
            return None
    problem = _problem(cells)
    if problem:
        faults.append(Fault(name, place, "unreadable row", problem, "loss", "sequence"))
        return None
    if not is_file(root / cells["image"]):
        text = f"{cells['image']} is listed but is not there"
        faults.append(Fault(name, place, "missing image", text, "loss", "sequence"))
        return None
    mask = cells.get("mask", "")
    if mask and not is_file(root / mask):
        faults.append(Fault(name, place, "missing mask", f"{mask} is listed but is not there", "loss", "mask"))
        mask = ""
    down, across = number(cells.get("row_mm", "")), number(cells.get("column_mm", ""))
    clinical = {key: value for key in ("ef", "edv", "esv") if (value := number(cells.get(key, ""))) is not None}
    return _Row(
        line=line,
        subject=cells["subject"],
        image=cells["image"],
        split=cells.get("split", "").lower(),
        mask=mask,
        view=cells.get("view", "") or "image",
        frame=whole(cells.get("frame", "")),
        sequence=cells.get("sequence", ""),
        phase=cells.get("phase", "").upper(),  # type: ignore[arg-type]  # _problem checked it
        spacing=(down, across) if down and across and min(down, across) > 0 else None,
        clinical=clinical,
    )


def _problem(cells: Mapping[str, str]) -> str:
    """What is wrong with a row's cells, or ""."""
    if not cells["subject"] or not cells["image"]:
        return "expected a subject and an image"
    if kind_of(cells["image"]) is None:
        return f"image '{cells['image'][-40:]}' is of a kind that is not read"
    mask = cells.get("mask", "")
    if mask and (kind_of(mask) is None or is_video(mask)):
        return f"mask '{mask[-40:]}' is of a kind that is not read"
    if cells.get("frame", "") and whole(cells["frame"]) is None:
        return f"frame is '{cells['frame'][:20]}', expected a whole number from 0 up"
    if cells.get("phase", "").upper() not in PHASES:
        return f"phase is '{cells['phase'][:20]}', expected ED, ES or nothing"
    if cells.get("split", "") and cells["split"].lower() not in _SPLITS:
        return f"split is '{cells['split'][:20]}', expected train, val, test or nothing"
    return ""


def _splits(name: str, rows: Sequence[_Row], faults: list[Fault]) -> dict[str, Split]:
    """The part of each subject; one in two stays in the part that is never trained on."""
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
            faults.append(Fault(name, f"row {row.line}", "subject in two splits", text, "loss", "row"))
    return splits


def _clip(
    root: Path, key: str, rows: Sequence[_Row], split: Split | None, faults: list[Fault], *, time: bool
) -> Clip | None:
    first = rows[0]
    files: dict[str, str] = {}
    labelled: dict[int, Phase] = {}
    frames: int | None = None
    if first.single:
        ordered = sorted(rows, key=lambda row: (row.frame if row.frame is not None else row.line, row.line))
        frames = len(ordered)
        for place, row in enumerate(ordered):
            files[f"image/{place:06d}"] = row.image
            if row.mask:
                files[f"mask/{place:06d}"] = row.mask
                labelled[place] = row.phase
        spacing, stack = first.spacing, False
    else:
        files["image"] = first.image
        for row in rows:
            if row.mask and row.frame is None:
                files["mask"] = row.mask
            elif row.mask:
                files[f"mask/{row.frame:06d}"] = row.mask
                labelled[row.frame or 0] = row.phase
        try:
            header = peek(root / first.image)
        except DataError as error:
            text = str(error).removeprefix(f"{root / first.image}: ")
            faults.append(Fault(first.image, "", "unreadable image", text, "damage", "sequence"))
            return None
        frames, spacing, stack = header.frames, first.spacing or header.spacing, header.slices and not time
        if "mask" in files:
            labelled = dict.fromkeys(range(frames or 0), first.phase) | labelled
    if spacing is None:
        faults.append(Fault(first.image, "", "spacing missing", "neither the file nor row_mm and column_mm tell it"))
    return Clip(
        subject=first.subject,
        sequence=key,
        view=first.view,
        split=split,
        frames=frames,
        labelled=labelled,
        spacing=spacing,
        clinical={name: value for row in reversed(rows) for name, value in row.clinical.items()},
        stack=stack,
        files=files,
    )


def _numbered(clip: Clip, role: str) -> dict[int, str]:
    """A clip's files of single frames, by frame."""
    found = {name.partition("/")[2]: file for name, file in clip.files.items() if name.startswith(f"{role}/")}
    return {int(place): file for place, file in sorted(found.items())}


def _together(pictures: Sequence[tuple[Path, Picture]]) -> Picture:
    """Single-frame files as one sequence."""
    first = pictures[0][1]
    for path, picture in pictures:
        if picture.images.shape != first.images.shape:
            found, expected = ("x".join(map(str, each.images.shape[1:])) for each in (picture, first))
            raise DataError(f"{path}: {found} pixels, the sequence's first image has {expected}")
    return Picture(np.concatenate([picture.images for _, picture in pictures]))
