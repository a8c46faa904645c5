"""A CPU's way to move, grade and blur uint8 images: OpenCV, which has what torch lacks for a byte a pixel.

It does what `geometry.resample`, the operations on grey values and `intensity.gaussian_blur` do, to the grey level that
rounding to uint8 after the move costs, with one difference: a box of whole pixels is stretched without looking at the
pixels beside it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor

from trainables.augment.geometry import sources
from trainables.augment.intensity import blur_radius

cv2.setNumThreads(1)  # an image is too small to share; batches are shared instead


def warp(
    images: Tensor, masks: Tensor | None, maps: Tensor, size: tuple[int, int], field: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Images bilinear and masks nearest under the same maps; what lies outside is black and background.

    Args:
        images: uint8 `(B, C, H, W)`.
        masks: class indices below 256 `(B, H, W)` or None.
        maps: `(B, 2, 3)` from `geometry.transforms`.
        size: (height, width) of what comes out.
        field: displacements `(B, 2, *size)` that are added to where the maps lead.
    """
    ways = _resamplers(maps, (images.shape[2], images.shape[3]), size, field)
    planes, out = images.numpy(), np.empty((*images.shape[:2], *size), np.uint8)
    labels = masks.to(torch.uint8).numpy() if masks is not None else None
    out_labels = np.empty((len(images), *size), np.uint8) if labels is not None else None

    def move(row: int) -> None:
        for plane, moved in zip(planes[row], out[row], strict=True):
            ways[row](plane, moved, False)
        if labels is not None and out_labels is not None:
            ways[row](labels[row], out_labels[row], True)

    _parallel_for(move, len(images))
    if masks is None or out_labels is None:
        return torch.from_numpy(out), None
    return torch.from_numpy(out), torch.from_numpy(out_labels).to(masks.dtype)


def means(images: Tensor, rows: Tensor, brightness: Tensor) -> Tensor:
    """The means `(N,)` in [0, 1] of some rows of uint8 images `(B, C, H, W)`, each made brighter and clipped.

    Args:
        images: the batch.
        rows: int64 `(N,)`.
        brightness: factors `(N,)`, at least 0.
    """
    planes, found = images.numpy(), np.empty(len(rows), np.float32)
    chosen, factors = rows.tolist(), brightness.tolist()

    def mean(place: int) -> None:
        factor = factors[place]
        whole, part = divmod(255 / factor, 1) if factor > 1 else (255.0, 0.0)
        total = 0.0
        for plane in planes[chosen[place]]:
            # min(v, k + f) = (1 - f) min(v, k) + f min(v, k + 1) for whole numbers v and k
            below = cv2.mean(plane if whole == 255 else cv2.threshold(plane, whole, 0, cv2.THRESH_TRUNC)[1])[0]
            above = cv2.mean(cv2.threshold(plane, whole + 1, 0, cv2.THRESH_TRUNC)[1])[0] if part else below
            total += (1 - part) * below + part * above
        found[place] = factor * total / len(planes[chosen[place]]) / 255

    _parallel_for(mean, len(rows))
    return torch.from_numpy(found)


def apply_lut(images: Tensor, levels: Tensor, sigma: Tensor | None) -> Tensor:
    """Give each grey level its new value, then blur.

    Args:
        images: uint8 `(B, C, H, W)`.
        levels: float32 `(B, 256)`.
        sigma: of a Gaussian `(B,)` in pixels, 0 for the images that stay sharp; None where all do.

    Returns:
        Float32 `(B, C, H, W)`.
    """
    planes, tables = images.numpy(), levels.numpy()
    out = np.empty(images.shape, np.float32)
    sigmas = sigma.tolist() if sigma is not None else [0.0] * len(images)
    widest = blur_radius(images.shape[2], images.shape[3])

    def grade(row: int) -> None:
        side = 2 * min(widest, math.ceil(4 * sigmas[row])) + 1
        for plane, shown in zip(planes[row], out[row], strict=True):
            cv2.LUT(plane, tables[row], shown)
            if side > 1:
                cv2.GaussianBlur(shown, (side, side), sigmas[row], shown)

    _parallel_for(grade, len(images))
    return torch.from_numpy(out)


