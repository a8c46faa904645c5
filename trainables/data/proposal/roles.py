"""Roles of a folder's files where names do not tell masks: groups that differ in one part of their paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from trainables.data.proposal.file_names import FileName, split_words
from trainables.data.readers.pictures import file_type

_MOST_ROLES = 16  # more folders or names than these are patients or frames

Role = tuple[str, str]
"""Part of the path and file type that a group's files share."""


@dataclass(frozen=True)
class RoleFinding:
    """Masks among files.

    Attributes:
        images: the other files.
        masks: the masks, with the words of their images and, where several groups are masks, of their own part.
        notes: assumptions that a user should know, each a sentence.
    """

    images: list[FileName]
    masks: list[FileName]
    notes: tuple[str, ...] = ()


def find_roles(
    files: Sequence[FileName], are_masks: Callable[[Sequence[FileName]], bool], *, structures: bool
) -> RoleFinding:
    """Return the masks among files: groups whose paths differ from those of other files in one part only.

    `etiquetas/001.png` differs from `fotos/001.png` in the folder, `p01/b.png` from `p01/a.png` in the name, `a.png`
    from `a.jpg` in the type.

    Args:
        files: files that are not masks by their names.
        are_masks: function that tells whether a group's files are masks.
        structures: True where other masks exist, so that these show further structures, named by their part.
    """
    depth = max((len(PurePosixPath(file.path).parts) for file in files), default=1)
    doubt: tuple[str, ...] = ()
    for level in (1, 0, *range(2, depth)):  # the folder, the name, the outer folders
        groups = _groups(files, level)
        if not 2 <= len(groups) <= _MOST_ROLES:
            continue
        twins = {role: [other for other in groups if _alike(groups, role, other)] for role in groups}
        masks = [role for role, others in twins.items() if others and are_masks([*groups[role].values()])]
        images = [role for role in groups if role not in masks]
        pairs = {role: [other for other in twins[role] if other in images] for role in masks}
        if any(pairs.values()):
            return _found(files, groups, {role: others for role, others in pairs.items() if others}, structures)
        if masks and not doubt:
            names = " and ".join(sorted(map(_name, masks))[:4])
            doubt = (f"files of {names} hold few values each and are taken for images. Fix: set --mask-pattern",)
    return RoleFinding([*files], [], doubt)


def _groups(files: Sequence[FileName], level: int) -> dict[Role, dict[tuple[str, ...], FileName]]:
    """Return the files by the part of their path at a level and their type, and by the rest of their path.

    Args:
        files: the files.
        level: 0 for the stem, 1 for the folder, 2 for the folder around it.
    """
    groups: dict[Role, dict[tuple[str, ...], FileName]] = defaultdict(dict)
    for file in files:
        kind = file_type(file.path) or ""
        parts = ["", *PurePosixPath(file.path[: len(file.path) - len(kind)]).parts]
        if level < len(parts):
            place = len(parts) - 1 - level
            groups[parts[place], kind][*parts[:place], *parts[place + 1 :]] = file
    return groups


def _alike(groups: Mapping[Role, Mapping[tuple[str, ...], FileName]], role: Role, other: Role) -> bool:
    """Return True where at least half of a group's files, and two, have a counterpart in another group."""
    shared = len(groups[role].keys() & groups[other].keys())
    return role != other and shared >= max(2, len(groups[role]) / 2)


def _found(
    files: Sequence[FileName],
    groups: Mapping[Role, Mapping[tuple[str, ...], FileName]],
    pairs: Mapping[Role, Sequence[Role]],
    structures: bool,
) -> RoleFinding:
    """Return the masks of the groups in `pairs`, each with the words of its image in one of the other groups."""
    several = structures or len(pairs) > 1
    masks: dict[str, FileName] = {}
    for role, others in pairs.items():
        known = {word for other in others for word in split_words(other[0])}
        own = tuple(word for word in split_words(role[0]) if word not in known) if several else ()
        for rest, file in groups[role].items():
            image = next((groups[other][rest] for other in others if rest in groups[other]), None)
            mask = replace(file, is_mask=True)
            if image is not None:
                mask = replace(
                    mask, words=(*image.words, *own), stem_words=(*image.stem_words, *own), split=image.split
                )
            masks[file.path] = mask
    names = ", ".join(sorted(map(_name, pairs)))
    note = f"files of {names} are taken for masks by what they hold. Fix: set --mask-pattern if that is wrong"
    return RoleFinding([file for file in files if file.path not in masks], [*masks.values()], (note,))


def _name(role: Role) -> str:
    part, kind = role
    return f"'{part}' ({kind})" if part else f"type {kind}"
