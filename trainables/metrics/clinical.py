"""Volumes of the left ventricle by Simpson's method of discs, ejection fraction, and agreement with a reference.

Lang et al., Recommendations for cardiac chamber quantification, J Am Soc Echocardiogr 28 (2015): the long axis of the
cavity, from the middle of the base to the apex, is cut into 20 slices of the same height, each taken as a disc (one
plane) or as an elliptic disc (two planes at right angles).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

DISCS = 20
_SAMPLES = 2  # lines, and samples along each, for each pixel's side
_ENDS = 0.15  # share of the length that makes an end, when base and apex are told apart by their widths


@dataclass(frozen=True)
class Discs:
    """A ventricle in one view.

    Attributes:
        length: of the long axis in mm.
        diameters: across it, root mean square over each slice, from base to apex, in mm, `(DISCS,)`.
        base: (row, column) of the axis's lower end in mm from the image's first pixel.
        apex: of its other end.
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
    """The long axis and the diameters across it.

    The axis is found from the mask alone. The direction of the greatest spread tells the two ends, the narrower of
    which is the apex; this holds for any ventricle that is longer than broad. The base's corners are then the two
    points that make the greatest triangle with the apex, and the axis runs from their middle to the point that is
    farthest from it. It starts where the cavity has come to half its breadth near the base, which many pixels tell
    better than the one at the corner, so volumes are good to a small part of a pixel.

    Args:
        mask: bool `(H, W)`; only its largest connected part counts.
        spacing: (row, column) distance of pixels in mm.

    Returns:
        None for an empty mask.
    """
    step = np.asarray(spacing, np.float64)
    part, origin = _largest_part(mask)
    if part is None:
        return None
    middle, tip = _axis(part, step)
    length = float(np.hypot(*(tip - middle)))
    direction = (tip - middle) / length if length else np.array([1.0, 0.0])
    fine = float(step.min()) / _SAMPLES
    reach = np.arange(-length - 4 * fine, 2 * length + 4 * fine, fine)  # the base may bulge as far as the axis is long
    straight = _straightened(
        part, middle / step, direction / step, np.array([-direction[1], direction[0]]) / step, reach
    )
    widths = straight.sum(1) * fine
    on_axis = np.flatnonzero(straight[:, straight.shape[1] // 2] >= 0.5)
    low, high = reach[on_axis[0]], reach[on_axis[-1]] + fine / 2
    first = _rise(reach, widths, float(np.interp(low + _ENDS * (high - low), reach, widths)) / 2)
    bounds = np.linspace(first, high, DISCS + 1)
    squares = np.interp(bounds, reach, np.cumsum(widths**2) * fine - widths**2 * fine / 2)
    diameters = np.sqrt(np.maximum(np.diff(squares), 0) * DISCS / (high - first))
    base, apex = (middle + end * direction + origin * step for end in (first, high))
    return Discs(float(high - first), diameters, base, apex)


def single_plane_volumes(masks: np.ndarray, spacing: np.ndarray | tuple[float, float]) -> np.ndarray:
    """Volumes in mL, float64 `(N,)`, of cavity masks `(N, H, W)`; 0 for an empty mask, nan where the spacing is."""
    steps = np.broadcast_to(np.asarray(spacing, np.float64), (len(masks), 2))
    return np.array([_single(mask, (float(step[0]), float(step[1]))) for mask, step in zip(masks, steps, strict=True)])


def biplane_volume(one: Discs | None, two: Discs | None) -> float:
    """Volume in mL from two views at right angles, the longer axis counting; 0 where a view has no cavity."""
    if one is None or two is None:
        return 0.0
    length = max(one.length, two.length)
    return float(np.pi / 4 * (one.diameters * two.diameters).sum() * length / DISCS / 1000)


def ejection_fraction(edv: np.ndarray | float, esv: np.ndarray | float) -> np.ndarray:
    """Per cent of the end-diastolic volume that is ejected, float64; nan where that volume is 0."""
    diastolic, systolic = np.asarray(edv, np.float64), np.asarray(esv, np.float64)
    return 100 * (diastolic - systolic) / np.where(diastolic > 0, diastolic, np.nan)


@dataclass(frozen=True)
class Agreement:
    """How measured values agree with a reference.

    Attributes:
        count: of the pairs; those with a nan are left out.
        correlation: Pearson's.
        bias: mean of measured - reference.
        mae: mean of |measured - reference|.
        lower: Bland-Altman limit, bias - 1.96 standard deviations of the differences.
        upper: bias + 1.96 standard deviations.
    """

    count: int
    correlation: float
    bias: float
    mae: float
    lower: float
    upper: float


def agreement(reference: np.ndarray, measured: np.ndarray) -> Agreement:
    """Agreement of two series `(N,)`; nan for what too few pairs, or a constant series, do not give."""
    both = np.isfinite(reference) & np.isfinite(measured)
    reference, measured = np.asarray(reference, np.float64)[both], np.asarray(measured, np.float64)[both]
    count = len(reference)
    if count == 0:
        return Agreement(0, *[float("nan")] * 5)
    difference = measured - reference
    bias = float(difference.mean())
    spread = 1.96 * float(difference.std(ddof=1)) if count > 1 else float("nan")
    varied = count > 1 and reference.std() > 0 and measured.std() > 0
    correlation = float(np.corrcoef(reference, measured)[0, 1]) if varied else float("nan")
    return Agreement(count, correlation, bias, float(np.abs(difference).mean()), bias - spread, bias + spread)


def _single(mask: np.ndarray, spacing: tuple[float, float]) -> float:
    if np.isnan(spacing).any():
        return float("nan")
    found = discs(mask, spacing)
    return found.volume if found is not None else 0.0


def _largest_part(mask: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """The largest connected part, float32, cropped with a pixel of background around, and the crop's (row, column)."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask, np.uint8))
    if len(stats) < 2:
        return None, np.zeros(2)
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, width, height = (int(value) for value in stats[label, :4])
    part = np.pad(labels[top : top + height, left : left + width] == label, 1)
    return part.astype(np.float32), np.array([top - 1, left - 1])


def _axis(part: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The base's middle and the apex, in mm in the cropped image."""
    points = np.argwhere(part > 0) * step
    spread = np.atleast_2d(np.cov(points.T, bias=True))
    main, side = np.linalg.eigh(spread)[1].T[::-1]
    along = (points - points.mean(0)) @ main
    width = points @ side
    low, high = along.min(), along.max()
    end = _ENDS * (high - low)
    if np.ptp(width[along <= low + end]) < np.ptp(width[along >= high - end]):
        along = -along
    hull = _hull(points)
    apex = points[along.argmax()]
    arms = hull - apex
    areas = np.abs(arms[:, None, 0] * arms[None, :, 1] - arms[:, None, 1] * arms[None, :, 0])
    corners = np.unravel_index(int(areas.argmax()), areas.shape)
    middle = (hull[corners[0]] + hull[corners[1]]) / 2
    return middle, hull[np.hypot(*(hull - middle).T).argmax()]


def _straightened(
    part: np.ndarray, middle: np.ndarray, down: np.ndarray, across: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """The mask between its pixels, bilinearly, with the axis down the middle column and a row for each of `reach`.

    Args:
        part: float32 `(H, W)`.
        middle: (row, column) of the axis's start, in pixels.
        down: of a mm along the axis, in pixels.
        across: of a mm across it.
        reach: mm along the axis, equally spaced.
    """
    fine = reach[1] - reach[0]
    half = int(np.ceil(np.hypot(*part.shape) / np.hypot(*across) / fine))
    corner = middle + reach[0] * down - half * fine * across
    to_image = np.stack([fine * across, fine * down, corner], 1)[::-1]  # from (column, row, 1) to (column, row)
    size = (2 * half + 1, len(reach))
    return np.asarray(cv2.warpAffine(part, to_image, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float64)


def _rise(reach: np.ndarray, widths: np.ndarray, level: float) -> float:
    """Where the width first comes to `level`."""
    after = max(int((widths >= level).argmax()), 1)
    return float(np.interp(level, widths[after - 1 : after + 1], reach[after - 1 : after + 1]))


def _hull(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull, `(P, 2)`."""
    places: np.ndarray = cv2.convexHull(points.astype(np.float32)).reshape(-1, 2).astype(np.float64)
    return places
