"""Files of predicted values in the geometry and format of the images that they belong to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import nibabel as nib
import numpy as np

from trainables.common.files import part_tag
from trainables.data.readers.array_path import SUFFIXES as ARRAYS
from trainables.data.readers.flat_pictures import FLAT
from trainables.data.readers.metaimage import read_metaimage_header
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.readers.nifti import SUFFIXES as NIFTI
from trainables.data.readers.pictures import file_type
from trainables.data.readers.volume import METAIMAGE
from trainables.prediction.decoding import DecodedImage

_TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's axes are left, posterior, head; NIfTI's right, anterior, head
_IDENTIFYING = ("descrip", "aux_file", "db_name", "intent_name")
"""Fields of text in a NIfTI header, which may name the patient."""


def suffix_of(image: DecodedImage, *, maps: bool = False) -> str:
    """Return the suffix of the file of an image's masks, or of its maps.

    Pictures give PNG, arrays NPY, MetaImage and NIfTI files their own format, videos and DICOM compressed NIfTI. Maps,
    which are no whole numbers, of pictures are NPY.
    """
    kind = file_type(image.source.path.name)
    if kind in FLAT and not maps and len(image.images) == 1:
        return ".png"
    if kind in (*FLAT, *ARRAYS):
        return ".npy"
    if kind in METAIMAGE:
        return ".mha"
    return kind if kind in NIFTI else ".nii.gz"


def write_values(path: Path, image: DecodedImage, values: np.ndarray) -> None:
    """Write values of an image's frames in the image's own geometry, atomically.

    Args:
        path: file to write, with the suffix of `suffix_of`.
        image: the image.
        values: uint8 or float32 `(T, H, W)`, or `(T, K, H, W)`, whose classes become the last axis.
    """
    array = arranged(image, values) if values.ndim == 3 else _by_class(image, values)
    with replacing(path) as part:
        if path.suffix == ".png":
            cv2.imwrite(str(part), array)
        elif path.suffix == ".npy":
            np.save(part, array)
        elif path.suffix == ".mha":
            _write_metaimage(part, image, array)
        else:
            nib.save(_nifti(image, array), part)


def arranged(image: DecodedImage, frames: np.ndarray) -> np.ndarray:
    """Return frames `(T, H, W)` as the array of the image's file has them."""
    if image.grid is not None:
        grid = image.grid
        stacked = frames.reshape(-1, grid.slices, *frames.shape[1:])
        array = grid.voxels(stacked)
        return np.ascontiguousarray(array[..., 0] if len(stacked) == 1 else array)
    kind = file_type(image.source.path.name)
    if kind in ARRAYS and image.axis is not None:
        return np.moveaxis(frames, 0, image.axis)
    if kind in (*FLAT, *ARRAYS):
        return frames[0] if len(frames) == 1 else frames
    return np.ascontiguousarray(frames.T)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file's path with the suffix of `path`, and rename it to `path` on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{part_tag()}{''.join(path.suffixes[-2:])}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _by_class(image: DecodedImage, values: np.ndarray) -> np.ndarray:
    return np.stack([arranged(image, values[:, number]) for number in range(values.shape[1])], axis=-1)


def _nifti(image: DecodedImage, array: np.ndarray) -> Any:
    """Return a NIfTI image with the image's own header, or the affine that its planes or spacing give."""
    if file_type(image.source.path.name) not in NIFTI:
        return nib.Nifti1Image(array, _affine(image))  # type: ignore[no-untyped-call]
    source: Any = nib.load(image.source.path)
    header = source.header.copy()
    header.extensions.clear()
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    for name in _IDENTIFYING:
        header[name] = b""
    if array.ndim < len(source.shape) and int(np.prod(array.shape)) == int(np.prod(source.shape)):
        array = array.reshape(source.shape)  # trailing axes of length one
    if array.ndim == 3 and array.shape[2] == 1 and len(source.shape) == 2:
        array = array[..., 0]
    return type(source)(array, source.affine, header)


def _affine(image: DecodedImage) -> np.ndarray:
    """Return the affine of an image's frames as an array `(W, H, T)`."""
    affine = np.eye(4)
    if image.planes is None:
        affine[[1, 0], [1, 0]] = image.spacing or (1.0, 1.0)
        return affine
    origin, down, right = image.planes[0]
    across = np.cross(right, down)
    across = across / max(float(np.linalg.norm(across)), 1e-12)
    if image.stack and len(image.planes) > 1:
        across = (image.planes[-1, 0] - origin) / (len(image.planes) - 1)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = right, down, across, origin
    affine[:3] *= _TO_RAS[:, None]
    return affine


def _write_metaimage(path: Path, image: DecodedImage, array: np.ndarray) -> None:
    header = read_metaimage_header(image.source.path)
    axes = len(header.size)
    if array.ndim > axes and array.shape[axes:] == (1,) * (array.ndim - axes):
        array = array.reshape(array.shape[:axes])
    added = array.ndim - axes
    spacing = (*(header.spacing or (1.0,) * axes), *(1.0,) * added)
    offset = (*(header.offset or (0.0,) * axes), *(0.0,) * added)
    direction = np.eye(array.ndim)
    if header.direction is not None:
        direction[:axes, :axes] = header.direction
    rows = tuple(map(tuple, direction.tolist()))
    write_metaimage(path, array, spacing, compress=True, offset=offset, direction=rows)
