"""Distances between the outlines of masks, in mm.

A mask's outline is its pixels with at least one of their four neighbors outside the mask; pixels beyond the image's
border count as outside. Each outline pixel has a distance to the nearest pixel of the other outline, so two masks have
two sets of directed distances. The metrics summarize both sets.

Empty masks: by default the distances of a class that is in neither mask are 0; those of a class that is in only one are
the image's diagonal, the greatest possible distance, so missed and false structures enter the mean. `empty="nan"` makes
both cases nan instead. Where an image's spacing is unknown (nan), its distances are nan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from scipy.spatial import cKDTree

Empty = Literal["penalty", "nan"]
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm of N images and K - 1 foreground classes; each array is float64 `(N, K - 1)`.

    Attributes:
        hausdorff: maximum of all directed distances.
        hausdorff95: maximum of the two directions' 95th percentiles.
        mean_absolute: mean of all directed distances (MAD, symmetric average surface distance).
        mean_contour: mean of each direction, averaged over the two directions (mean contour distance of Bai et al.).
    """

    hausdorff: np.ndarray
    hausdorff95: np.ndarray
    mean_absolute: np.ndarray
    mean_contour: np.ndarray


def surface_distances(
    predicted: np.ndarray,
    truth: np.ndarray,
    classes: int,
    spacing: np.ndarray | tuple[float, float],
    empty: Empty = "penalty",
) -> SurfaceDistances:
    """Compute the surface distances of each image and foreground class.

    Args:
        predicted: class indices `(N, H, W)`, of any integer type or bool.
        truth: reference class indices, in the shape of `predicted`.
        classes: number of classes K, background included.
        spacing: (row, column) pixel spacing in mm, `(2,)` for all images or `(N, 2)`; nan if unknown.
        empty: treatment of empty masks: "penalty" for 0 or the image's diagonal, "nan" for nan.

    Raises:
        ValueError: the masks differ in shape or are not three-dimensional.

    Example:
        >>> predicted, truth = np.zeros((2, 1, 8, 8), np.uint8)
        >>> predicted[0, 2:5, 2:5] = truth[0, 2:5, 3:6] = 1
        >>> surface_distances(predicted, truth, classes=2, spacing=(1.0, 1.5)).hausdorff
        array([[1.5]])
    """
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise ValueError(
            f"masks have shapes {predicted.shape} and {truth.shape}, expected one shape (images, rows, columns)"
        )
    if predicted.dtype == bool and truth.dtype == bool:
        predicted, truth = (
            predicted.view(np.uint8),
            truth.view(np.uint8),
        )  # comparing bool with int would allocate int64 copies
    steps = np.broadcast_to(np.asarray(spacing, np.float64), (len(predicted), 2))
    found = np.full((4, len(predicted), classes - 1), np.nan)
    for image, step in enumerate(steps):
        if not np.isnan(step).any():
            found[:, image] = _image_distances(predicted[image], truth[image], classes, step, empty)
    return SurfaceDistances(*found)


def _image_distances(
    predicted: np.ndarray, truth: np.ndarray, classes: int, step: np.ndarray, empty: Empty
) -> np.ndarray:
    """Compute the four metrics of each foreground class of one image, `(4, K - 1)`."""
    diagonal = float(np.hypot(*(step * predicted.shape)))
    box = _bounding_box((predicted | truth) != 0)
    predicted, truth = predicted[box], truth[box]
    return np.stack(
        [_class_distances(predicted == label, truth == label, step, diagonal, empty) for label in range(1, classes)],
        axis=1,
    )


def _class_distances(
    predicted: np.ndarray, truth: np.ndarray, step: np.ndarray, diagonal: float, empty: Empty
) -> np.ndarray:
    predicted_points, truth_points = outline(predicted) * step, outline(truth) * step
    if len(predicted_points) == 0 or len(truth_points) == 0:
        penalty = 0.0 if len(predicted_points) == len(truth_points) else diagonal
        return np.full(4, penalty if empty == "penalty" else np.nan)
    to_truth, to_predicted = (
        np.asarray(cKDTree(target).query(source)[0])
        for source, target in ((predicted_points, truth_points), (truth_points, predicted_points))
    )
    percentile = max(_percentile(to_truth, 0.95), _percentile(to_predicted, 0.95))
    pooled = (to_truth.sum() + to_predicted.sum()) / (len(to_truth) + len(to_predicted))
    return np.array(
        [max(to_truth.max(), to_predicted.max()), percentile, pooled, (to_truth.mean() + to_predicted.mean()) / 2]
    )


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the (row, column) indices of a bool mask's outline pixels, int64 `(P, 2)`."""
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    if pixels.size == 0:
        return np.zeros((0, 2), np.int64)
    inner = np.asarray(cv2.erode(pixels, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,)), np.uint8)
    places: np.ndarray | None = cv2.findNonZero(pixels - inner)
    if places is None:
        return np.zeros((0, 2), np.int64)
    return np.asarray(places, np.int64).reshape(-1, 2)[:, ::-1]


def _percentile(values: np.ndarray, fraction: float) -> float:
    """Compute a linearly interpolated quantile, equal to `np.quantile` by default and three times as fast."""
    position = fraction * (len(values) - 1)
    neighbors = [int(position), min(int(position) + 1, len(values) - 1)]
    low, high = np.partition(values, neighbors)[neighbors]
    return float(low + (high - low) * (position - neighbors[0]))


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the (row, column) slices of a mask's bounding box; cropping to it does not change outlines."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(top, top + height), slice(left, left + width)
