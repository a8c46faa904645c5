"""Reader of image files of any common type as gray frames: PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers import dicom, metaimage, nifti
from trainables.data.readers.flat_pictures import FLAT, read_flat, read_flat_labels, whole_numbers
from trainables.data.readers.grey import percentile_window, to_uint8
from trainables.data.readers.legend import Legend
from trainables.data.readers.video import read_video

_METAIMAGE, _DICOM, _VIDEO = (".mhd", ".mha"), (".dcm", ".dicom"), (".avi", ".mp4")


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        images: uint8 `(T, H, W)`, or int64 label numbers where labels were requested.
        spacing: (row, column) pixel spacing in mm, or None.
        planes: positions of the frames as in `Pixels.planes`, or None.
        slices: True where the frames are slices of a volume; else they are frames over time.
    """

    images: np.ndarray
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    slices: bool = False


def read_picture(path: Path, *, labels: bool = False, legend: Legend | None = None) -> Picture:
    """Decode a file by the type that its suffix names.

    Args:
        path: the image file.
        labels: return label numbers (a mask) instead of 256 gray levels.
        legend: label numbers and colors that a mask may have, which decide where a picture can be understood in two
            ways, see `read_flat_labels`; None where they are unknown.

    Raises:
        DataError: the file is missing, damaged, too large, or of an unsupported type; a mask that holds no label
            numbers.
    """
    kind = _kind(path)
    return _KINDS[kind](path, (legend or Legend()) if labels else None)


def read_pictures(paths: Sequence[Path]) -> Picture:
    """Decode files of one frame each as one sequence, whose gray levels are those of all frames together.

    Raises:
        DataError: a file is missing, damaged, too large, or differs from the first one in size or type of values.
    """
    frames: list[np.ndarray] = []
    for path in paths:
        _kind(path)
        frames.append(read_flat(path))
        if frames[-1].shape != frames[0].shape:
            found, expected = ("x".join(map(str, each.shape)) for each in (frames[-1], frames[0]))
            raise DataError(f"{path}: {found} pixels, the sequence's first image has {expected}")
        if frames[-1].dtype != frames[0].dtype:
            text = f"{frames[-1].dtype} values, the sequence's first image has {frames[0].dtype}"
            raise DataError(f"{path}: {text}. Fix: store them alike, or give each its own `sequence`")
    return Picture(_shown(np.stack(frames)))


def _kind(path: Path) -> str:
    """Return the suffix that selects the reader of an existing file."""
    kind = file_type(path.name)
    if kind is None:
        raise DataError(f"{path}: unsupported file type{did_you_mean(path.suffix, sorted(_KINDS))}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return kind


@dataclass(frozen=True)
class PictureHeader:
    """Header entries of an image file.

    Attributes:
        frames: number of frames; None where only decoding can count them (a video).
        spacing: (row, column) pixel spacing in mm, or None.
        slices: True where the frames are slices of a volume.
    """

    frames: int | None = 1
    spacing: tuple[float, float] | None = None
    slices: bool = False


def read_picture_header(path: Path) -> PictureHeader:
    """Read a file's header only.

    Raises:
        DataError: the file is damaged.
    """
    kind = file_type(path.name)
    if kind in nifti.SUFFIXES:
        grid = nifti.read_nifti_header(path)
        return PictureHeader(grid.slices, grid.spacing, grid.slices > 1)
    if kind in _METAIMAGE:
        meta = metaimage.read_metaimage_header(path)
        slices = meta.size[2] if len(meta.size) > 2 else 1
        return PictureHeader(slices, _spacing(meta.spacing), slices > 1)
    if kind in _DICOM:
        header = dicom.read_dicom_header(path)
        return PictureHeader(header.frames, header.spacing)
    return PictureHeader(None) if kind in _VIDEO else PictureHeader()


def file_type(name: str) -> str | None:
    """Return the suffix that selects a file's reader, or None for an unsupported type."""
    return next((ending for ending in _KINDS if name.lower().endswith(ending)), None)


def is_video(name: str) -> bool:
    """Return True for a video file, which cannot hold masks."""
    return file_type(name) in _VIDEO


def _flat(path: Path, legend: Legend | None) -> Picture:
    return Picture((read_flat_labels(path, legend) if legend is not None else _shown(read_flat(path)))[None])


def _shown(values: np.ndarray) -> np.ndarray:
    """Return 256 gray levels; those of 8-bit images are kept, as they were made for display."""
    return values if values.dtype == np.uint8 else percentile_window(values)


def _nifti(path: Path, legend: Legend | None) -> Picture:
    array, header = nifti.read_nifti(path)
    if array.ndim > 3:
        raise DataError(f"{path}: unsupported shape (found {array.shape}, expected one image or one volume)")
    upright = header.upright(array if array.ndim == 3 else array[..., None])
    return Picture(_values(path, upright, legend, _shown), header.spacing, header.planes(), upright.shape[0] > 1)


def _metaimage(path: Path, legend: Legend | None) -> Picture:
    meta = metaimage.read_metaimage(path)
    array = meta.array
    if not 2 <= array.ndim <= 3:
        raise DataError(f"{path}: unsupported shape (found {array.shape}, expected one image or one volume)")
    upright = (array if array.ndim == 3 else array[..., None]).transpose(2, 1, 0)
    return Picture(_values(path, upright, legend, to_uint8), _spacing(meta.spacing), None, upright.shape[0] > 1)


def _spacing(steps: tuple[float, ...] | None) -> tuple[float, float] | None:
    return (steps[1], steps[0]) if steps is not None and min(steps[:2]) > 0 else None


def _dicom(path: Path, legend: Legend | None) -> Picture:
    header = dicom.read_dicom_header(path)
    if legend is not None and _is_lossy(path):
        raise DataError(f"{path}: lossy compression changes label numbers (expected a file without it)")
    frames = dicom.read_dicom_frames(path)
    plane = header.plane if len(frames) == 1 else None
    return Picture(_values(path, frames, legend, to_uint8), header.spacing, plane[None] if plane is not None else None)


def _is_lossy(path: Path) -> bool:
    """Return True for a DICOM file whose pixels were ever compressed with losses, as its header says."""
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["LossyImageCompression"], force=True)
    return str(header.get("LossyImageCompression", "")) == "01"


def _video(path: Path, legend: Legend | None) -> Picture:
    if legend is not None:
        raise DataError(f"{path}: a video (expected an image or a volume of label numbers)")
    return Picture(read_video(path))


def _values(
    path: Path, upright: np.ndarray, legend: Legend | None, gray: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return label numbers where there is a legend, else gray levels."""
    return whole_numbers(path, upright) if legend is not None else gray(upright)


_Reader = Callable[[Path, Legend | None], Picture]
"""Reader of one file type: of label numbers where a legend is passed, which may be empty, else of gray levels."""

_KINDS: dict[str, _Reader] = {
    **dict.fromkeys(FLAT, _flat),
    **dict.fromkeys(nifti.SUFFIXES, _nifti),
    **dict.fromkeys(_METAIMAGE, _metaimage),
    **dict.fromkeys(_DICOM, _dicom),
    **dict.fromkeys(_VIDEO, _video),
}
