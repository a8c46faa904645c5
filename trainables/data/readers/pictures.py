"""Reader of image files of any common type as grey frames: PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from trainables.common.errors import DataError, did_you_mean
from trainables.data.readers import dicom, metaimage, nifti
from trainables.data.readers.grey import percentile_window, to_uint8
from trainables.data.readers.limits import require_size
from trainables.data.readers.video import read_video

_JPEG, _TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
FLAT = (".png", *_JPEG, *_TIFF, ".bmp")
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


def read_picture(path: Path, *, labels: bool = False) -> Picture:
    """Decode a file by the type that its suffix names.

    Args:
        path: the image file.
        labels: return the stored numbers unchanged (a mask) instead of 256 grey levels.

    Raises:
        DataError: the file is missing, damaged, or of an unsupported type.
    """
    kind = file_type(path.name)
    if kind is None:
        known = sorted(_KINDS)
        raise DataError(f"{path}: unsupported file type{did_you_mean(path.suffix, known)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return _KINDS[kind](path, labels)


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


def _flat(path: Path, labels: bool) -> Picture:
    _require_size(path)
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
        return Picture(np.rint(image if image.ndim == 2 else image[..., 0]).astype(np.int64)[None])
    return Picture(_shown(image)[None])


def _require_size(path: Path) -> None:
    """Refuse a picture whose header announces more than the limit of a decoded file."""
    most, PIL.Image.MAX_IMAGE_PIXELS = (
        PIL.Image.MAX_IMAGE_PIXELS,
        None,
    )  # the setting decides
    try:
        with PIL.Image.open(path) as picture:
            shape, mode = (picture.height, picture.width, len(picture.getbands())), picture.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a readable picture ({error})") from None
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = most
    deep = np.uint16 if mode.startswith("I;16") else np.float32
    require_size(path, shape, deep if mode.startswith(("I", "F")) else np.uint8)


def _ended(jpeg: bytes) -> bool:
    """Return True where the end marker follows the last scan of a JPEG file: decoders paint a missing part grey."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")


def _shown(values: np.ndarray) -> np.ndarray:
    """Return 256 grey levels; those of 8-bit images are kept, as they were made for display."""
    return to_uint8(values) if values.dtype == np.uint8 else percentile_window(values)


def _nifti(path: Path, labels: bool) -> Picture:
    array, header = nifti.read_nifti(path)
    if array.ndim > 3:
        raise DataError(f"{path}: unsupported shape (found {array.shape}, expected one image or one volume)")
    upright = header.upright(array if array.ndim == 3 else array[..., None])
    return Picture(_values(upright, labels, _shown), header.spacing, header.planes(), upright.shape[0] > 1)


def _metaimage(path: Path, labels: bool) -> Picture:
    meta = metaimage.read_metaimage(path)
    array = meta.array
    if not 2 <= array.ndim <= 3:
        raise DataError(f"{path}: unsupported shape (found {array.shape}, expected one image or one volume)")
    upright = (array if array.ndim == 3 else array[..., None]).transpose(2, 1, 0)
    return Picture(_values(upright, labels, to_uint8), _spacing(meta.spacing), None, upright.shape[0] > 1)


def _spacing(steps: tuple[float, ...] | None) -> tuple[float, float] | None:
    return (steps[1], steps[0]) if steps is not None and min(steps[:2]) > 0 else None


def _dicom(path: Path, labels: bool) -> Picture:
    header = dicom.read_dicom_header(path)
    frames = dicom.read_dicom_frames(path)
    plane = header.plane if len(frames) == 1 else None
    return Picture(_values(frames, labels, to_uint8), header.spacing, plane[None] if plane is not None else None)


def _video(path: Path, labels: bool) -> Picture:
    if labels:
        raise DataError(f"{path}: a video (expected an image or a volume of label numbers)")
    return Picture(read_video(path))


def _values(upright: np.ndarray, labels: bool, grey: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.rint(upright).astype(np.int64) if labels else grey(upright)


_KINDS: dict[str, Callable[[Path, bool], Picture]] = {
    **dict.fromkeys(FLAT, _flat),
    **dict.fromkeys(nifti.SUFFIXES, _nifti),
    **dict.fromkeys(_METAIMAGE, _metaimage),
    **dict.fromkeys(_DICOM, _dicom),
    **dict.fromkeys(_VIDEO, _video),
}
