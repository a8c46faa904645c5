"""Headers of DICOM images: identity, geometry and time of every frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.uid import UID

from trainables.common.errors import DataError
from trainables.data.readers.dicom_file import (
    find_numbers,
    frame_groups,
    one_line,
    open_dicom,
    read_count,
    read_numbers,
)
from trainables.data.readers.dicom_pixels import count_frames

Component = Literal["magnitude", "phase", "real", "imaginary"]
"""Part of MR's complex signal that an image shows."""

_COMPONENTS: dict[str, Component] = {
    **dict.fromkeys(("M", "MAG", "MAGNITUDE", "M_FFE"), "magnitude"),
    **dict.fromkeys(("P", "PHASE", "PHASE MAP", "VELOCITY MAP"), "phase"),
    **dict.fromkeys(("R", "REAL"), "real"),
    **dict.fromkeys(("I", "IMAGINARY"), "imaginary"),
}
_NOT_GRAY = ("Segmentation", "RT Dose")
_GE_BLOCK = (0x0043, "GEMS_PARM_01")  # private entries: GE does not say it in ImageType
_GE_COMPONENTS: dict[int, Component] = {0: "magnitude", 1: "phase", 2: "real", 3: "imaginary"}


@dataclass(frozen=True)
class DicomHeader:
    """Header entries of a DICOM image file; `patient` is the only one that identifies the patient.

    Attributes:
        patient: the PatientID, "" when absent. It is never stored.
        uid: the SOPInstanceUID, which copies of a file share; "" when absent.
        series: the SeriesInstanceUID, "" when absent.
        number: the SeriesNumber, 0 when absent.
        description: the SeriesDescription, "" when absent.
        frames: number of frames that the pixels hold, from 1 up.
        shape: (rows, columns) in pixels.
        spacing: (row, column) pixel spacing in mm, or None.
        planes: position of every frame as in `Pixels.planes`, `(frames, 3, 3)` in mm; None when position or orientation
            are missing, or where the orientation's two directions are not orthonormal.
        times: time of every frame after the trigger in ms, None for those without one.
        instances: the InstanceNumber of a file of one frame, 0 when absent; the places in time of several frames, from
            1 up.
        components: part of MR's complex signal of every frame; "magnitude" where the header does not say.
        is_gray: False for an object whose numbers are no gray values: a segmentation, a dose.
    """

    patient: str
    uid: str
    series: str
    number: int
    description: str
    frames: int
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    planes: np.ndarray | None
    times: tuple[float | None, ...]
    instances: tuple[int, ...]
    components: tuple[Component, ...]
    is_gray: bool

    @property
    def plane(self) -> np.ndarray | None:
        """Position of the first frame, `(3, 3)` in mm, or None."""
        return self.planes[0] if self.planes is not None else None

    @property
    def is_volume(self) -> bool:
        """True where each of several frames has a position of its own: they are slices."""
        if self.planes is None or self.frames == 1:
            return False
        return len(np.unique(np.round(self.planes[:, 0], 2), axis=0)) == self.frames


def read_dicom_header(path: Path) -> DicomHeader:
    """Read the header of a DICOM image file without its pixels.

    Raises:
        NotAnImageError: the file holds another object than an image.
        DataError: the file is missing, damaged, or not DICOM.
    """
    dataset = open_dicom(path, pixels=False)
    try:
        header = _header(path, dataset)
    except DataError:
        raise
    except Exception as error:  # values are decoded on access, and each kind raises other exceptions
        raise DataError(f"{path}: damaged DICOM file ({one_line(error)})") from None
    if min(header.shape) < 1:
        raise DataError(f"{path}: no image (found {header.shape[0]} rows and {header.shape[1]} columns)")
    return header


