"""Cubic B-spline free-form deformation: pixel displacements from control-point displacements.

Rueckert et al. 1999. The field is a tensor product of splines, so it and its derivatives are each a product of two
small matrices with the control points: exact, and differentiable by autograd.
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
    """Control-point grid of a cubic B-spline over an image.

    The grid is centered on the image. It has a control point in the middle of every cell of `spacing` pixels and two
    more rings around those, so every pixel has all its 4 x 4 control points and the weights sum to 1 everywhere.

    Attributes:
        size: (rows, columns) of the image in pixels.
        spacing: distance between control points in pixels, at least 1.
    """

    size: tuple[int, int]
    spacing: int

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.spacing < 1:
            raise ValueError(f"size {self.size}, spacing {self.spacing}: expected whole numbers from 1 up")

    @property
    def control_size(self) -> tuple[int, int]:
        """Size (rows, columns) of the control grid."""
        rows, columns = (len(control_positions(pixels, self.spacing)) for pixels in self.size)
        return rows, columns

    def displacement(self, control: Tensor) -> Tensor:
        """Compute the displacement field in pixels.

        Args:
            control: displacements `(B, 2, rows, columns)` of the control points in pixels; the first component is
                along the image's rows.

        Returns:
            `(B, 2, H, W)`, in the dtype of `control`.
        """
        return self._evaluate(control, 0, 0)

    def determinant(self, control: Tensor) -> Tensor:
        """Compute the Jacobian determinant `(B, H, W)` of p + u(p), the local area ratio; at most 0 at folds."""
        down, across = self._evaluate(control, 1, 0), self._evaluate(control, 0, 1)
        return (1 + down[:, 0]) * (1 + across[:, 1]) - across[:, 0] * down[:, 1]

    def bending_energy(self, control: Tensor) -> Tensor:
        """Compute the bending energy `(B,)` of the field, in pixels.

        u_yy^2 + 2 u_xy^2 + u_xx^2 (Rueckert et al. 1999, equation 8), averaged over the pixels and the two components.
        """
        pure = self._evaluate(control, 2, 0).square() + self._evaluate(control, 0, 2).square()
        return (pure + 2 * self._evaluate(control, 1, 1).square()).mean((1, 2, 3))

    def _evaluate(self, control: Tensor, down: int, across: int) -> Tensor:
        """Evaluate the field's partial derivative of order `down` along the rows and `across` along the columns."""
        with torch.autocast(control.device.type, enabled=False):
            rows = _basis_tensor(self.size[0], self.spacing, down, control.dtype, control.device)
            columns = _basis_tensor(self.size[1], self.spacing, across, control.dtype, control.device)
            return rows @ control @ columns.T


def control_positions(pixels: int, spacing: int) -> np.ndarray:
    """Return the control points' positions on an axis, in pixel coordinates; the first pixel is at 0."""
    count = math.ceil(pixels / spacing) + 4
    return (pixels - 1) / 2 + (np.arange(count) - (count - 1) / 2) * spacing


def basis(pixels: int, spacing: int, order: int) -> np.ndarray:
    """Compute the control points' weights at each pixel of an axis, or the derivatives of the weights.

    Args:
        pixels: number of pixels along the axis.
        spacing: distance between control points in pixels.
        order: order of the derivative by the pixel coordinate: 0, 1 or 2.

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
def _basis_tensor(pixels: int, spacing: int, order: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # autograd rejects a cached inference tensor
        return torch.from_numpy(basis(pixels, spacing, order)).to(device, dtype)
