"""Left-ventricular volumes by Simpson's method of discs, ejection fraction, and agreement with a reference.

Lang et al., Recommendations for cardiac chamber quantification, J Am Soc Echocardiogr 28 (2015): the long axis of the
cavity, from the middle of the base to the apex, is divided into 20 slices of equal height. Each slice is modeled as a
circular disc (one plane) or as an elliptic disc (two orthogonal planes).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

DISCS = 20
_SAMPLES_PER_PIXEL = 2  # along and across the axis, per pixel side
_END_FRACTION = 0.15  # fraction of the length at each end whose width distinguishes base from apex


@dataclass(frozen=True)
class Discs:
    """Disc model of a ventricle in one view.

    Attributes:
        length: length of the long axis in mm.
        diameters: diameter of each slice in mm, from base to apex (root mean square over the slice), `(DISCS,)`.
        base: (row, column) of the axis's basal end, in mm from the image's first pixel.
        apex: (row, column) of the axis's apical end, in mm from the image's first pixel.
    """

    length: float
    diameters: np.ndarray
    base: np.ndarray
    apex: np.ndarray

    @property
    def volume(self) -> float:
        """Single-plane volume in mL."""
        return float(np.pi / 4 * (self.diameters**2).sum() * self.length / DISCS / 1000)


def discs(mask: np.ndarray, spacing: tuple[float, float]) -> Discs | None:
    """Find the long axis of a cavity mask and the diameters across it.

    The mask's first principal axis identifies its two ends; the narrower end is the apex, which is valid for any
    ventricle that is longer than wide. The base's corners are the two hull points that form the largest triangle with
    the apex. The axis runs from their midpoint to the mask's farthest point from it, and starts where the width first
    reaches half the width near the base. That start averages over many pixels, so volumes are accurate to a fraction
    of a pixel.

    Args:
        mask: cavity, bool `(H, W)`; only its largest connected component is used.
        spacing: (row, column) pixel spacing in mm.

    Returns:
        The disc model, or None for an empty mask.

    Example:
        >>> rows, columns = np.mgrid[:128, :128] - 63.5
        >>> ellipse = (rows / 50) ** 2 + (columns / 25) ** 2 <= 1  # ellipsoid: 4/3 pi 50 x 25 x 25 mm^3 = 130.9 mL
        >>> 120 < discs(ellipse, spacing=(1.0, 1.0)).volume < 140
        True
    """
    step = np.asarray(spacing, np.float64)
    component, origin = _largest_component(mask)
    if component is None:
        return None
    middle, apex_point = _long_axis(component, step)
    length = float(np.hypot(*(apex_point - middle)))
    direction = (apex_point - middle) / length if length else np.array([1.0, 0.0])
    resolution = float(step.min()) / _SAMPLES_PER_PIXEL
    # The base may extend one axis length beyond the start.
    positions = np.arange(-length - 4 * resolution, 2 * length + 4 * resolution, resolution)
    resampled = _resample_along_axis(
        component, middle / step, direction / step, np.array([-direction[1], direction[0]]) / step, positions
    )
    widths = resampled.sum(1) * resolution
    on_axis = np.flatnonzero(resampled[:, resampled.shape[1] // 2] >= 0.5)
    low, high = positions[on_axis[0]], positions[on_axis[-1]] + resolution / 2
    first = _first_crossing(
        positions, widths, float(np.interp(low + _END_FRACTION * (high - low), positions, widths)) / 2
    )
    bounds = np.linspace(first, high, DISCS + 1)
    squares = np.interp(bounds, positions, np.cumsum(widths**2) * resolution - widths**2 * resolution / 2)
    diameters = np.sqrt(np.maximum(np.diff(squares), 0) * DISCS / (high - first))
    base, apex = (middle + end * direction + origin * step for end in (first, high))
    return Discs(float(high - first), diameters, base, apex)


def single_plane_volumes(masks: np.ndarray, spacing: np.ndarray | tuple[float, float]) -> np.ndarray:
    """Compute single-plane volumes of cavity masks by Simpson's method.

    Args:
        masks: bool or integer `(N, H, W)`; nonzero is cavity.
        spacing: (row, column) pixel spacing in mm, `(2,)` for all masks or `(N, 2)`; nan if unknown.

    Returns:
        Float64 `(N,)` in mL; 0 for an empty mask, nan for an unknown spacing.

    Example:
        >>> single_plane_volumes(np.zeros((1, 8, 8), bool), spacing=(1.0, 1.0))
        array([0.])
    """
    steps = np.broadcast_to(np.asarray(spacing, np.float64), (len(masks), 2))
    return np.array(
        [_single_plane_volume(mask, (float(step[0]), float(step[1]))) for mask, step in zip(masks, steps, strict=True)]
    )


def biplane_volume(one: Discs | None, two: Discs | None) -> float:
    """Compute the volume in mL from two orthogonal views, with the longer of their axes; 0 if a view has no cavity."""
    if one is None or two is None:
        return 0.0
    length = max(one.length, two.length)
    return float(np.pi / 4 * (one.diameters * two.diameters).sum() * length / DISCS / 1000)


def ejection_fraction(edv: np.ndarray | float, esv: np.ndarray | float) -> np.ndarray:
    """Compute the ejection fraction in percent.

    Args:
        edv: end-diastolic volumes, in any unit.
        esv: end-systolic volumes, in the unit of `edv`.

    Returns:
        Float64: 100 (edv - esv) / edv; nan where `edv` is 0.

    Example:
        >>> float(ejection_fraction(120.0, 48.0))
        60.0
    """
    diastolic, systolic = np.asarray(edv, np.float64), np.asarray(esv, np.float64)
    return 100 * (diastolic - systolic) / np.where(diastolic > 0, diastolic, np.nan)


@dataclass(frozen=True)
class Agreement:
    """Agreement of measured values with a reference.

    Attributes:
        count: number of pairs without a nan; only these enter the statistics.
        correlation: Pearson correlation coefficient, in [-1, 1].
        bias: mean of measured - reference.
        mae: mean of |measured - reference|.
        lower: lower Bland-Altman limit of agreement, bias - 1.96 standard deviations of the differences.
        upper: upper Bland-Altman limit, bias + 1.96 standard deviations of the differences.
    """

    count: int
    correlation: float
    bias: float
    mae: float
    lower: float
    upper: float


def agreement(reference: np.ndarray, measured: np.ndarray) -> Agreement:
    """Compute the agreement of a measured series with a reference series.

    Args:
        reference: reference values `(N,)`.
        measured: measured values `(N,)`, in the reference's unit.

    Returns:
        The statistics; nan where there are too few pairs or, for the correlation, a series is constant.

    Example:
        >>> found = agreement(np.array([10.0, 20.0, 30.0]), np.array([12.0, 21.0, 33.0]))
        >>> found.count, found.bias, found.mae
        (3, 2.0, 2.0)
    """
    valid = np.isfinite(reference) & np.isfinite(measured)
    reference, measured = np.asarray(reference, np.float64)[valid], np.asarray(measured, np.float64)[valid]
    count = len(reference)
    if count == 0:
        return Agreement(0, *[float("nan")] * 5)
    difference = measured - reference
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if count > 1 else float("nan")
    not_constant = count > 1 and reference.std() > 0 and measured.std() > 0
    correlation = float(np.corrcoef(reference, measured)[0, 1]) if not_constant else float("nan")
    return Agreement(count, correlation, bias, float(np.abs(difference).mean()), bias - spread, bias + spread)


def _single_plane_volume(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    if np.isnan(spacing).any():
        return float("nan")
    ventricle = discs(mask, spacing)
    return ventricle.volume if ventricle is not None else 0.0


def _largest_component(mask: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Crop the largest connected component with a one-pixel margin.

    Returns:
        The component, float32, or None for an empty mask; and the crop's first (row, column) in the image.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask, np.uint8))
    if len(stats) < 2:
        return None, np.zeros(2)
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height = (int(value) for value in stats[label, :4])
    component = np.pad(labels[top : top + height, left : left + width] == label, 1)
    return component.astype(np.float32), np.array([top - 1, left - 1])


def _long_axis(component: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the base's midpoint and the apex, as (row, column) in mm in the cropped image."""
    points = np.argwhere(component > 0) * step
    spread = np.atleast_2d(np.cov(points.T, bias=True))
    main, side = np.linalg.eigh(spread)[1].T[::-1]
    along = (points - points.mean(0)) @ main
    width = points @ side
    low, high = along.min(), along.max()
    end = _END_FRACTION * (high - low)
    if np.ptp(width[along <= low + end]) < np.ptp(width[along >= high - end]):
        along = -along
    hull = _convex_hull(points)
    apex = points[along.argmax()]
    arms = hull - apex
    areas = np.abs(arms[:, None, 0] * arms[None, :, 1] - arms[:, None, 1] * arms[None, :, 0])
    corners = np.unravel_index(int(areas.argmax()), areas.shape)
    middle = (hull[corners[0]] + hull[corners[1]]) / 2
    return middle, hull[np.hypot(*(hull - middle).T).argmax()]


