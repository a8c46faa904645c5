"""OpenCV implementation of warp, lookup table and blur for uint8 images on a CPU, faster than torch for bytes.

The results equal those of `geometry.resample`, the pointwise operations and `intensity.gaussian_blur` within the one
gray level lost by rounding to uint8 after the warp, with one difference: a crop at pixel edges is resized without
reading the pixels outside it.
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

from trainables.augment.geometry import source_coordinates
from trainables.augment.intensity import blur_radius

cv2.setNumThreads(1)  # images are too small to split; the rows of a batch run in parallel instead


def warp(
    images: Tensor, masks: Tensor | None, maps: Tensor, size: tuple[int, int], field: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Resample images bilinearly and masks by nearest neighbor; pixels outside the input are 0.

    Args:
        images: uint8 `(B, C, H, W)`.
        masks: class indices below 256 `(B, H, W)` or None.
        maps: affine maps `(B, 2, 3)` from `geometry.affine_maps`.
        size: height and width of the result in pixels.
        field: displacements `(B, 2, *size)` added to the mapped coordinates; None for none.
    """
    resamplers = _resamplers(maps, (images.shape[2], images.shape[3]), size, field)
    planes, out = images.numpy(), np.empty((*images.shape[:2], *size), np.uint8)
    labels = masks.to(torch.uint8).numpy() if masks is not None else None
    out_labels = np.empty((len(images), *size), np.uint8) if labels is not None else None

    def warp_row(row: int) -> None:
        for plane, warped in zip(planes[row], out[row], strict=True):
            resamplers[row](plane, warped, False)
        if labels is not None and out_labels is not None:
            resamplers[row](labels[row], out_labels[row], True)

    _parallel_for(warp_row, len(images))
    if masks is None or out_labels is None:
        return torch.from_numpy(out), None
    return torch.from_numpy(out), torch.from_numpy(out_labels).to(masks.dtype)


def means(images: Tensor, rows: Tensor, brightness: Tensor) -> Tensor:
    """Return the means of selected images after a change of brightness and clipping, float32 `(N,)` in [0, 1].

    Args:
        images: uint8 `(B, C, H, W)`.
        rows: indices of the selected images, int64 `(N,)`.
        brightness: factors on the gray values `(N,)`, at least 0.
    """
    planes, found = images.numpy(), np.empty(len(rows), np.float32)
    chosen, factors = rows.tolist(), brightness.tolist()

    def mean(place: int) -> None:
        factor = factors[place]
        threshold, rest = divmod(255 / factor, 1) if factor > 1 else (255.0, 0.0)
        total = 0.0
        for plane in planes[chosen[place]]:
            # min(v, k + f) = (1 - f) min(v, k) + f min(v, k + 1) for integers v and k
            below = cv2.mean(plane if threshold == 255 else cv2.threshold(plane, threshold, 0, cv2.THRESH_TRUNC)[1])[0]
            above = cv2.mean(cv2.threshold(plane, threshold + 1, 0, cv2.THRESH_TRUNC)[1])[0] if rest else below
            total += (1 - rest) * below + rest * above
        found[place] = factor * total / len(planes[chosen[place]]) / 255

    _parallel_for(mean, len(rows))
    return torch.from_numpy(found)


def apply_lut(images: Tensor, levels: Tensor, sigma: Tensor | None) -> Tensor:
    """Map each gray level by a lookup table, then blur.

    Args:
        images: uint8 `(B, C, H, W)`.
        levels: lookup tables of the images, float32 `(B, 256)`.
        sigma: standard deviations of the Gaussians in pixels `(B,)`, 0 for no blur; None blurs no image.

    Returns:
        Float32 `(B, C, H, W)`.
    """
    planes, tables = images.numpy(), levels.numpy()
    out = np.empty(images.shape, np.float32)
    sigmas = sigma.tolist() if sigma is not None else [0.0] * len(images)
    widest = blur_radius(images.shape[2], images.shape[3])

    def map_row(row: int) -> None:
        side = 2 * min(widest, math.ceil(4 * sigmas[row])) + 1
        for plane, mapped in zip(planes[row], out[row], strict=True):
            cv2.LUT(plane, tables[row], mapped)
            if side > 1:
                cv2.GaussianBlur(mapped, (side, side), sigmas[row], mapped)

    _parallel_for(map_row, len(images))
    return torch.from_numpy(out)


