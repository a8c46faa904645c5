"""Masks whose names have no word for a mask, found by what they hold: `p01_lv.png` beside `p01.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainables.data.proposal.file_names import FileName
from trainables.data.proposal.mask_content import read_mask_content

_MOST_EXTRA = 2  # words of a mask's name beyond its image's
_MOST_LABELS = 16


def find_unnamed_masks(
    root: Path, files: Sequence[FileName], max_gigabytes: float
) -> tuple[list[FileName], list[FileName]]:
    """Return the images and the masks among files whose names do not tell masks.

    Files are masks if their names continue other files' by the same words, and all of them hold a few label numbers or
    colors only.

    Args:
        root: the folder.
        files: files that are not masks by their names.
        max_gigabytes: largest size of one decoded file.
    """
    words = {file.words for file in files}
    groups: dict[tuple[str, ...], list[FileName]] = defaultdict(list)
    for file in files:
        for count in range(1, min(_MOST_EXTRA, len(file.words) - 1) + 1):
            extra = file.words[-count:]
            if file.words[:-count] in words and not all(word.isdigit() for word in extra):
                groups[extra].append(file)
                break
    masks = {
        file.path
        for group in groups.values()
        if all(_few_labels(root, file.path, max_gigabytes) for file in group)
        for file in group
    }
    images = [file for file in files if file.path not in masks]
    return images, [replace(file, is_mask=True) for file in files if file.path in masks]


def _few_labels(root: Path, file: str, max_gigabytes: float) -> bool:
    content = read_mask_content(root, file, max_gigabytes)
    return not content.problem and max(len(content.numbers), len(content.colors)) <= _MOST_LABELS
