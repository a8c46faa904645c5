"""Label numbers of a dataset to class indices: by what a number means, never by the number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from trainables.data.records import DatasetIssue


def to_classes(
    labels: np.ndarray, shape: tuple[int, ...], meaning: Mapping[int, int], file: str, place: str = ""
) -> tuple[np.ndarray | None, DatasetIssue | None]:
    """The class indices of a mask, or why it cannot be used.

    Args:
        labels: int64 label numbers, any shape.
        shape: of the images that they belong to.
        meaning: the class index of every label number that may occur; 0 is background and need not be said.
        file: of the mask, for the fault.
        place: in the file.

    Returns:
        The uint8 class indices, or None with a fault: another size than the image, a number without a meaning, or
        nothing but background.
    """
    if labels.shape != shape:
        text = f"the mask is {_by(labels.shape)}, its image {_by(shape)}"
        return None, DatasetIssue(file, place, "mask size differs from the image", text, "loss", "mask")
    found = np.unique(labels)
    known = {0: 0, **meaning}
    unknown = [int(label) for label in found if int(label) not in known]
    if unknown:
        text = f"label {_few(unknown)}, expected {_few(sorted(known))}"
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
