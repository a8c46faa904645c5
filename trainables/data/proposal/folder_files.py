"""Files of a folder, told apart: images, masks, and those that are neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainables.common.errors import DataError, UserError
from trainables.data.layouts.decathlon import LIST
from trainables.data.layouts.manifest import Manifest
from trainables.data.layouts.manifest_classes import CLASSES_FILE
from trainables.data.proposal.array_members import array_members
from trainables.data.proposal.file_names import FileName, compile_pattern, parse_path
from trainables.data.proposal.legend_file import LegendFile
from trainables.data.proposal.mask_content import MaskContents
from trainables.data.proposal.previews import leave_out_copies, leave_out_previews
from trainables.data.proposal.roles import RoleFinding, find_roles
from trainables.data.proposal.unnamed_masks import find_unnamed_masks
from trainables.data.readers.folders import walk_files
from trainables.data.readers.pictures import file_type

_TABLES = (Manifest().file, CLASSES_FILE)
_TYPES_SHOWN = 5


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder.

    Attributes:
        images: image files.
        masks: mask files.
        left_out: other files, each with the reason.
        notes: assumptions that a user should know, each a sentence.
    """

    images: list[FileName]
    masks: list[FileName]
    left_out: list[tuple[str, str]]
    notes: tuple[str, ...] = ()


def find_files(root: Path, legend: LegendFile, contents: MaskContents, mask_pattern: str | None) -> FolderFiles:
    """Tell a folder's images and masks apart.

    Args:
        root: the folder; links are followed.
        legend: names that the folder's own files give; its file is neither.
        contents: reader of the masks.
        mask_pattern: regular expression that finds masks' paths, instead of names and contents; None for these.

    Raises:
        UserError: the pattern is no regular expression, or matches no file or all.
    """
    nnunet = legend.file == LIST
    files, left_out = _listed(root, (legend.file, *_TABLES), channels=nnunet)
    files, previews = leave_out_previews(files)
    left_out += previews
    if mask_pattern is not None:
        found = _by_pattern(files, mask_pattern)
    else:
        masks = [file for file in files if file.is_mask]
        others = [file for file in files if not file.is_mask]
        found = RoleFinding(others, [])
        if others and not nnunet:
            found = find_unnamed_masks(others, contents, named=bool(masks))
        found = replace(found, masks=[*masks, *found.masks])
    images, copies = leave_out_copies(found.images)
    return FolderFiles(images, found.masks, left_out + copies, found.notes)


def _by_pattern(files: Sequence[FileName], pattern: str) -> RoleFinding:
    expression = compile_pattern("--mask-pattern", pattern)
    marked = {file.path for file in files if expression.search(file.path)}
    if not marked or len(marked) == len(files):
        problem = "matches all files" if marked else "matches no file"
        raise UserError(f"--mask-pattern '{pattern}': {problem} (expected the masks' paths only)")
    plain = [replace(file, is_mask=False) for file in files]
    found = find_roles(plain, lambda group: all(file.path in marked for file in group), structures=False)
    masks = {file.path: file for file in found.masks}
    return RoleFinding(
        [file for file in plain if file.path not in marked],
        [masks.get(file.path, replace(file, is_mask=True)) for file in plain if file.path in marked],
    )


def is_text(name: str) -> bool:
    """Return True for a file name that can be written to a table; the bytes of others are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(root: Path, tables: Sequence[str], *, channels: bool) -> tuple[list[FileName], list[tuple[str, str]]]:
    """Return the folder's files of a readable type in order, and the others, each with the reason.

    Args:
        root: the folder.
        tables: files that are read otherwise, relative to it.
        channels: see `parse_path`.
    """
    files: list[FileName] = []
    left_out: list[tuple[str, str]] = []
    others = Counter[str]()
    for path in sorted(walk_files(root)):
        relative = path.relative_to(root)
        if any(part.startswith((".", "__MACOSX")) for part in relative.parts) or relative.as_posix() in tables:
            continue
        if file_type(path.name) is None:
            others[path.suffix] += 1
            continue
        if not is_text(relative.as_posix()):
            left_out.append((ascii(relative.as_posix())[1:-1], "its name is not UTF-8. Fix: rename it"))
            continue
        try:
            files += array_members(root, parse_path(relative.as_posix(), channels=channels))
        except DataError as error:
            left_out.append((relative.as_posix(), str(error).removeprefix(f"{path}: ")))
    counted = others.most_common(_TYPES_SHOWN)
    kinds = [(f"{count} x {kind or 'no suffix'}", "not a type of image that is read") for kind, count in counted]
    return files, kinds + left_out
