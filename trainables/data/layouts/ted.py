"""TED: four-chamber cycles of 98 CAMUS patients, every frame labelled.

Painchaud et al., Echocardiography segmentation with enforced temporal consistency, IEEE TMI 41 (2022). Most of its
patients are in CAMUS' training set: a network pretrained or trained on CAMUS must not be evaluated on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.labels import to_classes
from trainables.data.readers import metaimage
from trainables.data.readers.grey import GreyRule, to_gray
from trainables.data.readers.grid import Grid
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.tables import parse_count, parse_float, read_pairs
from trainables.data.readers.volume import frames_grid
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord

FOLDER = "database"
CLASSES = ("background", "lv", "myocardium")
LABELS = {"lv": 1, "myocardium": 2}
_MEANING = {label: CLASSES.index(name) for name, label in LABELS.items()}


@dataclass(frozen=True)
class Ted(Layout):
    """`database/patientNNN/patientNNN_4CH_sequence[_gt].mhd` and `patientNNN_4CH_info.cfg`; no official split."""

    title: ClassVar[str] = "TED"
    masks: ClassVar[str] = "patientNNN_4CH_sequence_gt.mhd beside each sequence"
    grey: ClassVar[GreyRule] = "display"
    suffixes: ClassVar[tuple[str, ...]] = (".mhd",)

    def scan(self, root: Path) -> DatasetListing:
        """List the patients' sequences.

        Raises:
            DataError: there is no `database` folder with patients in it.
        """
        issues: list[DatasetIssue] = []
        folders = sorted(path for path in (root / FOLDER).glob("patient*") if path.is_dir())
        if not folders:
            raise DataError(f"{root}: no patients in {FOLDER}/, expected TED ({FOLDER}/patient001/...)")
        records = [record for folder in folders if (record := _record(root, folder, issues)) is not None]
        return DatasetListing(tuple(records), CLASSES, tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a sequence, transposed from the files' (lateral, depth, frame).

        Raises:
            DataError: its image or its mask is unreadable.
        """
        images = to_gray(_frames(root / record.files["image"]), display=True)
        masks: dict[int, np.ndarray] = {}
        issues: list[DatasetIssue] = []
        if "mask" in record.files:
            path = root / record.files["mask"]
            labels = to_label_numbers(path, _frames(path))
            if len(labels) != len(images):
                text = f"{len(labels)} masks for {len(images)} frames"
                issues.append(
                    DatasetIssue(record.files["mask"], "", "mask size differs from the image", text, "loss", "mask")
                )
                labels = labels[:0]
            for frame, plane in enumerate(labels):
                mask, issue = to_classes(plane, images.shape[1:], _MEANING, record.files["mask"], f"frame {frame}")
                issues.extend([issue] if issue else [])
                if mask is not None:
                    masks[frame] = mask
        return Pixels(images[:, None], masks, issues=tuple(issues))

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List a sequence by itself.

        Raises:
            DataError: it has no readable header.
        """
        header = metaimage.read_metaimage_header(path)
        record = SequenceRecord("", path.name, "", spacing=_spacing(header), files={"image": path.name})
        return (record,)

    def grid(self, root: Path, record: SequenceRecord) -> Grid:
        """Return the grid of a sequence.

        Raises:
            DataError: it has no readable header.
        """
        return frames_grid(root / record.files["image"])


def _record(root: Path, folder: Path, issues: list[DatasetIssue]) -> SequenceRecord | None:
    stem = folder / f"{folder.name}_4CH"
    image, mask, cfg = (stem.with_name(stem.name + end) for end in ("_sequence.mhd", "_sequence_gt.mhd", "_info.cfg"))
    name = image.relative_to(root).as_posix()
    if not image.is_file():
        issues.append(DatasetIssue(name, "", "missing image", "the patient has no sequence", "loss", "sequence"))
        return None
    try:
        header = metaimage.read_metaimage_header(image)
    except DataError as error:
        text = str(error).removeprefix(f"{image}: ")
        issues.append(DatasetIssue(name, "", "unreadable header", text, "damage", "sequence"))
        return None
    if len(header.size) != 3:
        text = f"size {header.size}, expected (lateral, depth, frames)"
        issues.append(DatasetIssue(name, "", "unreadable header", text, "damage", "sequence"))
        return None
    files, count = {"image": name}, header.size[2]
    labelled: dict[int, Phase] = {}
    info = read_pairs(cfg) if cfg.is_file() else {}
    if mask.is_file():
        files["mask"] = mask.relative_to(root).as_posix()
        labelled = dict.fromkeys(range(count), "")
        for phase in ("ED", "ES"):
            at = parse_count(info.get(phase, ""))
            if at is None or not 1 <= at <= count:
                text = f"{phase} is '{info.get(phase, '')}', expected a frame from 1 to {count}"
                issues.append(DatasetIssue(cfg.relative_to(root).as_posix(), "", "phases missing", text))
            else:
                labelled[at - 1] = phase
    else:
        text = "the sequence has no mask file"
        issues.append(DatasetIssue(name, "", "missing mask", text, "loss", "mask"))
    spacing = _spacing(header)
    if spacing is None:
        issues.append(DatasetIssue(name, "", "spacing missing", "the header gives no pixel spacing"))
    value = parse_float(info.get("EF", ""))
    return SequenceRecord(
        subject=folder.name,
        sequence=stem.name,
        view="4CH",
        frames=count,
        labelled=labelled,
        spacing=spacing,
        clinical={"ef": value} if value is not None else {},
        files=files,
    )


def _spacing(header: metaimage.MetaImageHeader) -> tuple[float, float] | None:
    """Return the (row, column) spacing in mm after transposing, or None."""
    found = header.spacing
    return (found[1], found[0]) if found is not None and min(found[:2]) > 0 else None


def _frames(path: Path) -> np.ndarray:
    array = metaimage.read_metaimage(path).array
    if array.ndim != 3:
        raise DataError(f"{path}: shape {array.shape}, expected (lateral, depth, frames)")
    return array.transpose(2, 1, 0)
