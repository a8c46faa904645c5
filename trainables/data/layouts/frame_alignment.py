"""Alignment of a mask's frames to those of its image by the positions that both files describe."""

from __future__ import annotations

import numpy as np

from trainables.data.readers.pictures import Picture
from trainables.data.readers.planes import PlaneMismatch, place_frames
from trainables.data.records import DatasetIssue


def align_frames(
    mask: Picture, image: Picture, file: str, frame: int | None = None
) -> tuple[np.ndarray | None, DatasetIssue | None]:
    """Return a mask's label numbers at the pixels of its image.

    Where one of the two files does not say where its frames lie, the mask is returned as it is.

    Args:
        mask: the mask, its `images` label numbers.
        image: the image.
        file: file of the mask, for the issue.
        frame: index of the image's frame that a mask of one frame belongs to; None for a mask of all frames.

    Returns:
        The label numbers, or None with an issue where the mask lies elsewhere than its image.
    """
    if mask.planes is None or image.planes is None:
        return mask.images, None
    single = frame is not None and len(mask.images) == 1
    expected = image.planes[frame : frame + 1] if frame is not None and single else image.planes
    rows, columns = image.images.shape[1:]
    try:
        return place_frames(
            mask.images, mask.planes, expected, (rows, columns), sparse=mask.sparse and not single
        ), None
    except PlaneMismatch as reason:
        found, wanted = (_by(images) for images in (mask.images, image.images))
        text = f"mask and image differ in geometry: {reason} (found {found}, expected {wanted}). "
        text += "Fix: resample it onto the image's pixels"
        return None, DatasetIssue(file, "", "mask geometry differs from the image", text, "loss", "mask")


def _by(images: np.ndarray) -> str:
    return " x ".join(map(str, images.shape))
