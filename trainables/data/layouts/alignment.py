"""Alignment of masks to their images by the geometry that both files describe."""

from __future__ import annotations

import numpy as np

from trainables.data.readers.grid import Grid
from trainables.data.readers.pictures import Picture
from trainables.data.readers.planes import place_frames
from trainables.data.readers.resample import GridMismatch, nearest_voxels, resample
from trainables.data.records import DatasetIssue

_FIX = "Fix: resample it onto the image's grid, or copy the image's geometry if it was drawn on that grid"


def align_picture(
    mask: Picture, image: Picture, file: str, frame: int | None = None, *, time: bool = False
) -> tuple[np.ndarray | None, tuple[DatasetIssue, ...]]:
    """Return a mask's label numbers as frames of its image.

    Volumes are aligned by `align_mask`, frames of other files by their positions. Files that do not say where their
    frames lie are taken as they are.

    Args:
        mask: the mask, its `images` label numbers.
        image: the image.
        file: file of the mask, for the issues.
        frame: index of the image's frame that a mask of one frame belongs to; None for a mask of all frames.
        time: True where the slices of volume files are frames over time.

    Returns:
        The label numbers `(T, H, W)` or None, and the issues as `align_mask` returns them.
    """
    if mask.grid is not None and image.grid is not None:
        return _align_volume(mask.images, mask.grid, image.grid, file, time=time)
    if mask.slices and image.slices and mask.is_array != image.is_array:
        return None, (_unplaced(mask, image, file),)
    time = time or not image.slices
    found, expected = _planes(mask, time), _planes(image, time)
    if found is None or expected is None:
        return mask.images, ()
    _, rows, columns = image.shape
    single = frame is not None and len(mask.images) == 1
    if frame is not None and single:
        expected = expected[frame : frame + 1]
    sparse = mask.sparse and not single
    try:
        return place_frames(mask.images, found, expected, (rows, columns), sparse=sparse), ()
    except GridMismatch as reason:
        shapes = _by(mask.shape), _by(image.shape)
        unknown = [name for name, picture in (("mask", mask), ("image", image)) if picture.grid and picture.grid.stock]
        if unknown and mask.images.shape == (len(expected), rows, columns):
            return mask.images, (_assumption(shapes[0], shapes[1], file, unknown[0]),)
        return None, (_mismatch(shapes[0], shapes[1], file, "geometry", f": {reason}"),)


def align_mask(
    labels: np.ndarray, found: Grid, expected: Grid, file: str
) -> tuple[np.ndarray | None, tuple[DatasetIssue, ...]]:
    """Return a mask's labels at the voxels of its image.

    Where both files say where their voxels lie, the mask is reoriented, or resampled to the nearest voxel. A mask whose
    file does not say it, or whose image's does not, has the image's voxel order if it has the image's shape.

    Args:
        labels: array `(*found.shape, ...)`.
        found: the mask's grid.
        expected: the image's grid.
        file: file of the mask, for the issues.

    Returns:
        Array `(*expected.shape, ...)` or None, and the issues: a note where the mask was resampled or its place is
        assumed, a loss where it does not fit.
    """
    same_shape = found.shape == expected.shape
    kind = "geometry" if same_shape else "size"
    if found.affine is None or expected.affine is None:
        if same_shape:
            return labels, _assumptions(found, expected, file)
        return None, (_mismatch(found, expected, file, kind),)
    try:
        return resample(labels, found, expected), _resampling(found, expected, file)
    except GridMismatch as reason:
        if same_shape and (found.stock or expected.stock):
            return labels, _assumptions(found, expected, file)
        return None, (_mismatch(found, expected, file, kind, f": {reason}"),)


def _align_volume(
    labels: np.ndarray, found: Grid, expected: Grid, file: str, *, time: bool
) -> tuple[np.ndarray | None, tuple[DatasetIssue, ...]]:
    """Return the upright slices of a mask at those of its image."""
    each = time or found.slices == 1  # image by image: of a frame's place, the manifest alone tells
    if each:
        found, expected, labels = found.plane(), expected.plane(), labels[:, None]
    aligned, issues = align_mask(found.voxels(labels), found, expected, file)
    if aligned is None:
        return None, issues
    return expected.upright(aligned)[:, 0] if each else expected.upright(aligned), issues


def _planes(picture: Picture, time: bool) -> np.ndarray | None:
    """Return the positions of the frames; where a volume's slices are frames over time, they share the first's."""
    planes = picture.planes if picture.grid is None else picture.grid.planes()
    if planes is None or picture.grid is None or not time:
        return planes
    return np.repeat(planes[:1], len(planes), axis=0)


def _mismatch(found: object, expected: object, file: str, kind: str, reason: str = "") -> DatasetIssue:
    """Return the loss of a mask that differs in "size" or "geometry" from its image."""
    text = f"mask and image differ in {kind}{reason} (found {found}, expected {expected}). {_FIX}"
    return DatasetIssue(file, "", f"mask {kind} differs from the image", text, "loss", "mask")


def _unplaced(mask: Picture, image: Picture, file: str) -> DatasetIssue:
    """Return the loss of a mask where one of the two is an array, whose axes are not those of a volume file."""
    shapes = f"found {_by(mask.shape)}, expected {_by(image.shape)}"
    text = f"only one of mask and image is an array of slices without a place in the patient ({shapes}). "
    return DatasetIssue(file, "", "mask geometry unknown", f"{text}Fix: save both in one format", "loss", "mask")


def _resampling(found: Grid, expected: Grid, file: str) -> tuple[DatasetIssue, ...]:
    """Return a note where voxels are left out or repeated."""
    order, places = nearest_voxels(found, expected)
    if all(sorted(place.tolist()) == list(range(found.shape[axis])) for axis, place in zip(order, places, strict=True)):
        return ()
    text = f"mask of another voxel size, resampled to the nearest voxel (found {found}, expected {expected})"
    return (DatasetIssue(file, "", "mask resampled", text),)


def _assumptions(found: Grid, expected: Grid, file: str) -> tuple[DatasetIssue, ...]:
    """Return a note where only one of the two files describes its place."""
    unknown = [grid.affine is None or grid.stock for grid in (found, expected)]
    return () if all(unknown) else (_assumption(found, expected, file, "mask" if unknown[0] else "image"),)


def _assumption(found: object, expected: object, file: str, unknown: str) -> DatasetIssue:
    text = f"the {unknown}'s header does not describe its place in the patient; the mask is taken in the image's voxel "
    text += f"order (found {found}, expected {expected})"
    return DatasetIssue(file, "", "mask geometry assumed", text)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
