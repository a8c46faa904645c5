"""Masks whose names have no word for a mask, found by what they hold: `p01_lv.png` beside `p01.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from trainables.data.proposal.file_names import FileName
from trainables.data.proposal.mask_content import MaskContents
from trainables.data.proposal.roles import RoleFinding, find_roles
from trainables.data.sampling.spread import spread_evenly

_MOST_EXTRA = 2  # words of a mask's name beyond its image's
_SAMPLE = 9  # files of a group that are looked at; the others are read as masks if most of these are some


def find_unnamed_masks(files: Sequence[FileName], contents: MaskContents, *, named: bool) -> RoleFinding:
    """Return the images and the masks among files whose names do not tell masks.

    Files are masks if their paths differ from those of other files in one part, or if their names continue other
    files' by the same words, and most of them hold a few label numbers or colors only.

    Args:
        files: files that are not masks by their names.
        contents: reader of the files.
        named: True where other files are masks by their names.
    """

    def are_masks(group: Sequence[FileName]) -> bool:
        chosen = [group[place] for place in spread_evenly(len(group), _SAMPLE)]
        if not contents.is_label_like(chosen[0].path) and not contents.is_label_like(chosen[-1].path):
            return False
        return 3 * sum(contents.is_label_like(file.path) for file in chosen) >= 2 * len(chosen)

    found = find_roles(files, are_masks, structures=named)
    if found.masks or named:
        return found
    words = {file.words for file in files}
    groups: dict[tuple[str, ...], list[FileName]] = defaultdict(list)
    for file in files:
        for count in range(1, min(_MOST_EXTRA, len(file.words) - 1) + 1):
            extra = file.words[-count:]
            if file.words[:-count] in words and not all(word.isdigit() for word in extra):
                groups[extra].append(file)
                break
    masks = {file.path for group in groups.values() if are_masks(group) for file in group}
    images = [file for file in files if file.path not in masks]
    return RoleFinding(images, [replace(file, is_mask=True) for file in files if file.path in masks], found.notes)
