"""Conversion of a dataset's label numbers to class indices, by the structures' names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainables.data.records import DatasetIssue


def to_classes(
    labels: np.ndarray, shape: tuple[int, ...], meaning: Mapping[int, int], file: str, place: str = ""
) -> tuple[np.ndarray | None, DatasetIssue | None]:
    """Convert the label numbers of a mask to class indices.

    Args:
        labels: int64 label numbers of any shape.
        shape: shape of the images that the mask belongs to.
        meaning: class index of every label number that may occur; 0 is background and may be omitted.
        file: file of the mask, for the issue.
        place: position in the file, for the issue; "" for the file as such.

    Returns:
        The uint8 class indices, or None with an issue: another size than the image's, an unknown label number, or
        background only.
    """
    if labels.shape != shape:
        text = f"mask and image differ in size (found {_by(labels.shape)}, expected {_by(shape)})"
        return None, DatasetIssue(file, place, "mask size differs from the image", text, "loss", "mask")
    found = np.unique(labels)
    known = {0: 0, **meaning}
    unknown = [int(label) for label in found if int(label) not in known]
    if unknown:
        text = f"unknown label (found {_few(unknown)}, expected {_few(sorted(known))})"
        return None, DatasetIssue(file, place, "unknown label", text, "loss", "mask")
    if not found.any():
        return None, DatasetIssue(file, place, "empty mask", "the mask is background only", "loss", "mask")
    table = np.zeros(int(found[-1]) - int(found[0]) + 1, np.uint8)
    for label in found.tolist():
        table[label - int(found[0])] = known[label]
    return table[labels - int(found[0])], None


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _few(numbers: list[int], limit: int = 8) -> str:
    return ", ".join(str(number) for number in numbers[:limit]) + (", ..." if len(numbers) > limit else "")
