"""Bent grid in patient coordinates, and the simple bodies from which organs are built.

Coordinates are in mm: x to the patient's right, y to the front, z to the head, so that arrays `(x, y, z)` have the
NIfTI standard's axes. Bodies are given by their depth below the surface: positive inside, roughly in mm.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Volume:
    """Generated volume with its labels.

    Attributes:
        images: voxel values, float32 `(x, y, z, channels)`.
        labels: class indices, uint8 `(x, y, z)`.
        spacing: voxel spacing in mm.
    """

    images: np.ndarray
    labels: np.ndarray
    spacing: Point

    @property
    def affine(self) -> np.ndarray:
        """Affine from voxel indices to patient coordinates in mm, with the volume's centre at the origin."""
        matrix = np.diag([*self.spacing, 1.0])
        matrix[:3, 3] = -(np.array(self.labels.shape) - 1) / 2 * np.array(self.spacing)
        return matrix


@dataclass(frozen=True)
class Space:
    """Coordinates of every voxel.

    Attributes:
        spacing: voxel spacing in mm.
        x: coordinate towards the right, float32 `(x, y, z)` in mm.
        y: coordinate towards the front, float32 `(x, y, z)` in mm.
        z: coordinate towards the head, float32 `(x, y, z)` in mm.
    """

    spacing: Point
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    @property
    def shape(self) -> Shape:
        """Shape of the volume in voxels."""
        width, height, depth = self.x.shape
        return width, height, depth

    def ellipsoid(self, centre: Point, radii: Point, power: float = 2.0, turn: float = 0.0) -> np.ndarray:
        """Return the depth inside an ellipsoid in mm, negative outside.

        Args:
            centre: centre of the ellipsoid in mm.
            radii: radii along x, y and z in mm.
            power: exponent of the surface; 2 is an ellipsoid, higher is boxier.
            turn: rotation about z in radians.
        """
        dx, dy, dz = self.x - centre[0], self.y - centre[1], self.z - centre[2]
        if turn:
            cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
            dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
        scaled = [np.abs(d / np.float32(radius)) for d, radius in zip((dx, dy, dz), radii, strict=True)]
        if power == 2:
            reach = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
        else:
            reach = (scaled[0] ** power + scaled[1] ** power + scaled[2] ** power) ** (1 / power)
        return np.asarray((1 - reach) * np.float32(min(radii)))

    def tube(self, path: list[Point], radius: float) -> np.ndarray:
        """Return the depth inside a tube along a polyline in mm, negative outside."""
        distance = np.full(self.shape, np.inf, np.float32)
        for start, end in itertools.pairwise(path):
            along = [np.float32(b - a) for a, b in zip(start, end, strict=True)]
            away = [axis - np.float32(a) for axis, a in zip((self.x, self.y, self.z), start, strict=True)]
            share = sum(d * a for d, a in zip(away, along, strict=True)) / np.float32(sum(a * a for a in along))
            share = np.clip(share, 0, 1)
            distance = np.minimum(distance, sum((d - share * a) ** 2 for d, a in zip(away, along, strict=True)))
        return np.asarray(np.float32(radius) - np.sqrt(distance))


class Body:
    """Tissue of each voxel; later paint covers earlier paint.

    Args:
        space: coordinates of the voxels.
        ground: tissue that fills all voxels at first.
    """

    def __init__(self, space: Space, ground: str) -> None:
        self._names = [ground]
        self._index = np.zeros(space.shape, np.uint8)

    def paint(self, tissue: str, inside: np.ndarray) -> None:
        """Fill voxels, given as a mask or as depths that are positive inside."""
        if tissue not in self._names:
            self._names.append(tissue)
        self._index[inside if inside.dtype == bool else inside > 0] = self._names.index(tissue)

    def where(self, *tissues: str) -> np.ndarray:
        """Return the mask of the voxels filled by these tissues."""
        return np.isin(self._index, [self._names.index(tissue) for tissue in tissues if tissue in self._names])

    def signal(self, levels: Mapping[str, float]) -> np.ndarray:
        """Return each voxel's signal level by its tissue, float32."""
        return np.asarray([levels[tissue] for tissue in self._names], np.float32)[self._index]


def bent_space(shape: Shape, extent: Point, bend: float, rng: np.random.Generator) -> Space:
    """Return a volume's coordinates around its centre, bent to vary anatomy and position between patients.

    Args:
        shape: shape of the volume in voxels.
        extent: size of the volume in mm.
        bend: typical displacement of the tissue in mm.
        rng: generator of the bending, independent of the shape: a patient looks alike at any resolution.
    """
    spacing = (extent[0] / shape[0], extent[1] / shape[1], extent[2] / shape[2])
    lines = [(np.arange(n) + 0.5 - n / 2) * step for n, step in zip(shape, spacing, strict=True)]
    straight = np.meshgrid(*lines, indexing="ij")
    turn, place = np.deg2rad(rng.normal(0, 2.5)), rng.normal(0, 0.02, 3) * extent
    x, y, z = (
        axis + shift + bend * smooth_field(shape, (6, 6, 5), rng) for axis, shift in zip(straight, place, strict=True)
    )
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return Space(spacing, x.astype(np.float32), y.astype(np.float32), z.astype(np.float32))


def smooth_field(shape: Shape, knots: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return a random field of unit variance, cubic splines over a coarse grid; float32 `shape`."""
    from scipy.interpolate import CubicSpline  # slow to import, and not needed to read a study file

    field = rng.standard_normal(knots)
    splines = [
        CubicSpline(np.arange(knot), np.eye(knot))((np.arange(n) + 0.5) / n * (knot - 1))
        for n, knot in zip(shape, knots, strict=True)
    ]
    return np.asarray(np.einsum("xi,yj,zk,ijk->xyz", *splines, field, optimize=True), np.float32)
