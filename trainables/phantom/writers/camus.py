"""The phantom on disk as CAMUS is published (NIfTI release)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np

from trainables.data.layouts.camus import FOLDER, VIEWS
from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.imaging.cine import Cine, draw_cine
from trainables.phantom.settings import PhantomSettings

_SPLIT_FILES = {"train": "training", "val": "validation", "test": "testing"}


def write_camus(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `database_nifti/` and `database_split/` below `root`, two- and four-chamber views."""
    names = [f"patient{number:04d}" for number in range(1, settings.subjects + 1)]
    splits = split_subjects(names, settings.fractions, settings.seed)
    folder = root / "database_split"
    folder.mkdir(parents=True, exist_ok=True)
    for split, stem in _SPLIT_FILES.items():
        lines = [f"{name}\n" for name in names if splits[name] == split]
        (folder / f"subgroup_{stem}.txt").write_text("".join(lines))
    for done, name in enumerate(names, 1):
        for view in VIEWS:
            write_view(root / FOLDER / name, name, view, draw_cine(settings, name, view))
        if progress is not None:
            progress("generating phantom", done, settings.subjects)


def write_view(folder: Path, name: str, view: str, cine: Cine) -> None:
    """Write one view: its half cycle from end-diastole to end-systole, both ends alone, their masks, and the cfg."""
    folder.mkdir(parents=True, exist_ok=True)
    images, masks = half_cycle(cine)
    spacing = cine.millimetres / cine.images.shape[-1]
    for kind, values in (("", images), ("_gt", masks)):
        for phase, chosen in (("half_sequence", values), ("ED", values[0]), ("ES", values[-1])):
            upright = chosen.astype(np.float32)
            affine = np.diag([-spacing, -spacing, 1.0, 1.0])
            image = nib.Nifti1Image(upright.T, affine)  # type: ignore[no-untyped-call]
            nib.save(image, folder / f"{name}_{view}_{phase}{kind}.nii.gz")
    lines = info(len(images), 1, len(images)) | {"EF": round(cine.ejection_fraction), "FrameRate": 50.0}
    write_info(folder / f"Info_{view}.cfg", lines)


def half_cycle(cine: Cine) -> tuple[np.ndarray, np.ndarray]:
    """Return images and class indices from end-diastole to end-systole, each uint8 `(T, height, width)`."""
    height = round(cine.images.shape[-1] * 0.9)  # the published images are wider than deep
    step = 1 if cine.end_systole > cine.end_diastole else -1
    frames = list(range(cine.end_diastole, cine.end_systole + step, step))
    images = np.stack([cine.images[frame, :height] for frame in frames])
    return images, np.stack([truth(cine, frame)[:height] for frame in frames])


def info(frames: int, diastole: int, systole: int) -> dict[str, object]:
    """Return the text of a sequence's cfg file; ED and ES are 1-based."""
    return {"ED": diastole, "ES": systole, "NbFrame": frames, "Sex": "F", "Age": 60, "ImageQuality": "Good"}


def write_info(path: Path, lines: Mapping[str, object]) -> None:
    """Write a cfg of `key: value` lines."""
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))


def truth(cine: Cine, frame: int) -> np.ndarray:
    """Return class indices `(size, size)`: 1 left ventricle, 2 myocardium, 3 left atrium."""
    size = cine.images.shape[-1]
    mask = np.zeros((size, size), np.uint8)
    for label, outline in ((3, cine.heart.left_atrium(frame)), (2, cine.heart.epicardium(frame))):
        cv2.fillPoly(mask, [np.rint((outline * size - 0.5) * 16).astype(np.int32)], label, shift=4)
    mask[cine.left_ventricle(frame)] = 1
    return mask
