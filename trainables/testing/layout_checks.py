"""Checks of dataset layouts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.records import SPLITS, Layout


def sequences_are_listed_once(layout: Layout, root: Path) -> None:
    """Check that identifiers of sequences are unique, and that the background is the first class."""
    listing = layout.scan(root)
    assert listing.records, "no sequence was listed"
    names = [record.sequence for record in listing.records]
    assert len(names) == len(set(names)), "a sequence is listed twice"
    assert listing.classes[0] == "background", f"found the classes {listing.classes}, expected the background first"
    assert all(record.split in (*SPLITS, None) for record in listing.records)


def a_subject_is_in_one_split(layout: Layout, root: Path) -> None:
    """Check that no subject is in two splits, with images in training and in test."""
    splits: dict[str, set[str | None]] = {}
    for record in layout.scan(root).records:
        splits.setdefault(record.subject, set()).add(record.split)
    shared = [subject for subject, found in splits.items() if len(found) > 1]
    assert not shared, f"{len(shared)} subjects are in several splits"


def files_stay_inside_the_folder(layout: Layout, root: Path) -> None:
    """Check that paths are relative, exist, and do not lead out of the dataset's folder."""
    for record in layout.scan(root).records:
        for name in record.files.values():
            assert (root / name).resolve().is_relative_to(root.resolve()), f"{name} leads out of the dataset's folder"
            assert (root / name).exists(), f"{name} does not exist"


def pixels_are_as_the_listing_says(layout: Layout, root: Path) -> None:
    """Check that images are uint8 `(T, C, H, W)`, and that every labelled frame has a mask of known classes."""
    listing = layout.scan(root)
    for record in listing.records:
        pixels = layout.read(root, record)
        frames, channels, height, width = pixels.images.shape
        assert pixels.images.dtype == np.uint8
        assert channels == len(listing.channels)
        assert record.frames in (None, frames), f"{frames} frames were read, {record.frames} were listed"
        assert set(record.labelled) <= set(pixels.masks), "a labelled frame has no mask"
        for frame, mask in pixels.masks.items():
            assert 0 <= frame < frames
            assert (mask.dtype, mask.shape) == (np.dtype(np.uint8), (height, width))
            assert mask.max() < len(listing.classes), f"mask with class {mask.max()} of {len(listing.classes)}"


def reading_twice_gives_the_same(layout: Layout, root: Path) -> None:
    """Check that listing and pixels do not depend on what was read before."""
    first, again = layout.scan(root).records, layout.scan(root).records
    assert [each.sequence for each in first] == [each.sequence for each in again]
    record = first[-1]
    one, other = layout.read(root, record), layout.read(root, record)
    assert np.array_equal(one.images, other.images)
    assert one.masks.keys() == other.masks.keys()


def it_travels_to_decoding_processes(layout: Layout, root: Path) -> None:
    """Check that settings and records can be pickled, as several processes decode a dataset."""
    record = layout.scan(root).records[0]
    copy, moved = pickle.loads(pickle.dumps((layout, record)))
    assert copy == layout
    assert np.array_equal(copy.read(root, moved).images, layout.read(root, record).images)


def another_folder_is_refused(layout: Layout, root: Path) -> None:
    """Check that a folder without the dataset is a DataError, which names what was expected."""
    import tempfile

    with tempfile.TemporaryDirectory() as empty:
        try:
            listing = layout.scan(Path(empty))
        except DataError:
            return
        assert not listing.records, "sequences were listed in an empty folder"
        raise AssertionError("an empty folder was accepted, expected a DataError")


LAYOUT_CHECKS: tuple[Callable[[Layout, Path], None], ...] = (
    sequences_are_listed_once,
    a_subject_is_in_one_split,
    files_stay_inside_the_folder,
    pixels_are_as_the_listing_says,
    reading_twice_gives_the_same,
    it_travels_to_decoding_processes,
    another_folder_is_refused,
)
"""Checks of a layout, given the folder of a small dataset in it."""
