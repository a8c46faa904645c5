"""Decoder of one sequence to the frames that a store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.common.errors import UserError
from trainables.data.readers.limits import MAX_GIGABYTES
from trainables.data.records import DatasetIssue, Layout, Phase, SequenceRecord
from trainables.data.settings import DataSettings
from trainables.data.store.guard import guarded
from trainables.data.store.integrity import unreadable_issue
from trainables.data.store.resize import PixelGrid


@dataclass(frozen=True)
class DecodedSequence:
    """The kept frames of one sequence.

    Attributes:
        images: uint8 frames `(n, C, S, S)`.
        frames: indices of the frames in the sequence.
        masks: uint8 class indices `(S, S)` by frame.
        spacing: (row, column) spacing in mm of the stored pixels, or None.
        planes: positions of the stored frames as in `Pixels.planes`, float64 `(n, 3, 3)`, or None.
        issues: issues found while reading; an issue that skips the sequence leaves `frames` empty.
        colored: number of images in color that were turned gray, as in `Pixels.colored`.
    """

    images: np.ndarray
    frames: tuple[int, ...] = ()
    masks: Mapping[int, np.ndarray] | None = None
    spacing: tuple[float, float] | None = None
    planes: np.ndarray | None = None
    issues: tuple[DatasetIssue, ...] = ()
    colored: int = 0


@dataclass(frozen=True)
class Decoder:
    """Callable that reads a sequence, selects the frames to keep and resizes them.

    Attributes:
        layout: the dataset's layout.
        root: the dataset's folder.
        image_size: side of the stored frames in pixels.
        stride: step between kept frames without a mask, see `kept_frames`.
        pixel_mm: width of the stored pixels in mm; None stretches every image to the stored square.
        structures: class indices to keep, renumbered from 1 in this order; None keeps all unchanged.
        channels: number of channels of the dataset's images; None accepts any.
        max_gigabytes: largest size in GB of one decoded file.
        inspecting: True for a check, which reads by `Layout.inspect`; False for frames to store.
    """

    layout: Layout
    root: Path
    image_size: int
    stride: int
    pixel_mm: float | None = None
    structures: tuple[int, ...] | None = None
    channels: int | None = None
    max_gigabytes: float = MAX_GIGABYTES
    inspecting: bool = False

    @classmethod
    def of_settings(
        cls, settings: DataSettings, root: Path, structures: tuple[int, ...] | None, channels: int
    ) -> Decoder:
        """Return the decoder of a dataset with the given settings.

        Args:
            settings: the dataset's settings.
            root: the dataset's folder.
            structures: class indices to keep; None for all.
            channels: number of channels of the dataset's images.
        """
        size, stride, pixel_mm = settings.image_size, settings.stride, settings.pixel_mm
        return cls(settings.layout, root, size, stride, pixel_mm, structures, channels, settings.max_gigabytes)

    def __call__(self, record: SequenceRecord) -> DecodedSequence:
        """Decode a sequence; return an empty one with an issue where it cannot be decoded, for whatever reason."""
        try:
            with guarded(self.root, self.max_gigabytes):
                return self._decoded(record)
        except UserError as error:
            return self._nothing(unreadable_issue(self.root, record, error))

    def _decoded(self, record: SequenceRecord) -> DecodedSequence:
        read = self.layout.inspect if self.inspecting else self.layout.read
        pixels = read(self.root, record)
        found = pixels.images.shape[1]
        if self.channels not in (None, found):
            text = f"other channels than the dataset (found {found}, expected {self.channels})"
            file = next(iter(record.files.values()), "")
            return self._nothing(DatasetIssue(file, "", "channels differ", text, "loss", "sequence"))
        shape = (pixels.images.shape[2], pixels.images.shape[3])
        grid = PixelGrid.fitted(shape, self.image_size, record.spacing, self.pixel_mm)
        if grid is None:
            file, text = next(iter(record.files.values()), ""), "`pixel_mm` is set, but the spacing is unknown"
            return self._nothing(
                DatasetIssue(file, "", "cannot be resampled without spacing", text, "loss", "sequence")
            )
        frames = kept_frames(len(pixels.images), record.labelled, sorted(pixels.masks), self.stride)
        return DecodedSequence(
            grid.images(pixels.images[list(frames)]),
            frames,
            {frame: grid.mask(self._chosen(mask)) for frame, mask in pixels.masks.items()},
            grid.spacing(record.spacing) if record.spacing is not None else None,
            grid.planes(pixels.planes[list(frames)]) if pixels.planes is not None else None,
            pixels.issues,
            pixels.colored,
        )

    def _nothing(self, issue: DatasetIssue) -> DecodedSequence:
        shape = (0, self.channels or 1, self.image_size, self.image_size)
        return DecodedSequence(np.zeros(shape, np.uint8), issues=(issue,))

    def _chosen(self, mask: np.ndarray) -> np.ndarray:
        if self.structures is None:
            return mask
        table = np.zeros(256, np.uint8)
        table[list(self.structures)] = np.arange(1, len(self.structures) + 1)
        return np.asarray(table[mask])


def kept_frames(count: int, phases: Mapping[int, Phase], masked: Sequence[int], stride: int) -> tuple[int, ...]:
    """Return the indices of the frames that a store keeps.

    Example:
        >>> kept_frames(10, {2: "ED", 8: "ES"}, masked=[2, 8], stride=2)
        (2, 4, 6, 8)

    Args:
        count: number of frames of the sequence.
        phases: phase by frame, for the frames that the layout lists as labelled.
        masked: frames that have a mask; all are kept.
        stride: step between the other kept frames, also those whose mask was lost: strictly between end-diastole and
            end-systole where both are known and inside the sequence, else over the full sequence; a single frame is
            kept at any step. 0 keeps none.
    """
    kept = set(masked)
    if stride:
        ends = sorted(frame for frame, phase in phases.items() if phase and frame < count)
        cycle = len({phases[frame] for frame in ends}) > 1
        low, high = (ends[0], ends[-1]) if cycle else (-1 if count > 1 else -stride, count)
        kept.update(range(low + stride, high, stride))
    return tuple(sorted(kept))
