"""Blend of forward and backward labels by their signed distances.

Equation 1 of "Temporally consistent segmentations from sparsely labeled echocardiograms using image registration for
pseudo-label generation":

    y(t, C) = d(forward(t, C)) cos^2(w t) + d(backward(t, C)) sin^2(w t) > 0

`t` runs here from 0 at the forward labels' source frame to N - 1 at the backward labels', and w = pi / (2 (N - 1)). So
each direction's weight is 1 at its labelled frame and 0 at the other, and both labelled frames keep their expert masks.
(The equation as printed has t = 1..N and pi / (2 N), with which the first frame would be blended.)

Two classes never overlap: where forward says A at depth a and backward B at depth b, A's blend is at most
w_f a - w_b b and B's at most w_b b - w_f a. Some pixels may belong to no class.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from scipy import ndimage

Rule = Literal["argmax", "threshold", "released"]
CLOSING = np.ones((5, 5), np.uint8)


def blend(
    forward: np.ndarray,
    backward: np.ndarray,
    classes: int,
    spacing: tuple[float, float] = (1.0, 1.0),
    rule: Rule = "argmax",
) -> np.ndarray:
    """Blend the forward and backward masks of each frame.

    Args:
        forward: class indices `(N, H, W)`, propagated from the first frame.
        backward: class indices `(N, H, W)`, propagated from the last frame.
        classes: number of classes K, background included.
        spacing: (row, column) pixel spacing in mm; by default distances are in pixels.
        rule: "argmax" assigns each pixel the class, background included, of the greatest blended distance, so a thin
            structure remains until the two masks lie twice its thickness apart. "threshold" is the equation: a class
            where its blend is above 0, otherwise background. "released" follows the authors' released program: the
            equation with OpenCV's 3x3 approximation of distances in pixels, then a 5x5 closing of the class indices.

    Returns:
        Uint8 class indices `(N, H, W)`.
    """
    angles = np.linspace(0, np.pi / 2, len(forward))
    return np.stack(
        [
            _blend_frame(one, two, float(np.cos(angle) ** 2), classes, spacing, rule)
            for one, two, angle in zip(forward, backward, angles, strict=True)
        ]
    )


def signed_distance(mask: np.ndarray, spacing: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Compute the exact signed distance in mm to the mask's boundary, positive inside.

    The distance is that to the nearest pixel of the opposite label; if there is none, the image's diagonal.

    Args:
        mask: region, bool `(H, W)`.
        spacing: (row, column) pixel spacing in mm; by default distances are in pixels.

    Returns:
        Float64 `(H, W)`, nonzero everywhere.
    """
    if mask.all() or not mask.any():
        diagonal = float(np.hypot(*np.multiply(mask.shape, spacing)))
        return np.full(mask.shape, diagonal if mask.all() else -diagonal)
    inside, outside = (ndimage.distance_transform_edt(side, sampling=spacing) for side in (mask, ~mask))
    return np.asarray(inside - outside)


def _blend_frame(
    forward: np.ndarray,
    backward: np.ndarray,
    weight: float,
    classes: int,
    spacing: tuple[float, float],
    rule: Rule,
) -> np.ndarray:
    blended = np.zeros(forward.shape, np.uint8)
    if rule == "released":
        above = [
            weight * _approximate_distance(forward == label) + (1 - weight) * _approximate_distance(backward == label)
            > 0
            for label in range(classes)
        ]
        blended[:] = np.argmax(above, axis=0)
        return np.asarray(cv2.morphologyEx(blended, cv2.MORPH_CLOSE, CLOSING))
    box = _bounding_box((forward > 0) | (backward > 0))  # both masks are background outside the box
    one, two = forward[box], backward[box]
    distances = np.stack(
        [
            weight * signed_distance(one == label, spacing) + (1 - weight) * signed_distance(two == label, spacing)
            for label in range(classes)
        ]
    )
    if rule == "threshold":
        distances[0] = 0.0
    blended[box] = distances.argmax(0)
    return blended


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return a mask's bounding box with a one-pixel margin, which leaves the signed distances inside unchanged."""
    return tuple(  # type: ignore[return-value]
        slice(max(int(found[0]) - 1, 0), int(found[-1]) + 2)
        if len(found := np.flatnonzero(mask.any(axis)))
        else slice(0)
        for axis in (1, 0)
    )


def _approximate_distance(mask: np.ndarray) -> np.ndarray:
    inside, outside = (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 3) for side in (mask, ~mask))
    return np.asarray(inside - outside)
