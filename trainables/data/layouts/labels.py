"""Conversion of a dataset's label numbers to class indices, by the structures' names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainables.data.records import DatasetIssue


def to_classes(
    labels: np.ndarray,
    shape: tuple[int, ...],
    meaning: Mapping[int, int],
    file: str,
    place: str = "",
    *,
    negatives: bool = False,
) -> tuple[np.ndarray | None, DatasetIssue | None]:
    """Convert the label numbers of a mask to class indices.

    Args:
        labels: int64 label numbers of any shape.
        shape: shape of the images that the mask belongs to.
        meaning: class index of every label number that may occur; 0 is background and may be omitted.
        file: file of the mask, for the issue.
        place: position in the file, for the issue; "" for the file as such.
        negatives: True where an image may show none of the structures, so that a mask of background only is a true
            negative; False for a dataset whose published masks all show one, so that such a mask is a fault.

    Returns:
        The uint8 class indices and None, or a note with a true negative; None and an issue for a mask that cannot be
        used: of another size than its image, with an unknown label number, or background only where that is a fault.
    """
    if labels.shape != shape:
        text = _size_problem(labels.shape, shape)
        return None, DatasetIssue(file, place, "mask size differs from the image", text, "loss", "mask")
    found = np.unique(labels)
    known = {0: 0, **meaning}
    unknown = [int(label) for label in found if int(label) not in known]
    if unknown:
        text = f"unknown label (found {_few(unknown)}, expected {_few(sorted(known))})"
        return None, DatasetIssue(file, place, "unknown label", text, "loss", "mask")
    if not found.any():
        return (np.zeros(shape, np.uint8), negative(file, place)) if negatives else (None, _empty(file, place))
    table = np.zeros(int(found[-1]) - int(found[0]) + 1, np.uint8)
    for label in found.tolist():
        table[label - int(found[0])] = known[label]
    return table[labels - int(found[0])], None


def _size_problem(found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Return how the shapes of a mask and its images differ; one frame is no dimension."""
    if len(found) == len(expected) == 3 and found[1:] == expected[1:]:
        counts = f"found {found[0]} frame(s), expected {expected[0]}"
        fix = "Fix: name the frame of the mask in the column `frame` of a manifest" if found[0] == 1 else ""
        return f"mask and image have different numbers of frames ({counts}). {fix}".rstrip(". ")
    if found[:1] == expected[:1] == (1,):
        found, expected = found[1:], expected[1:]
    return f"mask and image differ in size (found {_by(found)}, expected {_by(expected)})"


def negative(file: str, place: str = "") -> DatasetIssue:
    """Return the note of a mask of background only, which is kept."""
    return DatasetIssue(file, place, "background only", "the mask is background only; it counts as a true negative")


def _empty(file: str, place: str) -> DatasetIssue:
    text = "the mask is background only, but every mask of this dataset shows a structure"
    return DatasetIssue(file, place, "empty mask", text, "loss", "mask")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _few(numbers: list[int], limit: int = 8) -> str:
    return ", ".join(str(number) for number in numbers[:limit]) + (", ..." if len(numbers) > limit else "")