_Resampler = Callable[[np.ndarray, np.ndarray, bool], object]
"""Moves the first plane into the second; nearest if asked for."""


def _resamplers(maps: Tensor, source: tuple[int, int], size: tuple[int, int], field: Tensor | None) -> list[_Resampler]:
    """How to move each image: the fastest of the ways that are exact for its map."""
    if field is not None:
        places = (sources(maps, size, field) + 1) * (torch.tensor(source[::-1]) / 2).view(2, 1, 1) - 0.5
        return [_remap(x, y) for x, y in places.numpy()]
    m, pixels = maps.double().numpy(), np.array(source[::-1], np.float64)
    scale = m[:, (0, 1), (0, 1)]
    edges = (m[:, :, 2, None] + np.abs(scale)[:, :, None] * (-1, 1) + 1) * pixels[:, None] / 2
    whole = np.rint(edges)
    inside = (whole[:, :, 0] >= 0) & (whole[:, :, 1] <= pixels) & (whole[:, :, 0] < whole[:, :, 1])
    straight = (m[:, 0, 1] == 0) & (m[:, 1, 0] == 0) & inside.all(1) & (np.abs(edges - whole) < 1e-3).all((1, 2))
    boxes, flips, matrices = whole.astype(int).tolist(), (scale < 0).tolist(), _pixel_matrices(m, source, size)
    return [
        _resize(boxes[row], *flips[row]) if fits else _warp_affine(matrices[row])
        for row, fits in enumerate(straight.tolist())
    ]


def _resize(box: list[list[int]], mirror_x: bool, mirror_y: bool) -> _Resampler:
    (left, right), (top, bottom) = box
    flip = {(True, False): 1, (False, True): 0, (True, True): -1}.get((mirror_x, mirror_y))

    def way(plane: np.ndarray, moved: np.ndarray, nearest: bool) -> None:
        by = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR
        cv2.resize(plane[top:bottom, left:right], moved.shape[::-1], moved, interpolation=by)
        if flip is not None:
            cv2.flip(moved, flip, moved)

    return way


def _warp_affine(matrix: np.ndarray) -> _Resampler:
    def way(plane: np.ndarray, moved: np.ndarray, nearest: bool) -> None:
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)
        cv2.warpAffine(plane, matrix, moved.shape[::-1], moved, flags)

    return way


def _remap(x: np.ndarray, y: np.ndarray) -> _Resampler:
    def way(plane: np.ndarray, moved: np.ndarray, nearest: bool) -> None:
        cv2.remap(plane, x, y, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR, moved)

    return way


def _pixel_matrices(m: np.ndarray, source: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Maps between [-1, 1] as maps between pixels, whose centres are whole numbers, float64 `(B, 2, 3)`."""
    half, ends = np.array(source[::-1]) / 2, np.array(size[::-1], np.float64)
    first = m[:, :, 2] + m[:, :, :2] @ (1 / ends - 1)
    matrices: np.ndarray = np.concatenate([m[:, :, :2] * 2 / ends, first[:, :, None] + 1], 2) * half[:, None]
    matrices[:, :, 2] -= 0.5
    return matrices


def _parallel_for(work: Callable[[int], None], count: int) -> None:
    """`work` on the rows of a batch, by as many threads as torch may use."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        _for_each(work, range(count))
        return
    shares = [range(count * part // threads, count * (part + 1) // threads) for part in range(threads)]
    for _ in _pool(threads).map(functools.partial(_for_each, work), shares):
        pass


def _for_each(work: Callable[[int], None], rows: range) -> None:
    for row in rows:
        work(row)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "augment")
