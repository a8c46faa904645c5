"""Segmentations over time: area curves of each class and their smoothness."""

from __future__ import annotations

import numpy as np


def area_curves(masks: np.ndarray, classes: int, spacing: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Compute the area of each foreground class in each frame.

    Args:
        masks: class indices `(T, H, W)`.
        classes: number of classes K, background included.
        spacing: (row, column) pixel spacing in mm; by default areas are in pixels.

    Returns:
        Float64 `(T, K - 1)` in mm^2.
    """
    counts = np.stack([np.bincount(frame.ravel(), minlength=classes)[1:classes] for frame in masks])
    return counts * float(spacing[0] * spacing[1])


def smoothness(curves: np.ndarray, frame_time: float = 1.0) -> np.ndarray:
    """Integrate the squared second derivative of an area curve over time; lower is smoother.

    Equation 2 of "Temporally consistent segmentations from sparsely labeled echocardiograms using image registration
    for pseudo-label generation". The derivative is the second difference, held constant over the first and the last
    interval, so the result is exact for a parabola.

    Args:
        curves: areas `(T, ...)` with time as the first axis, T at least 3.
        frame_time: time between frames, in any unit; the default, 1, counts time in frames as the paper does.

    Returns:
        Float64 `(...)`, in area^2 / time^3.

    Raises:
        ValueError: the curve has fewer than 3 frames.

    Example:
        >>> float(smoothness(np.array([0.0, 1.0, 4.0, 9.0])))  # t^2: the second derivative is 2 over 3 intervals
        12.0
    """
    if len(curves) < 3:
        raise ValueError(f"a curve of {len(curves)} frames, expected 3 or more")
    squared = (np.diff(curves, n=2, axis=0) / frame_time**2) ** 2
    return np.asarray((squared.sum(0) + (squared[0] + squared[-1]) / 2) * frame_time)
