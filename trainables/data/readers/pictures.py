"""Reader of image files of any common type as grey frames: PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers import dicom
from trainables.data.readers.dicom_segmentation import is_segmentation, read_segmentation
from trainables.data.readers.grey import to_gray
from trainables.data.readers.grid import Grid
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.video import read_video
from trainables.data.readers.volume import SUFFIXES as VOLUMES
from trainables.data.readers.volume import is_metaimage, read_volume, read_volume_grid

_JPEG, _TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
FLAT = (".png", *_JPEG, *_TIFF, ".bmp")
_DICOM, _VIDEO = (".dcm", ".dicom"), (".avi", ".mp4")


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        images: uint8 `(T, H, W)`, or int64 label numbers where labels were requested.
        spacing: (row, column) pixel spacing in mm, or None.
        planes: positions of the frames as in `Pixels.planes`, or None.
        slices: True where the frames are slices of a volume; else they are frames over time.
        grid: the voxels that the frames were cut from; None for a file that is no volume.
        sparse: True for a mask that leaves out the frames without labels: a DICOM segmentation.
    """

    images: np.ndarray
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    slices: bool = False
    grid: Grid | None = None
    sparse: bool = False


def read_picture(path: Path, *, labels: bool = False, slice_axis: int | None = None) -> Picture:
    """Decode a file by the type that its suffix names.

    Args:
        path: the image file.
        labels: return the stored numbers unchanged (a mask) instead of 256 grey levels.
        slice_axis: axis of a volume's slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file is missing, damaged, of an unsupported type, or a mask whose labels are not whole numbers.
    """
    kind = file_type(path.name)
    if kind is None:
        known = sorted(_KINDS)
        raise DataError(f"{path}: unsupported file type{did_you_mean(path.suffix, known)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return _volume(path, labels, slice_axis) if kind in VOLUMES else _KINDS[kind](path, labels)


@dataclass(frozen=True)
class PictureHeader:
    """Header entries of an image file.

    Attributes:
        frames: number of frames; None where only decoding can count them (a video).
        spacing: (row, column) pixel spacing in mm, or None.
        slices: True where the frames are slices of a volume.
        slice_axis: axis of the file's array, from 0, along which the slices follow each other; None without slices.
    """

    frames: int | None = 1
    spacing: tuple[float, float] | None = None
    slices: bool = False
    slice_axis: int | None = None


def read_picture_header(path: Path, slice_axis: int | None = None) -> PictureHeader:
    """Read a file's header only.

    Args:
        path: the image file.
        slice_axis: axis of a volume's slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file is damaged.
    """
    kind = file_type(path.name)
    if kind in VOLUMES:
        grid = read_volume_grid(path, slice_axis)
        return PictureHeader(grid.slices, grid.spacing, grid.slices > 1, grid.slice_axis if grid.slices > 1 else None)
    if kind in _DICOM:
        header = dicom.read_dicom_header(path)
        return PictureHeader(header.frames, header.spacing, header.is_volume)
    return PictureHeader(None) if kind in _VIDEO else PictureHeader()


def file_type(name: str) -> str | None:
    """Return the suffix that selects a file's reader, or None for an unsupported type."""
    return next((ending for ending in _KINDS if name.lower().endswith(ending)), None)


def is_video(name: str) -> bool:
    """Return True for a video file, which cannot hold masks."""
    return file_type(name) in _VIDEO


def _flat(path: Path, labels: bool) -> Picture:
    flag = cv2.IMREAD_UNCHANGED if labels else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    image = cv2.imread(str(path), flag)
    if image is None:
        raise DataError(f"{path}: not a readable picture")
    suffix = path.suffix.lower()
    if suffix in _JPEG and not _ended(path.read_bytes()):
        raise DataError(f"{path}: truncated (no end marker)")
    if suffix in _TIFF and (pages := cv2.imcount(str(path))) != 1:
        raise DataError(f"{path}: too many pages (found {pages}, expected 1)")
    if not np.isfinite(image).all():
        raise DataError(f"{path}: pixel values that are not finite")
    if labels:
        if image.ndim == 3 and (image[..., :3] != image[..., :1]).any():
            raise DataError(f"{path}: a colour image (expected label numbers)")
        return Picture(to_label_numbers(path, image if image.ndim == 2 else image[..., 0])[None])
    return Picture(to_gray(image)[None])


def _ended(jpeg: bytes) -> bool:
    """Return True where the end marker follows the last scan of a JPEG file: decoders paint a missing part grey."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")


def _volume(path: Path, labels: bool, slice_axis: int | None = None) -> Picture:
    array, grid = read_volume(path, slice_axis)
    planes = None if is_metaimage(path) else grid.planes()  # ultrasound's are only nominal
    return Picture(_values(path, grid.upright(array), labels), grid.spacing, planes, grid.slices > 1, grid)


def _dicom(path: Path, labels: bool) -> Picture:
    header = dicom.read_dicom_header(path)
    if len(set(header.components)) > 1:
        found = ", ".join(sorted(set(header.components)))
        raise DataError(f"{path}: frames of different parts of MR's signal (found {found}, expected one of them)")
    if labels and is_segmentation(path):
        images, planes = read_segmentation(path)
        return Picture(images, header.spacing, planes, header.is_volume, sparse=planes is not None)
    frames = dicom.read_dicom_frames(path, labels=labels)
    planes = header.planes if len(frames) == header.frames else None
    return Picture(_values(path, frames, labels), header.spacing, planes, header.is_volume)


def _video(path: Path, labels: bool) -> Picture:
    if labels:
        raise DataError(f"{path}: a video (expected an image or a volume of label numbers)")
    return Picture(read_video(path))


def _values(path: Path, upright: np.ndarray, labels: bool) -> np.ndarray:
    return to_label_numbers(path, upright) if labels else to_gray(upright)


_KINDS: dict[str, Callable[[Path, bool], Picture]] = {
    **dict.fromkeys(FLAT, _flat),
    **dict.fromkeys(VOLUMES, _volume),
    **dict.fromkeys(_DICOM, _dicom),
    **dict.fromkeys(_VIDEO, _video),
}
