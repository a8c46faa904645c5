"""Two opinions about a mask into one: the blend of signed distances.

Equation 1 of "Temporally consistent segmentations from sparsely labeled echocardiograms using image registration for
pseudo-label generation":

    y(t, C) = d(forward(t, C)) cos^2(w t) + d(backward(t, C)) sin^2(w t) > 0

`t` runs here from 0 at the frame that the forward labels come from to N - 1 at that of the backward labels, and
w = pi / (2 (N - 1)), so the weights are 1 at the labelled end and 0 at the other, and both labelled frames keep their
expert masks. (The equation as printed has t = 1..N and pi / (2 N), with which the first frame would be blended.)

Two classes never overlap: where forward says A at depth a and backward B at depth b, A's blend is at most
w_f a - w_b b and B's at most w_b b - w_f a. Yet there may be pixels that no class claims.
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
    """One mask of each frame from its two.

    Args:
        forward: class indices `(N, H, W)`, sure at the first frame.
        backward: likewise, sure at the last.
        classes: number of classes K, background included.
        spacing: (row, column) distance of pixels in mm.
        rule: "argmax" gives each pixel the class, background included, of the greatest blended distance, so a thin
            structure stays until the two opinions lie twice its thickness apart. "threshold" is the equation: a class
            where its blend is above 0, background where none is. "released" is what the authors' program does: the
            same with OpenCV's 3x3 approximation of distances in pixels, then a 5x5 closing of the class indices.

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
    """Exact distance in mm of each pixel to the nearest pixel on the mask's other side, positive inside.

    Where there is no other side the distance counts as the image's diagonal.

    Args:
        mask: bool `(H, W)`.
        spacing: (row, column) distance of pixels in mm.

    Returns:
        Float64 `(H, W)`, nowhere 0.
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
    box = _box((forward > 0) | (backward > 0))  # outside it both say background
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


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """The bounding box of a mask, a pixel wider on each side: distances within it are those of the whole image."""
    return tuple(  # type: ignore[return-value]
        slice(max(int(found[0]) - 1, 0), int(found[-1]) + 2)
        if len(found := np.flatnonzero(mask.any(axis)))
        else slice(0)
        for axis in (1, 0)
    )


def _approximate_distance(mask: np.ndarray) -> np.ndarray:
    inside, outside = (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 3) for side in (mask, ~mask))
    return np.asarray(inside - outside)
