"""Contents of mask files: their label numbers or colors, and their size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.common.errors import UserError
from trainables.data.proposal.soft_edges import soft_edges
from trainables.data.readers.flat_pictures import FLAT, read_flat, read_flat_labels_or_colors
from trainables.data.readers.legend import RGB
from trainables.data.readers.picture_header import open_picture
from trainables.data.readers.pictures import file_type, read_picture
from trainables.data.store.guard import guarded

MOST_LABELS = 64
"""Largest number of label numbers or colors of a mask; a file with more is no mask."""
_SHOWN = 8  # numbers that a message names
_FEW_LABELS = 16  # of a file that is taken for a mask without a name that says so
_NEAR, _MOST, _SOME = 10, 0.95, 0.002  # gray levels about black and white; shares of the pixels at both and at each


@dataclass(frozen=True)
class MaskContent:
    """Contents of a mask file.

    Attributes:
        numbers: label numbers above 0.
        colors: number of pixels of each color; empty for a file of label numbers.
        shape: (rows, columns); None for a volume.
        problem: reason why it cannot be read as a mask, or "".
    """

    numbers: frozenset[int] = frozenset()
    colors: Mapping[RGB, int] = field(default_factory=dict)
    shape: tuple[int, int] | None = None
    problem: str = ""


@dataclass(frozen=True)
class MaskContents:
    """Reader of mask files that reads each one once.

    Attributes:
        root: the dataset's folder.
        max_gigabytes: largest size of one decoded file.
    """

    root: Path
    max_gigabytes: float
    _known: dict[str, MaskContent] = field(default_factory=dict, repr=False)

    def read(self, file: str) -> MaskContent:
        """Return a file's contents as `read_mask_content` does."""
        if file not in self._known:
            self._known[file] = read_mask_content(self.root, file, self.max_gigabytes)
        return self._known[file]

    def is_label_like(self, file: str) -> bool:
        """Return True for a file of few label numbers or colors, and for a picture that is black and white but for
        its edges, as compression with losses or smoothing leave a mask.
        """
        content = self.read(file)
        if not content.problem:
            return max(len(content.numbers), len(content.colors)) <= _FEW_LABELS
        return file_type(file) in FLAT and self._is_black_and_white(file)

    def _is_black_and_white(self, file: str) -> bool:
        try:
            with guarded(self.root, self.max_gigabytes):
                levels = read_flat(self.root / file)
        except UserError:
            return False
        if levels.dtype != np.uint8:
            return False
        black, white = float((levels <= _NEAR).mean()), float((levels >= 255 - _NEAR).mean())
        return black + white >= _MOST and min(black, white) >= _SOME


def read_mask_content(root: Path, file: str, max_gigabytes: float) -> MaskContent:
    """Return the label numbers or colors of a mask file, or the reason why it cannot be read as one.

    Args:
        root: the dataset's folder.
        file: the file's path relative to it.
        max_gigabytes: largest size of the decoded file.
    """
    path = root / file
    flat = file_type(file) in FLAT
    try:
        with guarded(root, max_gigabytes):
            marks = read_flat_labels_or_colors(path) if flat else read_picture(path, labels=True).images
    except UserError as error:
        return MaskContent(problem=str(error).removeprefix(f"{path}: "))
    shape = (marks.shape[0], marks.shape[1]) if flat else None
    colors = _count_colors(marks) if flat and marks.ndim == 3 else {}
    numbers = frozenset[int]() if colors else frozenset(np.unique(marks).tolist()) - {0}
    count = max(len(numbers), len(colors))
    if numbers and min(numbers) < 0:
        below = ", ".join(map(str, sorted(number for number in numbers if number < 0)[:_SHOWN]))
        return MaskContent(shape=shape, problem=f"negative label numbers (found {below}, expected 0 or more)")
    smoothed = soft_edges(marks) if flat and numbers else 0
    if smoothed:
        found = f"found {smoothed} numbers between 0 and {max(numbers)}, all at edges"
        fix = "Fix: save it without smoothing: resize by nearest neighbour, or set each pixel to 0 or to the largest"
        return MaskContent(shape=shape, problem=f"smoothed edges ({found}). {fix}")
    if count > MOST_LABELS:
        kind = "colors" if colors else "label numbers"
        found = f"found {count} {kind}, expected at most {MOST_LABELS}"
        return MaskContent(shape=shape, problem=f"not a mask ({found})")
    return MaskContent(numbers, colors, shape)


def _count_colors(shades: np.ndarray) -> dict[RGB, int]:
    """Return the number of pixels of each color of `(H, W, 3)`."""
    found, counts = np.unique(shades.reshape(-1, 3), axis=0, return_counts=True)
    rows = zip(found.tolist(), counts.tolist(), strict=True)
    return {(red, green, blue): count for (red, green, blue), count in rows}


def image_shape(root: Path, file: str, max_gigabytes: float) -> tuple[int, int] | None:
    """Return the (rows, columns) of a picture as it is shown; None for other files and for damaged ones."""
    if file_type(file) not in FLAT:
        return None
    try:
        with guarded(root, max_gigabytes):
            return open_picture(root / file).shape
    except UserError:
        return None
