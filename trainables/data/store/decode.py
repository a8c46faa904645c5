"""Decoding one sequence to the frames that a store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.common.errors import DataError
from trainables.data.records import Clip, DatasetIssue, Layout, Phase
from trainables.data.store.integrity import unreadable_fault
from trainables.data.store.resize import PixelGrid


@dataclass(frozen=True)
class Decoded:
    """The kept frames of one sequence.

    Attributes:
        images: uint8 `(n, C, S, S)`.
        frames: their places in the sequence.
        masks: uint8 `(S, S)` by frame.
        spacing: (row, column) mm of a stored pixel, or None.
        planes: float64 `(n, 3, 3)` of the stored frames as in `Pixels`, or None.
        faults: found while reading; with a fault that skips the sequence, `frames` is empty.
    """

    images: np.ndarray
    frames: tuple[int, ...] = ()
    masks: Mapping[int, np.ndarray] | None = None
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    faults: tuple[DatasetIssue, ...] = ()


@dataclass(frozen=True)
class Decoder:
    """Reads a clip of a dataset, keeps the wanted frames, and resizes them.

    Attributes:
        layout: of the dataset.
        root: its folder.
        image_size: side of the stored frames in pixels.
        stride: as in `kept_frames`.
        pixel_mm: of the stored pixels; None stretches every image to the stored square.
        structures: class indices to keep, numbered anew from 1 in this order; None keeps all as they are.
    """

    layout: Layout
    root: Path
    image_size: int
    stride: int
    pixel_mm: float | None = None
    structures: tuple[int, ...] | None = None

    def __call__(self, clip: Clip) -> Decoded:
        """Decode a clip; one that cannot be read comes back empty, with its fault."""
        try:
            pixels = self.layout.read(self.root, clip)
        except DataError as error:
            return self._nothing(unreadable_fault(self.root, clip, error))
        shape = (pixels.images.shape[2], pixels.images.shape[3])
        if self.pixel_mm is None:
            grid = PixelGrid.stretched(shape, self.image_size)
        elif clip.spacing is None:
            file, text = next(iter(clip.files.values()), ""), "`pixel_mm` is set, but the spacing is unknown"
            return self._nothing(
                DatasetIssue(file, "", "cannot be resampled without spacing", text, "loss", "sequence")
            )
        else:
            grid = PixelGrid.centred(shape, self.image_size, clip.spacing, self.pixel_mm)
        frames = kept_frames(len(pixels.images), clip.labelled, sorted(pixels.masks), self.stride)
        return Decoded(
            grid.images(pixels.images[list(frames)]),
            frames,
            {frame: grid.mask(self._chosen(mask)) for frame, mask in pixels.masks.items()},
            grid.spacing(clip.spacing) if clip.spacing is not None else None,
            grid.planes(pixels.planes[list(frames)]) if pixels.planes is not None else None,
            pixels.faults,
        )

    def _nothing(self, fault: DatasetIssue) -> Decoded:
        return Decoded(np.zeros((0, 1, self.image_size, self.image_size), np.uint8), faults=(fault,))

    def _chosen(self, mask: np.ndarray) -> np.ndarray:
        if self.structures is None:
            return mask
        table = np.zeros(256, np.uint8)
        table[list(self.structures)] = np.arange(1, len(self.structures) + 1)
        return np.asarray(table[mask])


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
        cycle = len({phases[frame] for frame in ends}) > 1
        low, high = (ends[0], ends[-1]) if cycle else (-1, count)
        kept.update(frame for frame in range(low + stride, high, stride) if frame not in phases)
    return tuple(sorted(kept))
