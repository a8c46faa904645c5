"""NIfTI images as sequences: volumes of slices at one time point, and single-slice cines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.alignment import align_mask
from trainables.data.layouts.labels import to_classes
from trainables.data.readers.grey import percentile_window
from trainables.data.readers.grid import Grid
from trainables.data.readers.nifti import NiftiHeader, read_labels, read_nifti, read_nifti_header
from trainables.data.records import DatasetIssue, Phase, Pixels, SequenceRecord

ClassOfLabel = Mapping[int, int]
"""Class index by label number."""


def volume(
    root: Path,
    record: SequenceRecord,
    issues: list[DatasetIssue],
    *,
    phase: Phase = "",
    slice_axis: int | None = None,
) -> SequenceRecord | None:
    """Complete the record of one volume from its image's header.

    Args:
        root: the dataset's folder.
        record: a record whose `files` are `image` and perhaps `mask`.
        issues: list that found issues are appended to.
        phase: phase of the cardiac cycle that the volume shows; "" when unknown.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.

    Returns:
        The record with frames, spacing and labelled slices; None, with an issue, where the image is missing or
        unreadable.
    """
    header = readable_header(root, record.files["image"], issues, slice_axis)
    if header is None:
        return None
    if record.timepoint >= header.timepoints:
        text = f"the image ends before the phase's time point (found {header.timepoints} time points, expected more "
        text += f"than {record.timepoint})"
        issues.append(DatasetIssue(record.files["image"], "", "time point past the end", text, "loss", "sequence"))
        return None
    labelled = dict.fromkeys(range(header.slices), phase) if "mask" in record.files else {}
    return replace(
        record,
        frames=header.slices,
        spacing=header.spacing,
        labelled=labelled,
        stack=True,
        slice_axis=header.grid.slice_axis,
    )


def unlabelled_volumes(
    root: Path,
    record: SequenceRecord,
    frame_step: int,
    skip: Sequence[int],
    issues: list[DatasetIssue],
    slice_axis: int | None = None,
) -> list[SequenceRecord]:
    """Return a cine's unlabelled volumes, one per chosen time point; a single-slice cine is returned as one sequence.

    Args:
        root: the dataset's folder.
        record: the cine's record, its file being `image`.
        frame_step: distance between chosen time points, from 1 up, the first at half of it; 0 chooses none.
        skip: time points that are listed elsewhere, as labelled volumes.
        issues: list that found issues are appended to.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.
    """
    if not frame_step:
        return []
    header = readable_header(root, record.files["image"], issues, slice_axis)
    if header is None:
        return []
    if header.slices == 1:
        return [replace(record, frames=header.timepoints, spacing=header.spacing)]
    return [
        replace(
            record,
            sequence=f"{record.sequence}_{timepoint}",
            timepoint=timepoint,
            frames=header.slices,
            spacing=header.spacing,
            stack=True,
            slice_axis=header.grid.slice_axis,
        )
        for timepoint in range(frame_step // 2, header.timepoints, frame_step)
        if timepoint not in skip
    ]


def file_records(path: Path, view: str, slice_axis: int | None = None) -> tuple[SequenceRecord, ...]:
    """Return the records of an image outside of a dataset: every volume, or a single-slice cine as one sequence.

    Args:
        path: the NIfTI file.
        view: view of the records.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file has no readable header.
    """
    issues: list[DatasetIssue] = []
    record = SequenceRecord("", path.name, view, files={"image": path.name})
    records = unlabelled_volumes(path.parent, record, 1, (), issues, slice_axis)
    if not records:
        raise DataError(f"{path}: {issues[0].message}")
    return tuple(records)


def readable_header(
    root: Path, file: str, issues: list[DatasetIssue], slice_axis: int | None = None
) -> NiftiHeader | None:
    """Read an image's header and append its issues; return None where it cannot be read."""
    if not (root / file).is_file():
        issues.append(DatasetIssue(file, "", "missing image", "the listed file does not exist", "loss", "sequence"))
        return None
    try:
        header = read_nifti_header(root / file, slice_axis)
    except DataError as error:
        text = str(error).removeprefix(f"{root / file}: ")
        issues.append(DatasetIssue(file, "", "unreadable header", text, "damage", "sequence"))
        return None
    if header.spacing is None:
        issues.append(DatasetIssue(file, "", "spacing missing", "the header has no pixel spacing"))
    if header.contradiction:
        text = "the header's affine contradicts its pixel spacing; the pixel spacing is used"
        issues.append(DatasetIssue(file, "", "affine contradicts the spacing", text))
    return header


def read_sequence(
    root: Path,
    record: SequenceRecord,
    class_of: ClassOfLabel,
    channels: Sequence[int] | None = None,
    slice_axis: int | None = None,
    *,
    negatives: bool = False,
) -> Pixels:
    """Decode a sequence that `volume` or `unlabelled_volumes` returned.

    Args:
        root: the dataset's folder.
        record: a record whose `files` are `image` and perhaps `mask`.
        class_of: class index by label number of the mask.
        channels: indices to keep of the image's fourth axis, where that axis holds channels; None where it holds time
            points.
        slice_axis: axis of the slices, from 0, as it was listed.
        negatives: True where a volume may show none of the structures, see `to_classes`.

    Raises:
        DataError: the image or its mask is unreadable, or its shape is not that of the header.
    """
    path = root / record.files["image"]
    array, header = read_nifti(path, slice_axis)
    if array.ndim > 4:
        raise DataError(f"{path}: too many axes (found {array.ndim}, expected at most 4)")
    array, grid = array.reshape(*array.shape, *(1,) * (4 - array.ndim)), header.grid
    planes = grid.planes()
    if channels is not None:
        images = np.stack([percentile_window(grid.upright(array[..., channel])) for channel in channels], axis=1)
    elif record.stack:
        images = percentile_window(grid.upright(array[..., record.timepoint]))[:, None]
    else:
        images = percentile_window(grid.upright(array)[:, 0])[:, None]
        planes = np.repeat(planes, len(images), axis=0) if planes is not None else None
    if "mask" not in record.files:
        return Pixels(images, {}, planes)
    masks, issues = _masks(root, record, grid, class_of, negatives)
    return Pixels(images, masks, planes, issues)


def _masks(
    root: Path, record: SequenceRecord, grid: Grid, class_of: ClassOfLabel, negatives: bool
) -> tuple[dict[int, np.ndarray], tuple[DatasetIssue, ...]]:
    """Return the masks of a volume's slices on its image's grid, and the issues found."""
    file = record.files["mask"]
    labels, header = read_labels(root / file)
    labels = labels[..., min(record.timepoint, labels.shape[3] - 1)] if labels.ndim == 4 else labels
    if labels.ndim > 3:
        raise DataError(f"{root / file}: too many axes (found {labels.ndim}, expected at most 4)")
    aligned, issues = align_mask(labels.reshape(header.grid.shape), header.grid, grid, file)
    if aligned is None:
        return {}, issues
    upright = grid.upright(aligned)
    classes, issue = to_classes(upright, upright.shape, class_of, file, negatives=negatives)
    masks = dict(enumerate(classes)) if classes is not None else {}
    return masks, (*issues, issue) if issue else issues
