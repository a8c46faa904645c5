"""Arrays of `.npz` and HDF5 files that hold an image together with its mask, and the axis of array volumes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.proposal.file_names import IMAGE_WORDS, MASK_WORDS, FileName, split_words
from trainables.data.readers.array_frames import array_names, read_array_shape
from trainables.data.readers.array_path import KEY, SUFFIXES
from trainables.data.readers.pictures import file_type

_IMAGE_KEYS = IMAGE_WORDS | {"x", "data", "volume", "vol", "frame", "frames"}
_MASK_KEYS = MASK_WORDS | {"y", "target", "roi", "lbl"}


def array_members(root: Path, file: FileName) -> list[FileName]:
    """Return the image and the masks in a file of several arrays, told by the arrays' names; else the file itself.

    Raises:
        DataError: the file is damaged, or none or several of its arrays may be the image.
    """
    if file_type(file.path) not in SUFFIXES:
        return [file]
    names = array_names(root / file.path)
    if len(names) < 2:
        return [file]
    masks = [name for name in names if _MASK_KEYS & {*split_words(name)}]
    others = [name for name in names if name not in masks and _has_pixels(root / f"{file.path}{KEY}{name}")]
    images = [name for name in others if _IMAGE_KEYS & {*split_words(name)}] or others
    if len(images) != 1:
        fix = f"Fix: list the image in manifest.csv as {file.path}{KEY}NAME"
        raise DataError(f"{root / file.path}: one array for the image expected (found {', '.join(names[:8])}). {fix}")
    members = [replace(file, path=f"{file.path}{KEY}{images[0]}", is_mask=False)]
    for name in masks:
        own = tuple(word for word in split_words(name) if word not in _MASK_KEYS)
        words, stem_words = (*file.words, *own), (*file.stem_words, *own)
        path = f"{file.path}{KEY}{name}"
        members.append(replace(file, path=path, is_mask=True, words=words, stem_words=stem_words))
    return members


def _has_pixels(path: Path) -> bool:
    try:
        return len(read_array_shape(path)) >= 2
    except DataError:
        return False


def array_slice_axis(root: Path, images: Iterable[str]) -> int | None:
    """Return 0 where the volumes among array files have their slices along the first axis, else None.

    Rows and columns have one size, or are more than twice as many as the slices; all volumes must agree.

    Args:
        root: the dataset's folder.
        images: paths of images relative to it.
    """
    shapes = set()
    for file in images:
        if file_type(file) in SUFFIXES:
            try:
                shapes.add(read_array_shape(root / file))
            except DataError:  # the check names it
                continue
    volumes = [shape for shape in shapes if len(shape) == 3 and shape[2] != 3]
    return 0 if volumes and all(_first_axis(*shape) for shape in volumes) else None


def _first_axis(slices: int, rows: int, columns: int) -> bool:
    return rows == columns != slices or 2 * slices < min(rows, columns)
