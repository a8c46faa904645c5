"""Words of a file's path: its role, its split, and the words that it shares with the files of the same image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from trainables.common.errors import UserError
from trainables.data.layouts.manifest_rows import SPLIT_NAMES
from trainables.data.readers.pictures import file_type
from trainables.data.records import Split

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_MASK = """
mask masks label labels seg segs segmentation segmentations annotation annotations annot annots contour contours
gt gts groundtruth groundtruths ground truth maske masken
"""
MASK_WORDS = frozenset(_MASK.split())
IMAGE_WORDS = frozenset(
    ("image", "images", "img", "imgs", "picture", "pictures", "scan", "scans", "raw", "jpeg", "png", "bild", "bilder")
)
_NNUNET: dict[str, Split] = {"tr": "train", "ts": "test"}
_CHANNEL = re.compile(r"_(\d{4})$")


@dataclass(frozen=True)
class FileName:
    """A file of the folder, as its path describes it.

    Attributes:
        path: path relative to the folder.
        words: words of folders and stem, in lower case, without those that only name the role or the split; letters and
            digits are words of their own.
        stem_words: those of `words` that are in the stem.
        folders: the folders' names, without those that only name a role or a split.
        stem: file name without suffix and channel.
        is_mask: True where a folder or the stem says so.
        split: split that a folder names, or None.
        number: True where the last word follows the word for a mask and is a number, as in `p01_mask_2`.
        channel: number of the channel of an nnU-Net image, or None.
    """

    path: str
    words: tuple[str, ...]
    stem_words: tuple[str, ...]
    folders: tuple[str, ...]
    stem: str
    is_mask: bool
    split: Split | None
    number: bool = False
    channel: int | None = None


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a name in lower case; a change of case or between letters and digits begins a new one.

    Example:
        >>> split_words("imagesTr"), split_words("p01_LV-mask")
        (('images', 'tr'), ('p', '01', 'lv', 'mask'))
    """
    return tuple(word.casefold() for word in _WORD.findall(text))


def compile_pattern(option: str, pattern: str) -> re.Pattern[str]:
    """Return the regular expression that a user gives.

    Args:
        option: name of the option, for the message.
        pattern: the expression.

    Raises:
        UserError: it is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"{option} '{pattern}': not a regular expression ({error})") from None


def parse_path(path: str, *, channels: bool = False) -> FileName:
    """Return what a file's path says.

    Args:
        path: path relative to the folder, of a supported file type.
        channels: True where the stems of images end with the number of a channel, as nnU-Net's do (`case_0000`).
    """
    pure = PurePosixPath(path)
    stem = pure.name[: len(pure.name) - len(file_type(pure.name) or "")]
    split: Split | None = None
    masks: list[bool] = []
    folders, words = [], []
    for folder in pure.parts[:-1]:
        parts = split_words(folder)
        role = any(part in MASK_WORDS | IMAGE_WORDS for part in parts)
        if role and not all(part in MASK_WORDS | IMAGE_WORDS for part in parts):
            split = next((_NNUNET[part] for part in parts if part in _NNUNET), split)
        split = next((SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES), split)
        if role:
            masks.append(any(part in MASK_WORDS for part in parts))
        ignored = MASK_WORDS | IMAGE_WORDS | SPLIT_NAMES.keys() | (_NNUNET.keys() if role else set())
        rest = [part for part in parts if part not in ignored]
        words += rest
        folders += [folder] if rest else []
    in_folder = masks[-1] if masks else None
    channel = _CHANNEL.search(stem) if channels and not in_folder else None
    stem = stem[: channel.start()] if channel else stem
    parts = split_words(stem)
    by_stem = any(part in MASK_WORDS for part in parts)
    stem_words = tuple(part for part in parts if part not in MASK_WORDS | IMAGE_WORDS)
    places = [place for place, part in enumerate(parts) if part in MASK_WORDS]
    return FileName(
        path,
        (*words, *stem_words),
        stem_words,
        tuple(folders),
        stem,
        bool(by_stem if in_folder is None else in_folder or by_stem),
        split,
        bool(places) and places[-1] == len(parts) - 2 and parts[-1].isdigit(),
        int(channel[1]) if channel else None,
    )
