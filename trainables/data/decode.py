"""Decoding one sequence to the frames that a store keeps, in this process or in others."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainables.data.integrity import unreadable_fault
from trainables.data.records import Clip, Fault, Layout, Phase
from trainables.errors import DataError

_CLIPS_PER_WORKER = 200  # starting a process costs about as much as decoding so many small videos


@dataclass(frozen=True)
class Decoded:
    """The kept frames of one sequence.

    Attributes:
        images: uint8 `(n, C, S, S)`.
        frames: their places in the sequence.
        masks: uint8 `(S, S)` by frame.
        shape: (H, W) before resizing.
        faults: found while reading; with a fault that skips the sequence, `frames` is empty.
    """

    images: np.ndarray
    frames: tuple[int, ...]
    masks: Mapping[int, np.ndarray]
    shape: tuple[int, int]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Decoder:
    """Reads a clip of a dataset, keeps the wanted frames, and resizes them."""

    layout: Layout
    root: Path
    image_size: int
    stride: int

    def __call__(self, clip: Clip) -> Decoded:
        """Decode a clip; one that cannot be read comes back empty, with its fault."""
        try:
            pixels = self.layout.read(self.root, clip)
        except DataError as error:
            nothing = np.zeros((0, 1, self.image_size, self.image_size), np.uint8)
            return Decoded(nothing, (), {}, (0, 0), (unreadable_fault(self.root, clip, error),))
        frames = kept_frames(len(pixels.images), clip.labelled, sorted(pixels.masks), self.stride)
        height, width = pixels.images.shape[2:]
        return Decoded(
            resize_images(pixels.images[list(frames)], self.image_size),
            frames,
            {frame: resize_mask(mask, self.image_size) for frame, mask in pixels.masks.items()},
            (height, width),
            pixels.faults,
        )


def kept_frames(count: int, phases: Mapping[int, Phase], masked: Sequence[int], stride: int) -> tuple[int, ...]:
    """The frames of a sequence that a store keeps.

    Args:
        count: frames of the sequence.
        phases: of the frames that the layout lists as labelled.
        masked: frames that have a mask; all are kept.
        stride: every k-th of the others is kept, strictly between end-diastole and end-systole where both are known and
            inside the sequence, else over all of it; 0 keeps none.
    """
    kept = set(masked)
    if stride:
        ends = sorted(frame for frame, phase in phases.items() if phase and frame < count)
        low, high = (ends[0], ends[-1]) if len(ends) > 1 else (-1, count)
        kept.update(frame for frame in range(low + stride, high, stride) if frame not in phases)
    return tuple(sorted(kept))


def resize_images(images: np.ndarray, size: int) -> np.ndarray:
    """Uint8 `(n, C, H, W)` to `(n, C, size, size)`: area averaging when a side shrinks, else bilinear."""
    count, channels, height, width = images.shape
    if (height, width) == (size, size):
        return images
    method = cv2.INTER_AREA if max(height, width) > size else cv2.INTER_LINEAR
    resized = np.empty((count, channels, size, size), np.uint8)
    for target, source in zip(resized.reshape(-1, size, size), images.reshape(-1, height, width), strict=True):
        cv2.resize(source, (size, size), dst=target, interpolation=method)
    return resized


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Uint8 `(H, W)` to `(size, size)`, each pixel from the nearest one by its centre."""
    if mask.shape == (size, size):
        return mask
    return np.asarray(cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT))


def decode_all(decoder: Decoder, clips: Sequence[Clip], workers: int | None) -> Iterator[Decoded]:
    """Decode clips in order.

    Args:
        decoder: what to do with each.
        clips: in the order wanted.
        workers: processes; None takes as many as there are cores and work for, and 1 decodes in this process.
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, len(clips) // _CLIPS_PER_WORKER)
    if workers <= 1:
        yield from map(decoder, clips)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(decoder, clips, chunksize=8)