def _header(path: Path, dataset: Any) -> DicomHeader:
    frames = count_frames(path, dataset)
    groups = [frame_groups(dataset, frame) for frame in range(frames)]
    spacing = next(filter(None, map(_spacing, groups[0])), None)
    return DicomHeader(
        patient=str(dataset.get("PatientID", "") or ""),
        uid=str(dataset.get("SOPInstanceUID", "") or ""),
        series=str(dataset.get("SeriesInstanceUID", "") or ""),
        number=read_count(dataset, "SeriesNumber"),
        description=str(dataset.get("SeriesDescription", "") or ""),
        frames=frames,
        shape=(read_count(dataset, "Rows"), read_count(dataset, "Columns")),
        spacing=spacing or _region_spacing(dataset),
        planes=_planes(groups),
        times=tuple(_time(group) for group in groups),
        instances=_instances(dataset, groups),
        components=tuple(_component(group) for group in groups),
        is_gray=not any(word in UID(str(dataset.get("SOPClassUID", "") or "")).name for word in _NOT_GRAY),
    )


def _spacing(group: Any) -> tuple[float, float] | None:
    spacing = read_numbers(group, "PixelSpacing", 2)
    return (spacing[0], spacing[1]) if spacing is not None and min(spacing) > 0 else None


def _planes(groups: list[list[Any]]) -> np.ndarray | None:
    planes = [_plane(group) for group in groups]
    known = [plane for plane in planes if plane is not None]
    return np.stack(known) if len(known) == len(planes) else None


def _plane(group: list[Any]) -> np.ndarray | None:
    spacing = next(filter(None, map(_spacing, group)), None)
    position = find_numbers(group, "ImagePositionPatient", 3)
    direction = find_numbers(group, "ImageOrientationPatient", 6)
    if spacing is None or position is None or direction is None:
        return None
    along_row, along_column = np.array(direction[:3]), np.array(direction[3:])
    lengths = [along_row @ along_row, along_column @ along_column, along_row @ along_column]
    if not np.allclose(lengths, [1, 1, 0], 0, 0.01):
        return None
    return np.stack([np.array(position), along_column * spacing[0], along_row * spacing[1]])


def _time(group: list[Any]) -> float | None:
    time = find_numbers(group, "NominalCardiacTriggerDelayTime", 1) or find_numbers(group, "TriggerTime", 1)
    return time[0] if time is not None else None


def _instances(dataset: Any, groups: list[list[Any]]) -> tuple[int, ...]:
    if len(groups) == 1:
        return (read_count(dataset, "InstanceNumber"),)
    moments = [find_numbers(group, "TemporalPositionIndex", 1) for group in groups]
    known = [int(moment[0]) for moment in moments if moment is not None]
    return tuple(known) if len(known) == len(groups) else tuple(range(1, len(groups) + 1))


def _component(group: list[Any]) -> Component:
    for entries in group:
        said = [str(entries.get("ComplexImageComponent") or "")]
        kinds = entries.get("FrameType") or entries.get("ImageType") or []
        said += [str(kind) for kind in ([] if isinstance(kinds, str) else kinds)[2:4]]
        found = next((_COMPONENTS[word.strip().upper()] for word in said if word.strip().upper() in _COMPONENTS), None)
        if found is not None:
            return found
    try:
        private = group[-1].private_block(*_GE_BLOCK)[0x2F].value
    except KeyError:
        return "magnitude"
    return _GE_COMPONENTS.get(private, "magnitude") if isinstance(private, int) else "magnitude"


def _region_spacing(dataset: Any) -> tuple[float, float] | None:
    """Return the pixel spacing of an ultrasound image from its first region calibrated in cm (physical units 3)."""
    for region in dataset.get("SequenceOfUltrasoundRegions", []) or []:
        if read_count(region, "PhysicalUnitsXDirection") == 3 and read_count(region, "PhysicalUnitsYDirection") == 3:
            across, down = read_numbers(region, "PhysicalDeltaX", 1), read_numbers(region, "PhysicalDeltaY", 1)
            if across is not None and down is not None and across[0] and down[0]:
                return abs(down[0]) * 10, abs(across[0]) * 10
    return None
