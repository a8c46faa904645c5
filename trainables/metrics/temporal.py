"""Segmentations over time: how the area of each class goes, and how smoothly."""

from __future__ import annotations

import numpy as np


def area_curves(masks: np.ndarray, classes: int, spacing: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Area of each foreground class in each frame.

    Args:
        masks: class indices `(T, H, W)`.
        classes: number of classes K, background included.
        spacing: (row, column) distance of pixels in mm.

    Returns:
        Float64 `(T, K - 1)` in mm^2.
    """
    counts = np.stack([np.bincount(frame.ravel(), minlength=classes)[1:classes] for frame in masks])
    return counts * float(spacing[0] * spacing[1])


def smoothness(curves: np.ndarray, frame_time: float = 1.0) -> np.ndarray:
    """Integral over time of the squared second derivative of an area curve: the less, the smoother.

    Equation 2 of "Temporally consistent segmentations from sparsely labeled echocardiograms using image registration
    for pseudo-label generation". The derivative is the second difference, held constant over the first and the last
    interval, so the result is exact for a parabola.

    Args:
        curves: areas `(T, ...)`, T from 3 up; time is the first axis.
        frame_time: between frames in the unit of time wanted; the paper counts in frames.

    Returns:
        Float64 `(...)`: area^2 / time^3.
    """
    if len(curves) < 3:
        raise ValueError(f"a curve of {len(curves)} frames, expected 3 or more")
    squared = (np.diff(curves, n=2, axis=0) / frame_time**2) ** 2
    return np.asarray((squared.sum(0) + (squared[0] + squared[-1]) / 2) * frame_time)
