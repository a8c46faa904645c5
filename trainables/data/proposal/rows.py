"""Rows of a proposed manifest, and the text of its two CSV files."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainables.data.layouts.manifest_columns import MASK_OF
from trainables.data.layouts.manifest_rows import BETWEEN_FILES
from trainables.data.proposal.labelling import LabelClass, Labelling
from trainables.data.proposal.pairing import PairedImage
from trainables.data.proposal.subjects import Subjects
from trainables.data.records import Phase

_VIEW = re.compile(
    r"(?<![a-z0-9])([2-5]ch|a[2-5]c|plax|psax|sax|lax|sagittal|coronal|axial)(?![a-z0-9])", re.IGNORECASE
)
_PHASE = re.compile(r"(?<![a-z0-9])(ed|es)(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class ManifestRow:
    """A row of a proposed manifest.

    Attributes:
        subject: the patient.
        image: the image's file.
        masks: mask files by the name of their column.
        split: "train", "val", "test" or "".
        view: name of the view, or "".
        frame: frame of a longer file that the masks belong to, or None.
        phase: phase of the cardiac cycle, or "".
    """

    subject: str
    image: str
    masks: Mapping[str, tuple[str, ...]]
    split: str = ""
    view: str = ""
    frame: int | None = None
    phase: Phase = ""


def manifest_rows(
    images: Sequence[PairedImage], labelling: Labelling, subjects: Subjects, channels: Sequence[str]
) -> tuple[list[ManifestRow], list[str]]:
    """Return the manifest's rows, and the assumptions that a user should know.

    Args:
        images: the images with their masks.
        labelling: meaning of the masks.
        subjects: subject of each image.
        channels: names of nnU-Net's channels, which become views; empty for other datasets.
    """
    notes: list[str] = []
    use_splits = _splits_have_masks(images)
    named = {image.file.split for image in images} - {None}
    if not use_splits and len(named) > 1:
        notes.append("the folders' splits are not used, as one of train and test has no masks; fractions split instead")
    phases = _phases(images, subjects)
    rows = []
    for image in images:
        by_frame: dict[int | None, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for mask in image.masks:
            column = f"{MASK_OF}{_name(mask.structure, labelling)}" if labelling.structures else "mask"
            by_frame[mask.frame][column].append(mask.file.path)
        path = image.file.path
        for frame, masks in (by_frame or {None: {}}).items():
            rows.append(
                ManifestRow(
                    subjects.names[path],
                    path,
                    {column: tuple(files) for column, files in masks.items()},
                    (image.file.split or "") if use_splits else "",
                    _view(image, channels),
                    frame,
                    phases.get(path, ""),
                )
            )
    return rows, notes


def manifest_text(rows: Sequence[ManifestRow]) -> str:
    """Return `manifest.csv`; columns that would be empty are left out."""
    columns = sorted({column for row in rows for column in row.masks})
    cells = [
        {
            "subject": row.subject,
            "split": row.split,
            "image": row.image,
            **{column: BETWEEN_FILES.join(row.masks.get(column, ())) for column in columns},
            "view": row.view,
            "frame": "" if row.frame is None else str(row.frame),
            "phase": row.phase,
        }
        for row in rows
    ]
    used = [name for name in cells[0] if name in ("subject", "image") or any(each[name] for each in cells)]
    return _csv(used, [[each[name] for name in used] for each in cells])


def classes_text(classes: Sequence[LabelClass]) -> str:
    """Return `classes.csv`; without colors, its column is left out."""
    colored = any(each.color for each in classes)
    header = ["value", "name", *(["color"] if colored else [])]
    return _csv(header, [[str(each.value), each.name, *([each.color] if colored else [])] for each in classes])


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _name(structure: str, labelling: Labelling) -> str:
    return structure or (labelling.structures[0] if len(labelling.structures) == 1 else "foreground")


def _splits_have_masks(images: Sequence[PairedImage]) -> bool:
    """Return True where folders name training and test images, and both have masks."""
    splits: dict[str | None, bool] = defaultdict(bool)
    for image in images:
        splits[image.file.split] |= bool(image.masks)
    return {"train", "test"} <= splits.keys() and all(splits[split] for split in splits if split is not None)


def _view(image: PairedImage, channels: Sequence[str]) -> str:
    channel = image.file.channel
    if channel is not None:
        return "" if len(channels) == 1 else channels[channel] if channel < len(channels) else image.view
    found = _VIEW.search(image.file.path)
    return image.view or (found[1].upper() if found else "")


def _phases(images: Sequence[PairedImage], subjects: Subjects) -> dict[str, Phase]:
    """Return the phase of each single image whose name has it, where no other of its subject and view has the same."""
    found: dict[tuple[str, str, Phase], list[str]] = defaultdict(list)
    for image in images:
        match = _PHASE.search(image.file.stem) if image.single else None
        if match is not None:
            path = image.file.path
            phase: Phase = "ED" if match[1].upper() == "ED" else "ES"
            found[subjects.names[path], _view(image, ()), phase].append(path)
    return {paths[0]: phase for (_, _, phase), paths in found.items() if len(paths) == 1}
