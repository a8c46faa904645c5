"""Your own data: a CSV file that lists images and masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.frame_alignment import align_frames
from trainables.data.layouts.labels import to_classes
from trainables.data.layouts.manifest_rows import CLASSES_FILE, Row, read_classes, read_manifest, read_splits
from trainables.data.readers.pictures import Picture, is_dicom_name, read_picture, read_picture_header
from trainables.data.readers.tables import is_inside
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord, Split


@dataclass(frozen=True)
class Manifest(Layout):
    """`manifest.csv` and, for masks, `classes.csv`; documented in docs/DATA.md.

    A row is an image file of one frame, a whole file of several (volume, video, DICOM cine), or the mask of one frame
    of such a file. Rows with the same subject, view and sequence that name single-frame files make up one sequence in
    the order of `frame`.

    Attributes:
        file: name of the CSV file in the dataset's folder.
        time: True where the slices of a NIfTI or MetaImage file are frames over time; False where they are a volume.
    """

    title: ClassVar[str] = "your own data (CSV manifest)"
    file: str = "manifest.csv"
    time: bool = False

    def __post_init__(self) -> None:
        if not is_inside(self.file):
            raise ValueError(f"file '{self.file}': expected a name in the dataset's folder")

    def scan(self, root: Path) -> DatasetListing:
        """List the sequences of the manifest.

        Raises:
            DataError: the manifest or the list of classes is missing or is not one.
        """
        classes = read_classes(root)
        issues: list[DatasetIssue] = []
        rows = read_manifest(root, self.file, issues)
        if any(row.mask for row in rows) and not classes:
            raise DataError(f"{root / CLASSES_FILE}: no such file, expected the masks' values and names")
        splits = read_splits(self.file, rows, issues)
        groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            groups[(row.subject, row.view, row.sequence, "" if row.single else row.image)].append(row)
        records = []
        for key, members in groups.items():
            name, split = "/".join(filter(None, key)), splits.get(members[0].subject)
            record = _record(root, name, members, split, issues, time=self.time)
            if record is not None:
                records.append(record)
        return DatasetListing(tuple(records), ("background", *classes.values()), tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a sequence.

        Raises:
            DataError: a file is unreadable, or the frames of a sequence differ in size.
        """
        meaning = {value: index for index, value in enumerate(read_classes(root), 1)}
        if "image" in record.files:
            picture = read_picture(root / record.files["image"])
        else:
            paths = [root / file for file in _numbered(record, "image").values()]
            picture = _together([(path, read_picture(path)) for path in paths])
        images, issues = picture.images, list[DatasetIssue]()
        masks: dict[int, np.ndarray] = {}
        if "mask" in record.files:
            file = record.files["mask"]
            labels = _labels(root, record, file, picture, None, issues)
            mask, issue = to_classes(labels, images.shape, meaning, file) if labels is not None else (None, None)
            masks = dict(enumerate(mask)) if mask is not None else {}
            issues.extend([issue] if issue else [])
        for frame, file in _numbered(record, "mask").items():
            if frame >= len(images):
                text = f"mask of frame {frame}, but the image has {len(images)} frames (from 0)"
                issues.append(DatasetIssue(file, "", "traced frame past the end", text, "loss", "mask"))
                continue
            labels = _labels(root, record, file, picture, frame, issues)
            if labels is None:
                continue
            if labels.shape[0] == len(images) > 1:
                labels = labels[frame : frame + 1]
            mask, issue = to_classes(labels, (1, *images.shape[1:]), meaning, file)
            issues.extend([issue] if issue else [])
            if mask is not None:
                masks[frame] = mask[0]
        return Pixels(images[:, None], masks, picture.planes, tuple(issues))


def _labels(
    root: Path, record: SequenceRecord, file: str, image: Picture, frame: int | None, issues: list[DatasetIssue]
) -> np.ndarray | None:
    """Return a mask's label numbers, at the pixels of its image where one of them is DICOM.

    It is None, with an issue, where the mask lies elsewhere.
    """
    mask = read_picture(root / file, labels=True)
    if not is_dicom_name(file) and not is_dicom_name(record.files.get("image", "")):
        return mask.images
    labels, issue = align_frames(mask, image, file, frame)
    issues.extend([issue] if issue else [])
    return labels


def _record(
    root: Path, key: str, rows: Sequence[Row], split: Split | None, issues: list[DatasetIssue], *, time: bool
) -> SequenceRecord | None:
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
            header = read_picture_header(root / first.image)
        except DataError as error:
            text = str(error).removeprefix(f"{root / first.image}: ")
            issues.append(DatasetIssue(first.image, "", "unreadable image", text, "damage", "sequence"))
            return None
        frames, spacing, stack = header.frames, first.spacing or header.spacing, header.slices and not time
        if "mask" in files:
            labelled = dict.fromkeys(range(frames or 0), first.phase) | labelled
    if spacing is None:
        issues.append(
            DatasetIssue(first.image, "", "spacing missing", "no pixel spacing in the file or in row_mm and column_mm")
        )
    return SequenceRecord(
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


def _numbered(record: SequenceRecord, role: str) -> dict[int, str]:
    """Return a sequence's single-frame files by frame."""
    found = {name.partition("/")[2]: file for name, file in record.files.items() if name.startswith(f"{role}/")}
    return {int(place): file for place, file in sorted(found.items())}


def _together(pictures: Sequence[tuple[Path, Picture]]) -> Picture:
    """Join single-frame images to one sequence."""
    first = pictures[0][1]
    for path, picture in pictures:
        if picture.images.shape != first.images.shape:
            found, expected = ("x".join(map(str, each.images.shape[1:])) for each in (picture, first))
            raise DataError(f"{path}: {found} pixels, the sequence's first image has {expected}")
    return Picture(np.concatenate([picture.images for _, picture in pictures]))
