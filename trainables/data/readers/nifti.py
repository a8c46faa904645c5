"""Reader of NIfTI images as upright slices, with each slice's position in the patient."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.limits import require_size
from trainables.data.readers.tables import is_file

logging.getLogger("nibabel.global").setLevel(logging.ERROR)  # its warnings are reported as dataset issues

SUFFIXES = (".nii.gz", ".nii")
_TO_LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI's world axes are right, anterior, head; DICOM's left, posterior, head
_DISPLAYED = np.array([1.0, 1.0, -1.0])  # as radiologists see it: left, posterior and feet come later


@dataclass(frozen=True)
class NiftiHeader:
    """Grid of voxels that a NIfTI file describes.

    Attributes:
        shape: sizes of the array's two to five axes: columns, rows, slices, time points, channels.
        zooms: voxel size along the first three axes in mm; None where the header has none above zero.
        affine: map from voxels to the patient in mm, DICOM's axes (left, posterior, head), `(4, 4)`; None where the
            header has none, or one that contradicts the zooms.
        contradiction: True where the header's affine contradicts the zooms.
    """

    shape: tuple[int, ...]
    zooms: tuple[float, float, float] | None
    affine: np.ndarray | None
    contradiction: bool = False

    @property
    def slices(self) -> int:
        """Number of slices, the third axis."""
        return self.shape[2] if len(self.shape) > 2 else 1

    @property
    def timepoints(self) -> int:
        """Number of time points (or channels), the fourth axis."""
        return self.shape[3] if len(self.shape) > 3 else 1

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Pixel spacing (row, column) in mm of an image whose rows are the array's second axis."""
        return (self.zooms[1], self.zooms[0]) if self.zooms is not None else None

    @property
    def flips(self) -> tuple[bool, bool]:
        """Flips of (rows, columns) for the radiologist's display; never where the file has no affine."""
        if self.affine is None:
            return False, False
        right, down = self.affine[:3, 0], self.affine[:3, 1]
        return _backwards(down), _backwards(right)

    def planes(self) -> np.ndarray | None:
        """Return the upright slices' positions `(slices, 3, 3)` as in `Pixels.planes`, or None without an affine."""
        if self.affine is None:
            return None
        right, down, through, corner = (self.affine[:3, axis] for axis in range(4))
        if self.flips[0]:
            corner, down = corner + (self.shape[1] - 1) * down, -down
        if self.flips[1]:
            corner, right = corner + (self.shape[0] - 1) * right, -right
        origins = corner + np.arange(self.slices)[:, None] * through
        return np.stack([origins, np.broadcast_to(down, origins.shape), np.broadcast_to(right, origins.shape)], axis=1)

    def upright(self, array: np.ndarray) -> np.ndarray:
        """Return an array `(columns, rows, ...)` of this grid as `(..., rows, columns)`, trailing axes reversed."""
        upright = array.T
        rows, columns = self.flips
        return upright[..., :: -1 if rows else 1, :: -1 if columns else 1]


def _backwards(step: np.ndarray) -> bool:
    main = int(np.argmax(np.abs(step)))
    return bool(step[main] * _DISPLAYED[main] < 0)


def find_nifti(path: Path) -> Path | None:
    """Return the file `path` plus `.nii.gz` or `.nii`, whichever exists; None where neither does."""
    return next((found for suffix in SUFFIXES if is_file(found := path.with_name(path.name + suffix))), None)


def read_nifti_header(path: Path) -> NiftiHeader:
    """Read the grid of a NIfTI file without its voxels.

    Raises:
        DataError: the file is missing, or not a NIfTI image of two to five axes.
    """
    return _header(_open(path))


def read_nifti(path: Path) -> tuple[np.ndarray, NiftiHeader]:
    """Return a NIfTI file's array, trailing axes of length one dropped, and its grid.

    Raises:
        DataError: the file is missing, damaged or has values that are not finite.
    """
    image = _open(path)
    require_size(path, image.shape, image.get_data_dtype())
    try:
        array = np.asarray(image.dataobj)
    except (OSError, EOFError, ValueError, MemoryError, zlib.error) as error:  # a damaged size asks for too much memory
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if not np.isfinite(array).all():
        raise DataError(f"{path}: voxel values that are not finite")
    return array, _header(image)


def read_labels(path: Path) -> np.ndarray:
    """Return the label numbers of a NIfTI file, int64.

    Raises:
        DataError: the file is missing, damaged or has values that are not finite.
    """
    return np.asarray(np.rint(read_nifti(path)[0])).astype(np.int64)


def _open(path: Path) -> Any:
    try:
        image: Any = nib.load(path)
    except Exception as error:  # nibabel's errors have no parent in common: it depends on the byte that is damaged
        raise DataError(f"{path}: not a readable NIfTI image ({error})") from None
    if not 2 <= len(image.shape) <= 5 or min(image.shape) < 1:
        raise DataError(f"{path}: unsupported shape (found {image.shape}, expected two to five axes)")
    return image


def _has_spacing(image: Any) -> bool:
    """Return True where the file itself has a pixel spacing: nibabel turns a missing one, 0, into 1."""
    if tuple(image.header.get_zooms()[:2]) != (1.0, 1.0):
        return True
    with nib.openers.Opener(image.get_filename(), "rb") as file:
        raw = type(image.header).from_fileobj(file, check=False)
    return bool((np.abs(raw["pixdim"][1:3]) > 0).all())


def _header(image: Any) -> NiftiHeader:
    zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    zooms += [1.0] * (3 - len(zooms))
    known = min(zooms[:2]) > 0 and bool(np.isfinite(zooms).all()) and _has_spacing(image)
    coded = int(image.header.get("sform_code", 0)) > 0 or int(image.header.get("qform_code", 0)) > 0
    affine = np.asarray(image.affine, float)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    agrees = known and bool(np.allclose(lengths[:2], zooms[:2], rtol=1e-2))
    if coded and agrees and np.isfinite(affine).all():
        lps = affine.copy()
        lps[:3] *= _TO_LPS[:, None]
        return NiftiHeader(tuple(image.shape), (zooms[0], zooms[1], zooms[2]), lps)
    return NiftiHeader(tuple(image.shape), (zooms[0], zooms[1], zooms[2]) if known else None, None, coded)
