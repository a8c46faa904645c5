"""Where the planes of a heart's views cut each other, in an image's own pixels.

A plane is `(3, 3)`: in mm along DICOM's axes (left, posterior, head), the centre of its first pixel, the step of a row
down, the step of a column to the right; as `FrameStore.index["plane"]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PARALLEL = np.sin(np.deg2rad(5))


@dataclass(frozen=True)
class Line:
    """Where another plane cuts an image.

    Attributes:
        point: of the line that is nearest to the first pixel, (row, column).
        step: along the line by one mm, in (rows, columns).
        direction: the same in the patient, a unit vector.
    """

    point: np.ndarray
    step: np.ndarray
    direction: np.ndarray

    def towards(self, goal: np.ndarray) -> Line | None:
        """The line with its steps towards a direction of the patient; None where it runs across to within five degrees.

        Args:
            goal: a unit vector.
        """
        share = float(self.direction @ goal)
        if abs(share) < _PARALLEL:
            return None
        return self if share > 0 else Line(self.point, -self.step, -self.direction)


def cut(image: np.ndarray, other: np.ndarray) -> Line | None:
    """The line in which a plane cuts an image's; None where the two are parallel to within five degrees."""
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


def meeting(one: Line, two: Line) -> np.ndarray | None:
    """The (row, column) where two lines of an image meet; None where they are parallel to within five degrees."""
    if np.linalg.norm(np.cross(one.direction, two.direction)) < _PARALLEL:
        return None
    matrix = np.stack([one.step, -two.step], axis=1)
    along = np.linalg.solve(matrix, two.point - one.point)
    return np.asarray(one.point + along[0] * one.step)


def normal_of(plane: np.ndarray) -> np.ndarray:
    """Unit normal of a plane."""
    normal = np.cross(plane[2], plane[1])
    return np.asarray(normal / np.linalg.norm(normal))
