"""Views of a cardiac MR phantom as NIfTI files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from trainables.phantom.anatomy.cardiac_mr import ViewPlane
from trainables.phantom.anatomy.heart import STRUCTURES


def save_images(path: Path, view: ViewPlane, moment: int | None = None) -> None:
    """Write a view's images, all frames or one."""
    _save(path, view, view.images.astype(np.int16) if moment is None else view.images[moment].astype(np.int16))


def save_labels(path: Path, view: ViewPlane, numbers: Mapping[str, int], moments: int | tuple[int, ...]) -> None:
    """Write a view's labels with a dataset's label values; unlisted structures are background.

    Args:
        path: file to write.
        view: images and labels of one view.
        numbers: label value of each structure by name.
        moments: the one that the file is of, or those that are labelled in a file of all.
    """
    table = np.array([numbers.get(name, 0) for name in STRUCTURES], np.uint8)
    labels = table[view.labels]
    if isinstance(moments, int):
        _save(path, view, labels[moments])
        return
    labels[[moment for moment in range(len(labels)) if moment not in moments]] = 0
    _save(path, view, labels)


def _save(path: Path, view: ViewPlane, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values.T, view.affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nib.save(image, path)
