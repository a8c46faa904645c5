"""Reader of NIfTI images as upright slices, with each slice's position in the patient."""

from __future__ import annotations

import contextlib
import gzip
import logging
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.grid import Grid, choose_slice_axis
from trainables.data.readers.label_numbers import to_label_numbers
from trainables.data.readers.limits import require_size
from trainables.data.readers.tables import is_file

logging.getLogger("nibabel.global").setLevel(logging.ERROR)  # its warnings are reported as dataset issues

SUFFIXES = (".nii.gz", ".nii")
_TO_LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI's world axes are right, anterior, head; DICOM's left, posterior, head
_MILLIMETERS = {1: 1e3, 2: 1.0, 3: 1e-3}  # by the code of meter, millimeter and micron; files without one mean mm
_REAL = "biuf"  # numpy's kinds of one real number
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class NiftiHeader:
    """Grid of voxels that a NIfTI file describes.

    Attributes:
        grid: the voxels of one time point. Its affine is None where the header has none, or one that contradicts the
            voxel size.
        timepoints: number of time points (or channels), the fourth axis.
        contradiction: True where the header's affine contradicts the voxel size.
    """

    grid: Grid
    timepoints: int = 1
    contradiction: bool = False

    @property
    def slices(self) -> int:
        """Number of slices of one time point."""
        return self.grid.slices

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Pixel spacing (row, column) of the slices in mm, or None."""
        return self.grid.spacing


_decoded: ContextVar[dict[tuple[Path, int | None], tuple[np.ndarray, NiftiHeader]] | None] = ContextVar(
    "decoded", default=None
)


def find_nifti(path: Path) -> Path | None:
    """Return the file `path` plus `.nii.gz` or `.nii`, whichever exists; None where neither does."""
    return next((found for suffix in SUFFIXES if is_file(found := path.with_name(path.name + suffix))), None)


def read_nifti_header(path: Path, slice_axis: int | None = None) -> NiftiHeader:
    """Read the grid of a NIfTI file without its voxels.

    Args:
        path: the file.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file is missing, or not a NIfTI image of two to five axes with one real number a voxel.
    """
    return _header(_open(path), slice_axis)


@contextlib.contextmanager
def decoded_once() -> Iterator[None]:
    """Decode each file at most once inside the `with` block, for readers that take one volume of it after the other."""
    token = _decoded.set({})
    try:
        yield
    finally:
        _decoded.reset(token)


def read_nifti(path: Path, slice_axis: int | None = None) -> tuple[np.ndarray, NiftiHeader]:
    """Return a NIfTI file's array, trailing axes of length one dropped, and its grid.

    Args:
        path: the file; a compressed one is read to its end, so that its checksum is verified.
        slice_axis: axis of the slices, from 0; None to choose it by `choose_slice_axis`.

    Raises:
        DataError: the file is missing, damaged or has values that are not finite.
    """
    known = _decoded.get()
    if known is not None and (path, slice_axis) in known:
        return known[path, slice_axis]
    image = _open(path)
    require_size(path, image.shape, image.get_data_dtype())
    try:
        array = _voxels(path, image)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:  # a damaged size asks for too much memory
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not np.isfinite(array).all():
        raise DataError(f"{path}: voxel values that are not finite")
    found = array, _header(image, slice_axis)
    if known is not None:
        known[path, slice_axis] = found
    return found


def read_labels(path: Path) -> tuple[np.ndarray, NiftiHeader]:
    """Return the label numbers of a NIfTI file, int64, trailing axes of length one dropped, and its grid.

    Raises:
        DataError: the file is missing or damaged, or has values that are not whole numbers.
    """
    array, header = read_nifti(path)
    return to_label_numbers(path, array), header


def _open(path: Path) -> Any:
    try:
        image: Any = nib.load(path)
    except Exception as error:  # nibabel's errors have no parent in common: it depends on the byte that is damaged
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    if not isinstance(image, nib.Nifti1Image):  # NIfTI-2 is a subclass, CIFTI's surfaces are not
        raise DataError(f"{path}: not an image of voxels (found {type(image).__name__}, expected NIfTI)")
    if not 2 <= len(image.shape) <= 5 or min(image.shape) < 1:
        raise DataError(f"{path}: unsupported shape (found {image.shape}, expected two to five axes)")
    header: Any = image.header
    if header.get_data_dtype().kind not in _REAL:
        found = header.get_value_label("datatype")
        raise DataError(f"{path}: unsupported type of voxels (found {found}, expected one real number a voxel)")
    return image


def _voxels(path: Path, image: Any) -> np.ndarray:
    if not path.name.lower().endswith(".gz"):
        return np.asarray(image.dataobj)
    with gzip.open(path) as file:
        array = np.asarray(type(image).from_stream(file).dataobj)
        while file.read(_CHUNK):  # the checksum is compared at the end of the file, behind the last voxel
            pass
    return array


def _has_spacing(image: Any) -> bool:
    """Return True where the file itself has a pixel spacing: nibabel turns a missing one, 0, into 1."""
    if tuple(image.header.get_zooms()[:2]) != (1.0, 1.0):
        return True
    with nib.openers.Opener(image.get_filename(), "rb") as file:
        raw = type(image.header).from_fileobj(file, check=False)
    return bool((np.abs(raw["pixdim"][1:3]) > 0).all())


def _header(image: Any, slice_axis: int | None) -> NiftiHeader:
    shape, timepoints = tuple(image.shape), image.shape[3] if len(image.shape) > 3 else 1
    sizes = (shape[0], shape[1], shape[2] if len(shape) > 2 else 1)
    unit = _MILLIMETERS.get(int(image.header["xyzt_units"]) & 7, 1.0)
    steps = [float(zoom) * unit for zoom in image.header.get_zooms()[:3]]
    zooms = (steps[0], steps[1], steps[2] if len(steps) > 2 else 1.0)
    known = min(zooms[:2]) > 0 and bool(np.isfinite(zooms).all()) and _has_spacing(image)
    axis = choose_slice_axis(shape, zooms if known else None, slice_axis, image.header.get_dim_info()[2])
    grid = Grid(sizes, zooms if known else None, None, axis)
    if int(image.header["sform_code"]) <= 0 and int(image.header["qform_code"]) <= 0:
        return NiftiHeader(grid, timepoints)
    affine = np.asarray(image.affine, float)
    stock = any(np.array_equal(affine, np.diag([sign, sign, 1, 1])) for sign in (1, -1))
    affine[:3] *= unit * _TO_LPS[:, None]
    lengths = np.linalg.norm(affine[:3, :3], axis=0)[list(grid.image_axes)]
    agrees = grid.spacing is not None and np.allclose(lengths, grid.spacing, rtol=1e-2)
    if not agrees or not np.isfinite(affine).all():
        return NiftiHeader(grid, timepoints, contradiction=True)
    return NiftiHeader(replace(grid, affine=affine, stock=stock), timepoints)
