"""Intersections of the heart's imaging planes, in an image's pixel coordinates.

A plane is `(3, 3)`: in mm along DICOM's axes (left, posterior, head), the centre of its first pixel, the step of a row
down, the step of a column to the right; as `FrameStore.index["plane"]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PARALLEL = np.sin(np.deg2rad(5))


@dataclass(frozen=True)
class Line:
    """Intersection line of an image with another plane.

    Attributes:
        point: point (row, column) of the line nearest to the first pixel.
        step: step of 1 mm along the line in (rows, columns).
        direction: unit vector of the line in patient coordinates.
    """

    point: np.ndarray
    step: np.ndarray
    direction: np.ndarray

    def towards(self, goal: np.ndarray) -> Line | None:
        """Return the line oriented towards a patient direction; None where it is perpendicular within five degrees.

        Args:
            goal: unit vector in patient coordinates.
        """
        share = float(self.direction @ goal)
        if abs(share) < _PARALLEL:
            return None
        return self if share > 0 else Line(self.point, -self.step, -self.direction)


def intersection_line(image: np.ndarray, other: np.ndarray) -> Line | None:
    """Return the intersection line of two planes; None where they are parallel within five degrees."""
    origin, down, right = image
    normal, own = normal_of(other), normal_of(image)
    if np.linalg.norm(np.cross(normal, own)) < _PARALLEL:
        return None
    slope = np.array([normal @ down, normal @ right])
    point = slope * (normal @ (other[0] - origin)) / (slope @ slope)
    direction = np.cross(own, normal)
    direction = direction / np.linalg.norm(direction)
    step = np.array([direction @ down / (down @ down), direction @ right / (right @ right)])
    return Line(point, step, direction)


def intersection_point(one: Line, two: Line) -> np.ndarray | None:
    """Return the intersection (row, column) of two lines; None where they are parallel within five degrees."""
    if np.linalg.norm(np.cross(one.direction, two.direction)) < _PARALLEL:
        return None
    matrix = np.stack([one.step, -two.step], axis=1)
    along = np.linalg.solve(matrix, two.point - one.point)
    return np.asarray(one.point + along[0] * one.step)


def normal_of(plane: np.ndarray) -> np.ndarray:
    """Return the unit normal of a plane."""
    normal = np.cross(plane[2], plane[1])
    return np.asarray(normal / np.linalg.norm(normal))
