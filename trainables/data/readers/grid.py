"""Grid of the voxels of a volume, and its place in the patient; shared by all file formats that have geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_DISPLAYED = np.array([1.0, 1.0, -1.0])  # as radiologists see it: left, posterior and feet come later
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))  # lower and higher end of DICOM's axes
_MARGIN = 1.1  # spacings within a tenth of each other are isotropic: none of them is the largest


@dataclass(frozen=True)
class Grid:
    """Voxels of a volume or of a single image.

    Attributes:
        shape: sizes of the array's three axes; 1 for the third axis of a single image.
        zooms: voxel size along each axis in mm; None when unknown.
        affine: map from voxels to the patient in mm, DICOM's axes (left, posterior, head), `(4, 4)`; None when unknown.
        slice_axis: axis of the array along which the slices follow each other, from 0.
        stock: True where the file only has the affine that programs write when they know of none: unit voxels at the
            origin.
    """

    shape: tuple[int, int, int]
    zooms: tuple[float, float, float] | None = None
    affine: np.ndarray | None = None
    slice_axis: int = 2
    stock: bool = False

    @property
    def slices(self) -> int:
        """Number of slices of the volume."""
        return self.shape[self.slice_axis]

    @property
    def image_axes(self) -> tuple[int, int]:
        """Axes of the array that are a slice's rows and columns."""
        columns, rows = (axis for axis in range(3) if axis != self.slice_axis)
        return rows, columns

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Pixel spacing (row, column) of the slices in mm, or None."""
        rows, columns = self.image_axes
        return (self.zooms[rows], self.zooms[columns]) if self.zooms is not None else None

    @property
    def flips(self) -> tuple[bool, bool]:
        """Flips of (rows, columns) for the radiologist's display; never without an affine."""
        if self.affine is None:
            return False, False
        rows, columns = self.image_axes
        return _backwards(self.affine[:3, rows]), _backwards(self.affine[:3, columns])

    def planes(self) -> np.ndarray | None:
        """Return the upright slices' positions `(slices, 3, 3)` as in `Pixels.planes`, or None without an affine."""
        if self.affine is None:
            return None
        rows, columns = self.image_axes
        corner, down, right = (self.affine[:3, axis] for axis in (3, rows, columns))
        if self.flips[0]:
            corner, down = corner + (self.shape[rows] - 1) * down, -down
        if self.flips[1]:
            corner, right = corner + (self.shape[columns] - 1) * right, -right
        origins = corner + np.arange(self.slices)[:, None] * self.affine[:3, self.slice_axis]
        return np.stack([origins, np.broadcast_to(down, origins.shape), np.broadcast_to(right, origins.shape)], axis=1)

    def upright(self, voxels: np.ndarray) -> np.ndarray:
        """Return an array `(*shape, ...)` as `(..., slices, rows, columns)` for display, trailing axes reversed."""
        images = np.moveaxis(voxels, self.slice_axis, 2).T
        rows, columns = self.flips
        return images[..., :: -1 if rows else 1, :: -1 if columns else 1]

    def voxels(self, images: np.ndarray) -> np.ndarray:
        """Return images `(..., slices, rows, columns)` as the array `(*shape, ...)`: the inverse of `upright`."""
        rows, columns = self.flips
        return np.moveaxis(images[..., :: -1 if rows else 1, :: -1 if columns else 1].T, 2, self.slice_axis)

    def plane(self) -> Grid:
        """Return the grid of the first slice alone, its third step across it whatever the distance of the slices."""
        (rows, columns), shape, affine = self.image_axes, list(self.shape), self.affine
        shape[self.slice_axis] = 1
        if affine is not None:
            normal = np.cross(affine[:3, columns], affine[:3, rows])
            affine = affine.copy()
            affine[:3, self.slice_axis] = normal / max(float(np.sqrt(np.linalg.norm(normal))), 1e-12)
        return replace(self, shape=(shape[0], shape[1], shape[2]), affine=affine)

    def __str__(self) -> str:
        text = f"{_by(self.shape)} voxels"
        if self.zooms is not None:
            text += f" of {_by(self.zooms)} mm"
        if self.affine is not None:
            steps = (self.affine[:3, axis] for axis in range(3))
            letters = "".join(_LETTERS[_main(step)][int(step[_main(step)] > 0)] for step in steps)
            text += f" along {letters} from LPS ({', '.join(f'{place:.4g}' for place in self.affine[:3, 3] + 0.0)})"
        return text


def choose_slice_axis(
    shape: tuple[int, ...], zooms: tuple[float, ...] | None, told: int | None = None, acquired: int | None = None
) -> int:
    """Return the axis along which the slices of a volume follow each other.

    Example:
        >>> choose_slice_axis((20, 256, 256), (8.0, 1.5, 1.5)), choose_slice_axis((256, 256, 200), (0.9, 0.9, 0.7))
        (0, 2)

    Args:
        shape: sizes of the array's axes; a single image's two axes are those of its one slice.
        zooms: voxel size along each axis in mm; None when unknown.
        told: axis that the dataset's settings name; None to choose.
        acquired: axis that the file's header names as the acquisition's slices; None when it names none.

    Returns:
        The axis of the settings, else an only axis of length 1, else the acquisition's, else that of the largest
        spacing, else, where no spacing is clearly the largest, the third.
    """
    if len(shape) < 3:
        return 2
    single = [axis for axis in range(3) if shape[axis] == 1]
    if told is not None:
        return told
    if len(single) == 1:
        return single[0]
    if acquired is not None:
        return acquired
    if zooms is not None:
        *_, second, largest = np.argsort(zooms[:3])
        if zooms[largest] > _MARGIN * zooms[second]:
            return int(largest)
    return 2


def require_slice_axis(slice_axis: int | None) -> None:
    """Check the `slice_axis` of a layout's settings.

    Raises:
        ValueError: it is neither None nor 0, 1 or 2.
    """
    if slice_axis not in (None, 0, 1, 2):
        raise ValueError(f"slice_axis {slice_axis}: expected an axis of the files' arrays, 0, 1 or 2")


def _backwards(step: np.ndarray) -> bool:
    return bool(step[_main(step)] * _DISPLAYED[_main(step)] < 0)


def _main(step: np.ndarray) -> int:
    return int(np.argmax(np.abs(step)))


def _by(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