def _resample_along_axis(
    component: np.ndarray, middle: np.ndarray, along_axis: np.ndarray, across: np.ndarray, positions: np.ndarray
) -> np.ndarray:
    """Resample the mask bilinearly, with the long axis as the middle column and one row per position.

    Args:
        component: cropped mask, float32 `(H, W)`.
        middle: (row, column) of the axis's start, in pixels.
        along_axis: (row, column) step of 1 mm along the axis, in pixels.
        across: (row, column) step of 1 mm across the axis, in pixels.
        positions: equally spaced positions along the axis, in mm.
    """
    resolution = positions[1] - positions[0]
    half = int(np.ceil(np.hypot(*component.shape) / np.hypot(*across) / resolution))
    corner = middle + positions[0] * along_axis - half * resolution * across
    # The matrix maps (column, row, 1) of the result to (column, row) of the image.
    to_image = np.stack([resolution * across, resolution * along_axis, corner], 1)[::-1]
    size = (2 * half + 1, len(positions))
    return np.asarray(
        cv2.warpAffine(component, to_image, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float64
    )


def _first_crossing(positions: np.ndarray, widths: np.ndarray, level: float) -> float:
    """Return the position in mm at which the width first reaches `level`, linearly interpolated."""
    after = max(int((widths >= level).argmax()), 1)
    return float(np.interp(level, widths[after - 1 : after + 1], positions[after - 1 : after + 1]))


def _convex_hull(points: np.ndarray) -> np.ndarray:
    """Return the corners of the points' convex hull, `(P, 2)`."""
    corners_of_hull: np.ndarray = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    return corners_of_hull
