"""The phantom on disk as the Medical Segmentation Decathlon publishes its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from trainables.common.files import write_json
from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.anatomy.abdomen import LABELS, draw_abdomen
from trainables.phantom.anatomy.pelvis import draw_pelvis
from trainables.phantom.anatomy.volume import Volume
from trainables.phantom.settings import PhantomSettings

LABELLED = 2 / 3
"""Share of the subjects with published labels; Task05 has 32 with and 16 without."""


@dataclass(frozen=True)
class _Task:
    """Entries of a task's `dataset.json`."""

    stem: str
    title: str
    description: str
    modality: Mapping[str, str]
    labels: Mapping[str, str]


_PROSTATE = _Task(
    "prostate",
    "PROSTATE",
    "Prostate transitional zone and peripheral zone segmentation",
    {"0": "T2", "1": "ADC"},
    {"0": "background", "1": "PZ", "2": "TZ"},
)
_LIVER = _Task("liver", "LIVER", "Liver segmentation", {"0": "T2"}, {"0": "background", "1": "liver"})


def write_prostate(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write a task like Task05_Prostate below `root`: T2 and ADC, two zones."""
    _write(root, _PROSTATE, settings, progress, lambda name: draw_pelvis(settings, name))


def write_liver(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write a liver task in the same layout below `root`: T2 weighted MR with fat suppressed."""
    _write(root, _LIVER, settings, progress, lambda name: _liver(settings, name))


def _liver(settings: PhantomSettings, name: str) -> Volume:
    volume = draw_abdomen(settings, name, "T2SPIR")
    return Volume(volume.images, (volume.labels == LABELS["liver"]).astype(np.uint8), volume.spacing)


def _write(
    root: Path,
    task: _Task,
    settings: PhantomSettings,
    progress: Progress | None,
    draw: Callable[[str], Volume],
) -> None:
    names = [f"{task.stem}_{number:02d}" for number in range(settings.subjects)]
    splits = split_subjects(names, (LABELLED, 0.0, 1 - LABELLED), settings.seed)
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for done, name in enumerate(names, 1):
        volume = draw(name)
        images = volume.images if len(task.modality) > 1 else volume.images[..., 0]
        folder = "imagesTr" if splits[name] == "train" else "imagesTs"
        _save(root / folder / f"{name}.nii.gz", images.astype(np.float32), volume.affine)
        if splits[name] == "train":
            _save(root / "labelsTr" / f"{name}.nii.gz", volume.labels, volume.affine)
        if progress is not None:
            progress("generating phantom", done, settings.subjects)
    labelled = [name for name in names if splits[name] == "train"]
    held_back = [name for name in names if splits[name] != "train"]
    content = {
        "name": task.title,
        "description": task.description,
        "reference": "phantom",
        "licence": "CC0",
        "release": "1.0",
        "tensorImageSize": "4D" if len(task.modality) > 1 else "3D",
        "modality": task.modality,
        "labels": task.labels,
        "numTraining": len(labelled),
        "numTest": len(held_back),
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in labelled],
        "test": [f"./imagesTs/{name}.nii.gz" for name in held_back],
    }
    write_json(root / "dataset.json", content)


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(array, affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nib.save(image, path)
