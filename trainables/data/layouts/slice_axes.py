"""Statement of the axis along which a dataset's volumes are cut into slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from trainables.data.records import DatasetIssue, SequenceRecord

AXES = ("first", "second", "third")


def count_slice_axes(records: Iterable[SequenceRecord]) -> Mapping[str, int]:
    """Return the number of volumes cut along each axis of their files' arrays ("first", "second", "third")."""
    counts = Counter(record.slice_axis for record in records if record.slice_axis is not None and record.stack)
    return {AXES[axis]: counts[axis] for axis in sorted(counts)}


def slice_axes_text(counts: Mapping[str, int]) -> str:
    """Return what `count_slice_axes` counted in words, such as "along the third axis in 48 volumes"."""
    return ", ".join(f"along the {axis} axis in {number} volumes" for axis, number in counts.items())


def slice_axis_notes(records: Iterable[SequenceRecord]) -> list[DatasetIssue]:
    """Return a note where volumes are cut along another axis than the third, in which slices are usually stored."""
    counts = dict(count_slice_axes(records))
    usual = counts.pop(AXES[2], 0)
    if not counts:
        return []
    text = slice_axes_text(counts)
    text += f", along the third in {usual}" if usual else ""
    text = f"slices are taken {text}. Fix: set the layout's `slice_axis` if that is not wanted"
    return [DatasetIssue("", "", "slices not along the third axis", text)]
