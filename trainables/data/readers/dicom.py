"""Reader of DICOM images as grey frames, with each frame's position in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut

from trainables.common.errors import DataError
from trainables.data.readers.limits import require_size

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class DicomHeader:
    """Header entries of a DICOM image file; `patient` is the only one that identifies the patient.

    Attributes:
        patient: the PatientID, "" when absent. It is never stored.
        series: the SeriesInstanceUID, "" when absent.
        number: the SeriesNumber, 0 when absent.
        description: the SeriesDescription, "" when absent.
        frames: number of frames, from 1 up.
        shape: (rows, columns) in pixels.
        spacing: (row, column) pixel spacing in mm, or None.
        plane: position of the image as in `Pixels.planes`, `(3, 3)` in mm; None when position or orientation are
            missing, or where the orientation's two directions are not orthonormal.
        time: TriggerTime in ms, or None.
        instance: the InstanceNumber, 0 when absent.
    """

    patient: str
    series: str
    number: int
    description: str
    frames: int
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    plane: np.ndarray | None
    time: float | None
    instance: int


def is_dicom(path: Path) -> bool:
    """Return True for a file that begins as DICOM files do: 128 bytes, then "DICM"."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_dicom_header(path: Path) -> DicomHeader:
    """Read the header of a DICOM image file without its pixels.

    Raises:
        DataError: the file is missing, damaged, not DICOM, or not an image.
    """
    dataset = _open(path, pixels=False)
    try:
        header = _header(dataset)
    except Exception as error:  # values are decoded on access, and each kind raises other exceptions
        raise DataError(f"{path}: damaged DICOM file ({_first_line(error)})") from None
    if min(header.shape) < 1:
        raise DataError(f"{path}: no image (found {header.shape[0]} rows and {header.shape[1]} columns)")
    return header


def _header(dataset: Any) -> DicomHeader:
    rows, columns = _count(dataset, "Rows"), _count(dataset, "Columns")
    spacing = _numbers(dataset, "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    time = _numbers(dataset, "TriggerTime", 1)
    return DicomHeader(
        patient=str(dataset.get("PatientID", "") or ""),
        series=str(dataset.get("SeriesInstanceUID", "") or ""),
        number=_count(dataset, "SeriesNumber"),
        description=str(dataset.get("SeriesDescription", "") or ""),
        frames=max(1, _count(dataset, "NumberOfFrames")),
        shape=(rows, columns),
        spacing=(spacing[0], spacing[1]) if spacing is not None else _region_spacing(dataset),
        plane=_plane(dataset, spacing),
        time=time[0] if time is not None else None,
        instance=_count(dataset, "InstanceNumber"),
    )


def read_dicom_frames(path: Path) -> np.ndarray:
    """Return an image file's frames `(T, H, W)`: rescaled by the header's slope, colour turned grey, white on black.

    Raises:
        DataError: the file is missing, damaged, of an unsupported compression, or has values that are not finite.
    """
    dataset = _open(path, pixels=True)
    header = [_count(dataset, name) for name in ("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel")]
    require_size(path, [max(1, header[0]), *header[1:]], np.float32)
    try:
        pixels = dataset.pixel_array
        kind = dataset.get("PhotometricInterpretation")
        if kind == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
            pixels = pixels >> 8 * (pixels.itemsize - 1)  # 16-bit palettes fill their range
        if kind == "PALETTE COLOR" or _count(dataset, "SamplesPerPixel") == 3:
            grey = pixels[..., :3].astype(np.float32) @ np.array(_LUMA, np.float32)  # decoded colour is RGB
        else:
            grey = pixels.astype(np.float32)
            slope, intercept = _numbers(dataset, "RescaleSlope", 1), _numbers(dataset, "RescaleIntercept", 1)
            grey = grey * (slope[0] if slope else 1.0) + (intercept[0] if intercept else 0.0)
            if kind == "MONOCHROME1":
                grey = grey.max() - grey
    except Exception as error:
        raise DataError(f"{path}: pixels cannot be decoded ({_first_line(error)})") from None
    if not np.isfinite(grey).all():
        raise DataError(f"{path}: pixel values that are not finite")
    return np.asarray(grey if grey.ndim == 3 else grey[None])


def _open(path: Path, *, pixels: bool) -> Any:
    try:
        return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except (OSError, InvalidDicomError) as error:
        raise DataError(f"{path}: not a readable DICOM file ({_first_line(error)})") from None
    except Exception as error:
        raise DataError(f"{path}: damaged DICOM file ({_first_line(error)})") from None


def _count(dataset: Any, name: str) -> int:
    try:
        return int(dataset.get(name, 0) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _numbers(dataset: Any, name: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(name)
    try:
        numbers = tuple(float(item) for item in (value if count > 1 else [value]))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and bool(np.isfinite(numbers).all()) else None


def _plane(dataset: Any, spacing: tuple[float, ...] | None) -> np.ndarray | None:
    position, direction = (
        _numbers(dataset, "ImagePositionPatient", 3),
        _numbers(dataset, "ImageOrientationPatient", 6),
    )
    if spacing is None or position is None or direction is None:
        return None
    along_row, along_column = np.array(direction[:3]), np.array(direction[3:])
    if not np.allclose(
        [along_row @ along_row, along_column @ along_column, along_row @ along_column], [1, 1, 0], 0, 0.01
    ):
        return None
    return np.stack([np.array(position), along_column * spacing[0], along_row * spacing[1]])


def _region_spacing(dataset: Any) -> tuple[float, float] | None:
    """Return the pixel spacing of an ultrasound image from its first region calibrated in cm (physical units 3)."""
    for region in dataset.get("SequenceOfUltrasoundRegions", []) or []:
        if _count(region, "PhysicalUnitsXDirection") == 3 and _count(region, "PhysicalUnitsYDirection") == 3:
            across, down = _numbers(region, "PhysicalDeltaX", 1), _numbers(region, "PhysicalDeltaY", 1)
            if across is not None and down is not None and across[0] and down[0]:
                return abs(down[0]) * 10, abs(across[0]) * 10
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