_Resampler = Callable[[np.ndarray, np.ndarray, bool], object]
"""Function that resamples its first plane into its second, by nearest neighbor if the flag is set."""


def _resamplers(maps: Tensor, source: tuple[int, int], size: tuple[int, int], field: Tensor | None) -> list[_Resampler]:
    """Return the fastest exact resampler for the map of each image."""
    if field is not None:
        places = (source_coordinates(maps, size, field) + 1) * (torch.tensor(source[::-1]) / 2).view(2, 1, 1) - 0.5
        return [_remap(x, y) for x, y in places.numpy()]
    m, pixels = maps.double().numpy(), np.array(source[::-1], np.float64)
    scale = m[:, (0, 1), (0, 1)]
    edges = (m[:, :, 2, None] + np.abs(scale)[:, :, None] * (-1, 1) + 1) * pixels[:, None] / 2
    rounded = np.rint(edges)
    inside = (rounded[:, :, 0] >= 0) & (rounded[:, :, 1] <= pixels) & (rounded[:, :, 0] < rounded[:, :, 1])
    straight = (m[:, 0, 1] == 0) & (m[:, 1, 0] == 0) & inside.all(1) & (np.abs(edges - rounded) < 1e-3).all((1, 2))
    boxes, flips, matrices = rounded.astype(int).tolist(), (scale < 0).tolist(), _pixel_matrices(m, source, size)
    return [
        _resize(boxes[row], *flips[row]) if fits else _warp_affine(matrices[row])
        for row, fits in enumerate(straight.tolist())
    ]


def _resize(box: list[list[int]], mirror_x: bool, mirror_y: bool) -> _Resampler:
    """Return a resampler that resizes a box (left, right), (top, bottom) of whole pixels and mirrors the result."""
    (left, right), (top, bottom) = box
    flip = {(True, False): 1, (False, True): 0, (True, True): -1}.get((mirror_x, mirror_y))

    def resampler(plane: np.ndarray, warped: np.ndarray, nearest: bool) -> None:
        by = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR
        cv2.resize(plane[top:bottom, left:right], warped.shape[::-1], warped, interpolation=by)
        if flip is not None:
            cv2.flip(warped, flip, warped)

    return resampler


def _warp_affine(matrix: np.ndarray) -> _Resampler:
    """Return a resampler for an affine map `(2, 3)` from output to input pixels."""

    def resampler(plane: np.ndarray, warped: np.ndarray, nearest: bool) -> None:
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)
        cv2.warpAffine(plane, matrix, warped.shape[::-1], warped, flags)

    return resampler


def _remap(x: np.ndarray, y: np.ndarray) -> _Resampler:
    """Return a resampler for given input coordinates of each output pixel, float32 `(H, W)` each."""

    def resampler(plane: np.ndarray, warped: np.ndarray, nearest: bool) -> None:
        cv2.remap(plane, x, y, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR, warped)

    return resampler


def _pixel_matrices(m: np.ndarray, source: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return maps between [-1, 1] as maps between pixel indices, float64 `(B, 2, 3)`."""
    half, ends = np.array(source[::-1]) / 2, np.array(size[::-1], np.float64)
    first = m[:, :, 2] + m[:, :, :2] @ (1 / ends - 1)
    matrices: np.ndarray = np.concatenate([m[:, :, :2] * 2 / ends, first[:, :, None] + 1], 2) * half[:, None]
    matrices[:, :, 2] -= 0.5
    return matrices


def _parallel_for(work: Callable[[int], None], count: int) -> None:
    """Run `work` for each row of a batch, on as many threads as torch may use."""
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
