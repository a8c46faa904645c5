"""Cubic B-spline free-form deformation: displacements of control points into displacements of pixels.

Rueckert et al. 1999. A field is a tensor product of splines, so it and its derivatives are each a product of two small
matrices with the control points: exact, and differentiable to any order by torch.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class BSpline:
    """A grid of control points over an image.

    The grid has the image's centre. It has a control point in the middle of every cell of `spacing` pixels, and two
    more rings around those, so that every pixel has its full four by four neighbours and the weights add up to one
    at the borders too.

    Attributes:
        size: (rows, columns) of the image in pixels.
        spacing: of the control points in pixels, from 1 up.
    """

    size: tuple[int, int]
    spacing: int

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.spacing < 1:
            raise ValueError(f"size {self.size}, spacing {self.spacing}: expected whole numbers from 1 up")

    @property
    def control_size(self) -> tuple[int, int]:
        """(rows, columns) of the control grid."""
        rows, columns = (len(control_positions(pixels, self.spacing)) for pixels in self.size)
        return rows, columns

    def displacement(self, control: Tensor) -> Tensor:
        """The field in pixels.

        Args:
            control: displacements `(B, 2, rows, columns)` of the control points in pixels; the first component is
                along the image's rows.

        Returns:
            `(B, 2, H, W)`, in the control points' own precision.
        """
        return self._field(control, 0, 0)

    def determinant(self, control: Tensor) -> Tensor:
        """Jacobian determinant `(B, H, W)` of p + u(p): the local change of area; at most 0 where the field folds."""
        down, across = self._field(control, 1, 0), self._field(control, 0, 1)
        return (1 + down[:, 0]) * (1 + across[:, 1]) - across[:, 0] * down[:, 1]

    def bending_energy(self, control: Tensor) -> Tensor:
        """Bending energy `(B,)` of the field, in pixels.

        u_yy^2 + 2 u_xy^2 + u_xx^2 (Rueckert et al. 1999, equation 8), averaged over the pixels and the two components.
        """
        pure = self._field(control, 2, 0).square() + self._field(control, 0, 2).square()
        return (pure + 2 * self._field(control, 1, 1).square()).mean((1, 2, 3))

    def _field(self, control: Tensor, down: int, across: int) -> Tensor:
        """The derivative of these orders along rows and columns."""
        with torch.autocast(control.device.type, enabled=False):
            rows = _weights(self.size[0], self.spacing, down, control.dtype, control.device)
            columns = _weights(self.size[1], self.spacing, across, control.dtype, control.device)
            return rows @ control @ columns.T


def control_positions(pixels: int, spacing: int) -> np.ndarray:
    """Where the control points of an axis lie, in pixel coordinates; the first pixel is at 0."""
    count = math.ceil(pixels / spacing) + 4
    return (pixels - 1) / 2 + (np.arange(count) - (count - 1) / 2) * spacing


def basis(pixels: int, spacing: int, order: int) -> np.ndarray:
    """Weights of the control points in each pixel of an axis, or their derivatives.

    Args:
        pixels: of the axis.
        spacing: of the control points in pixels.
        order: of the derivative by the pixel coordinate: 0, 1 or 2.

    Returns:
        Float64 `(pixels, control points)`.
    """
    offsets = (np.arange(pixels)[:, None] - control_positions(pixels, spacing)) / spacing
    distance, side = np.abs(offsets), np.sign(offsets)
    near, far = distance < 1, distance < 2
    beyond = 2 - distance
    inner, outer = (
        (2 / 3 - distance**2 + distance**3 / 2, beyond**3 / 6),
        (side * (1.5 * distance**2 - 2 * distance), -side * beyond**2 / 2),
        (3 * distance - 2, beyond),
    )[order]
    weights: np.ndarray = np.where(near, inner, np.where(far, outer, 0.0)) / spacing**order
    return weights


@functools.lru_cache(maxsize=256)
def _weights(pixels: int, spacing: int, order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor would be refused by a later backward pass
        return torch.from_numpy(basis(pixels, spacing, order)).to(device, dtype)
