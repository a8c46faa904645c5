"""Frames as nnU-Net's raw dataset: one NIfTI file a case, a frame or a whole sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from trainables.common.files import write_json
from trainables.data.store.frames import FrameStore

NAME = "Dataset001_study"
ENDING = ".nii.gz"


@dataclass(frozen=True, eq=False)
class Case:
    """Case of nnU-Net, which is one image to it.

    Attributes:
        name: stem of the case's files.
        rows: row numbers of the frame store: one, or those of a sequence or volume in order.
    """

    name: str
    rows: np.ndarray


def cases_of(store: FrameStore, rows: np.ndarray, *, together: bool) -> list[Case]:
    """Rows as cases: each by itself, or the frames of each sequence together."""
    if not together:
        return [Case(f"frame_{row:07d}", np.array([row])) for row in rows]
    numbers = store.index["sequence"][rows]
    return [Case(f"sequence_{number:06d}", rows[numbers == number]) for number in np.unique(numbers)]


def write_dataset(
    root: Path, store: FrameStore, cases: Sequence[Case], splits: Sequence[Mapping[str, Sequence[str]]]
) -> None:
    """Write `root/nnUNet_raw/...` with images and labels of cases whose frames all have a mask, and the splits.

    Args:
        root: nnU-Net's folders.
        store: the frames.
        cases: training and validation cases.
        splits: names of the `train` and `val` cases of each fold.
    """
    raw = root / "nnUNet_raw" / NAME
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    for case in cases:
        images, spacing = image_of(store, case)
        for channel, image in enumerate(images):
            _save(raw / "imagesTr" / f"{case.name}_{channel:04d}{ENDING}", image, spacing)
        masks = np.asarray(store.masks[store.index["mask"][case.rows]])
        _save(raw / "labelsTr" / f"{case.name}{ENDING}", masks, spacing)
    write_json(
        raw / "dataset.json",
        {
            "channel_names": {str(number): name for number, name in enumerate(store.channel_names)},
            "labels": {name: number for number, name in enumerate(store.classes)},
            "numTraining": len(cases),
            "file_ending": ENDING,
            "overwrite_image_reader_writer": "SimpleITKIO",
        },
    )
    preprocessed = root / "nnUNet_preprocessed" / NAME
    preprocessed.mkdir(parents=True, exist_ok=True)
    write_json(preprocessed / "splits_final.json", [{part: list(split[part]) for part in split} for split in splits])


def image_of(store: FrameStore, case: Case) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return a case's images `(C, frames, S, S)` and the spacing of its axes in mm.

    Unknown pixel spacing counts as 1. Frames of a sequence get the larger pixel spacing, because time has no mm and
    nnU-Net slices volumes along the axis with the largest spacing, the first of equal ones.
    """
    images = np.asarray(store.images[case.rows]).transpose(1, 0, 2, 3)
    rows, columns = (float(value) for value in store.index["spacing"][case.rows[0]])
    if np.isnan(rows) or np.isnan(columns):
        rows = columns = 1.0
    return images, (max(rows, columns), rows, columns)


def _save(path: Path, volume: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write a volume `(frames, rows, columns)`; the file has the reverse axis order."""
    affine = np.diag([*spacing[::-1], 1.0])
    image = nib.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), affine)  # type: ignore[no-untyped-call]
    nib.save(image, path)
