"""Previews, thumbnails and overlays that programs store beside images, told by their names and their neighbours'."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from trainables.data.proposal.file_names import FileName, split_words
from trainables.data.readers.array_path import split_key
from trainables.data.readers.flat_pictures import FLAT, JPEG
from trainables.data.readers.pictures import file_type

_WORDS = """
preview previews thumb thumbs thumbnail thumbnails overlay overlays screenshot screenshots snapshot montage quicklook
icon
"""
_PREVIEW = frozenset(_WORDS.split())


def leave_out_previews(files: Sequence[FileName]) -> tuple[list[FileName], list[tuple[str, str]]]:
    """Return the files that are images or masks, and the previews, each with the reason.

    A picture is a preview if a word of its path says so, and its other words are those of another file or begin them.
    """
    starts = {
        file.words[:length] for file in files if not _preview_words(file) for length in range(len(file.words) + 1)
    }
    left_out = {}
    for file in files:
        told = _preview_words(file)
        if told and tuple(word for word in file.words if word not in told) in starts:
            left_out[file.path] = f"a preview by its name ('{told[0]}')"
    return [file for file in files if file.path not in left_out], list(left_out.items())


def leave_out_copies(images: Sequence[FileName]) -> tuple[list[FileName], list[tuple[str, str]]]:
    """Return the images, and their copies, each with the reason.

    A picture is a copy if it stands beside a volume or video of its name, or is a JPEG beside another picture of it.
    """
    twins: dict[str, list[FileName]] = defaultdict(list)
    for file in images:
        twins[split_key(file.path)[0].removesuffix(file_type(file.path) or "")].append(file)
    left_out: dict[str, str] = {}
    for group in twins.values():
        best = min(group, key=_rank)
        left_out |= {file.path: f"a picture of the name of {best.path}" for file in group if _rank(file) > _rank(best)}
    return [file for file in images if file.path not in left_out], list(left_out.items())


def _preview_words(file: FileName) -> list[str]:
    """Return the words of a picture's path that tell a preview."""
    if file_type(file.path) not in FLAT:
        return []
    return [word for part in PurePosixPath(file.path).parts for word in split_words(part) if word in _PREVIEW]


def _rank(file: FileName) -> int:
    """Return 0 for a file of several frames, 1 for a lossless picture, 2 for a JPEG."""
    kind = file_type(file.path)
    return 0 if kind not in FLAT else 2 if kind in JPEG else 1
