"""DICOM segmentation objects as label numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import UID

from trainables.common.errors import DataError
from trainables.data.readers.dicom import read_dicom_header
from trainables.data.readers.dicom_file import find_numbers, frame_groups, one_line, open_dicom
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.data.readers.label_numbers import to_label_numbers


def is_segmentation(path: Path) -> bool:
    """Return True for a DICOM file that holds a segmentation.

    Raises:
        DataError: the file is missing, damaged, or not DICOM.
    """
    return "Segmentation" in UID(str(open_dicom(path, pixels=False).get("SOPClassUID", ""))).name


def read_segmentation(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a segmentation's label numbers `(T, H, W)`, int64, and their positions `(T, 3, 3)` or None.

    The file has a frame for each segment in each slice where it occurs. Frames of one slice become one image of segment
    numbers; 0 is background.

    Raises:
        DataError: the file is damaged, its segments overlap, or it holds fractions instead of segments.
    """
    header, frames = read_dicom_header(path), to_label_numbers(path, read_dicom_frames(path, labels=True))
    dataset = open_dicom(path, pixels=False)
    kind = str(dataset.get("SegmentationType", "BINARY") or "BINARY")
    if kind == "LABELMAP":
        return frames, header.planes
    if kind != "BINARY":
        raise DataError(f"{path}: unsupported segmentation (found {kind}, expected BINARY or LABELMAP)")
    try:
        segments = [_segment(dataset, frame) for frame in range(len(frames))]
    except Exception as error:  # values are decoded on access
        raise DataError(f"{path}: damaged DICOM file ({one_line(error)})") from None
    if header.planes is None:
        if len(set(segments)) > 1:
            raise DataError(f"{path}: several segments without positions (expected ImagePositionPatient of each frame)")
        return frames * segments[0], None
    labels: dict[bytes, np.ndarray] = {}
    planes: dict[bytes, np.ndarray] = {}
    for frame, segment, plane in zip(frames, segments, header.planes, strict=True):
        place = (np.round(plane, 2) + 0.0).tobytes()  # 0.0: a zero has two signs
        planes.setdefault(place, plane)
        image = labels.setdefault(place, np.zeros_like(frame))
        if (image.astype(bool) & frame.astype(bool)).any():
            raise DataError(f"{path}: segments that overlap (expected at most one at each pixel)")
        image[frame > 0] = segment
    return np.stack(list(labels.values())), np.stack(list(planes.values()))


def _segment(dataset: Any, frame: int) -> int:
    number = find_numbers(frame_groups(dataset, frame), "ReferencedSegmentNumber", 1)
    return int(number[0]) if number is not None else 1
