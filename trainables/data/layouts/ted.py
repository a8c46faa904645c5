"""TED: four-chamber cycles of 98 CAMUS patients, every frame labelled.

Painchaud et al., Echocardiography segmentation with enforced temporal consistency, IEEE TMI 41 (2022). Most of its
patients are in CAMUS' training set: a network pretrained or trained on CAMUS must not be judged on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.labels import to_classes
from trainables.data.readers import metaimage
from trainables.data.readers.grey import published
from trainables.data.readers.tables import number, read_pairs, whole
from trainables.data.records import Clip, DatasetIssue, Layout, Phase, Pixels, Scan

FOLDER = "database"
CLASSES = ("background", "lv", "myocardium")
LABELS = {"lv": 1, "myocardium": 2}
_MEANING = {label: CLASSES.index(name) for name, label in LABELS.items()}


@dataclass(frozen=True)
class Ted(Layout):
    """`database/patientNNN/patientNNN_4CH_sequence[_gt].mhd` and `patientNNN_4CH_info.cfg`; no official split."""

    title: ClassVar[str] = "TED"

    def scan(self, root: Path) -> Scan:
        """List the patients' sequences.

        Raises:
            DataError: there is no `database` folder with patients in it.
        """
        faults: list[DatasetIssue] = []
        folders = sorted(path for path in (root / FOLDER).glob("patient*") if path.is_dir())
        if not folders:
            raise DataError(f"{root}: no patients in {FOLDER}/, expected TED ({FOLDER}/patient001/...)")
        clips = [clip for folder in folders if (clip := _clip(root, folder, faults)) is not None]
        return Scan(tuple(clips), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a sequence, transposed from the files' (lateral, depth, frame).

        Raises:
            DataError: its image or its mask is unreadable.
        """
        images = published(_frames(root / clip.files["image"]))
        masks: dict[int, np.ndarray] = {}
        faults: list[DatasetIssue] = []
        if "mask" in clip.files:
            labels = np.rint(_frames(root / clip.files["mask"])).astype(np.int64)
            if len(labels) != len(images):
                text = f"{len(labels)} masks for {len(images)} frames"
                faults.append(
                    DatasetIssue(clip.files["mask"], "", "mask size differs from the image", text, "loss", "mask")
                )
                labels = labels[:0]
            for frame, plane in enumerate(labels):
                mask, fault = to_classes(plane, images.shape[1:], _MEANING, clip.files["mask"], f"frame {frame}")
                faults.extend([fault] if fault else [])
                if mask is not None:
                    masks[frame] = mask
        return Pixels(images[:, None], masks, faults=tuple(faults))


def _clip(root: Path, folder: Path, faults: list[DatasetIssue]) -> Clip | None:
    stem = folder / f"{folder.name}_4CH"
    image, mask, cfg = (stem.with_name(stem.name + end) for end in ("_sequence.mhd", "_sequence_gt.mhd", "_info.cfg"))
    name = image.relative_to(root).as_posix()
    if not image.is_file():
        faults.append(DatasetIssue(name, "", "missing image", "the patient has no sequence", "loss", "sequence"))
        return None
    try:
        header = metaimage.read_header(image)
    except DataError as error:
        text = str(error).removeprefix(f"{image}: ")
        faults.append(DatasetIssue(name, "", "unreadable header", text, "damage", "sequence"))
        return None
    if len(header.size) != 3:
        text = f"size {header.size}, expected (lateral, depth, frames)"
        faults.append(DatasetIssue(name, "", "unreadable header", text, "damage", "sequence"))
        return None
    files, count = {"image": name}, header.size[2]
    labelled: dict[int, Phase] = {}
    info = read_pairs(cfg) if cfg.is_file() else {}
    if mask.is_file():
        files["mask"] = mask.relative_to(root).as_posix()
        labelled = dict.fromkeys(range(count), "")
        for phase in ("ED", "ES"):
            at = whole(info.get(phase, ""))
            if at is None or not 1 <= at <= count:
                text = f"{phase} is '{info.get(phase, '')}', expected a frame from 1 to {count}"
                faults.append(DatasetIssue(cfg.relative_to(root).as_posix(), "", "phases missing", text))
            else:
                labelled[at - 1] = phase
    else:
        text = "the sequence has no mask file"
        faults.append(DatasetIssue(name, "", "missing mask", text, "loss", "mask"))
    spacing = header.spacing
    if spacing is None or min(spacing[:2]) <= 0:
        spacing = None
        faults.append(DatasetIssue(name, "", "spacing missing", "the header gives no pixel spacing"))
    value = number(info.get("EF", ""))
    return Clip(
        subject=folder.name,
        sequence=stem.name,
        view="4CH",
        frames=count,
        labelled=labelled,
        spacing=(spacing[1], spacing[0]) if spacing is not None else None,
        clinical={"ef": value} if value is not None else {},
        files=files,
    )


def _frames(path: Path) -> np.ndarray:
    array = metaimage.read(path).array
    if array.ndim != 3:
        raise DataError(f"{path}: shape {array.shape}, expected (lateral, depth, frames)")
    return array.transpose(2, 1, 0)
