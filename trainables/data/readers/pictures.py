"""Image files of any common kind as grey frames: PNG and its like, NIfTI, MetaImage, DICOM, video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers import dicom, metaimage, nifti
from trainables.data.readers.grey import published, windowed
from trainables.data.readers.video import read_grey

_JPEG, _TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
FLAT = (".png", *_JPEG, *_TIFF, ".bmp")
_METAIMAGE, _DICOM, _VIDEO = (".mhd", ".mha"), (".dcm", ".dicom"), (".avi", ".mp4")


@dataclass(frozen=True)
class Picture:
    """A decoded file.

    Attributes:
        images: uint8 `(T, H, W)`, or int64 label numbers where labels were asked for.
        spacing: (row, column) mm, or None.
        planes: as `Pixels.planes`, or None.
        slices: whether the frames are slices of a volume; else they are moments.
    """

    images: np.ndarray
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    slices: bool = False


def read_picture(path: Path, *, labels: bool = False) -> Picture:
    """Decode a file by the kind that its name tells.

    Args:
        path: of the file.
        labels: give the numbers in it as they are (a mask) instead of 256 grey levels.

    Raises:
        DataError: it is missing, damaged, or of a kind that is not read here.
    """
    kind = kind_of(path.name)
    if kind is None:
        known = sorted(_KINDS)
        raise DataError(f"{path}: a kind of file that is not read{did_you_mean(path.suffix, known)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return _KINDS[kind](path, labels)


@dataclass(frozen=True)
class Peek:
    """What a file's header tells.

    Attributes:
        frames: how many it holds; None where only decoding tells (a video).
        spacing: (row, column) mm, or None.
        slices: whether its frames are slices of a volume.
    """

    frames: int | None = 1
    spacing: tuple[float, float] | None = None
    slices: bool = False


def peek(path: Path) -> Peek:
    """Read a file's header only.

    Raises:
        DataError: it is damaged.
    """
    kind = kind_of(path.name)
    if kind in nifti.SUFFIXES:
        grid = nifti.read_header(path)
        return Peek(grid.slices, grid.spacing, grid.slices > 1)
    if kind in _METAIMAGE:
        meta = metaimage.read_header(path)
        slices = meta.size[2] if len(meta.size) > 2 else 1
        return Peek(slices, _spacing(meta.spacing), slices > 1)
    if kind in _DICOM:
        header = dicom.read_header(path)
        return Peek(header.frames, header.spacing)
    return Peek(None) if kind in _VIDEO else Peek()


def kind_of(name: str) -> str | None:
    """The ending by which a file is read, or None."""
    return next((ending for ending in _KINDS if name.lower().endswith(ending)), None)


def is_video(name: str) -> bool:
    """Whether a file is a video, which holds no masks."""
    return kind_of(name) in _VIDEO


def _flat(path: Path, labels: bool) -> Picture:
    flag = cv2.IMREAD_UNCHANGED if labels else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
    image = cv2.imread(str(path), flag)
    if image is None:
        raise DataError(f"{path}: not a readable picture")
    suffix = path.suffix.lower()
    if suffix in _JPEG and not _ended(path.read_bytes()):
        raise DataError(f"{path}: truncated, the end of the picture is missing")
    if suffix in _TIFF and (pages := cv2.imcount(str(path))) != 1:
        raise DataError(f"{path}: {pages} pages, expected one picture")
    if not np.isfinite(image).all():
        raise DataError(f"{path}: holds values that are not finite")
    if labels:
        if image.ndim == 3 and (image[..., :3] != image[..., :1]).any():
            raise DataError(f"{path}: a colour picture, expected label numbers")
        return Picture(np.rint(image if image.ndim == 2 else image[..., 0]).astype(np.int64)[None])
    return Picture(_shown(image)[None])


def _ended(jpeg: bytes) -> bool:
    """Whether the last scan of a JPEG file is followed by the end marker: decoders paint what is missing grey."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")


def _shown(values: np.ndarray) -> np.ndarray:
    """256 grey levels: those of 8 bits were made to be looked at."""
    return published(values) if values.dtype == np.uint8 else windowed(values)


def _nifti(path: Path, labels: bool) -> Picture:
    array, header = nifti.read(path)
    if array.ndim > 3:
        raise DataError(f"{path}: shape {array.shape}, expected one image or one volume")
    upright = header.upright(array if array.ndim == 3 else array[..., None])
    return Picture(_values(upright, labels, _shown), header.spacing, header.planes(), upright.shape[0] > 1)


def _metaimage(path: Path, labels: bool) -> Picture:
    meta = metaimage.read(path)
    array = meta.array
    if not 2 <= array.ndim <= 3:
        raise DataError(f"{path}: shape {array.shape}, expected one image or one volume")
    upright = (array if array.ndim == 3 else array[..., None]).transpose(2, 1, 0)
    return Picture(_values(upright, labels, published), _spacing(meta.spacing), None, upright.shape[0] > 1)


def _spacing(steps: tuple[float, ...] | None) -> tuple[float, float] | None:
    return (steps[1], steps[0]) if steps is not None and min(steps[:2]) > 0 else None


def _dicom(path: Path, labels: bool) -> Picture:
    header = dicom.read_header(path)
    frames = dicom.read_frames(path)
    plane = header.plane if len(frames) == 1 else None
    return Picture(_values(frames, labels, published), header.spacing, plane[None] if plane is not None else None)


def _video(path: Path, labels: bool) -> Picture:
    if labels:
        raise DataError(f"{path}: a video, expected a picture or a volume of label numbers")
    return Picture(read_grey(path))


def _values(upright: np.ndarray, labels: bool, grey: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.rint(upright).astype(np.int64) if labels else grey(upright)


_KINDS: dict[str, Callable[[Path, bool], Picture]] = {
    **dict.fromkeys(FLAT, _flat),
    **dict.fromkeys(nifti.SUFFIXES, _nifti),
    **dict.fromkeys(_METAIMAGE, _metaimage),
    **dict.fromkeys(_DICOM, _dicom),
    **dict.fromkeys(_VIDEO, _video),
}
