"""Building a frame store: scan, split, decode, and write as it comes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.decode import Decoded, Decoder, decode_all
from trainables.data.frames import CLINICAL, IMAGES, INDEX, INDEX_DTYPE, MASKS, META, STORE_VERSION
from trainables.data.integrity import Tolerance, judge, lost_sequences, summary
from trainables.data.records import PHASES, SPLITS, Clip, Fault, Layout, Progress, Split
from trainables.data.settings import DataSettings
from trainables.data.splits import split_subjects
from trainables.errors import DataError, did_you_mean
from trainables.files import atomic_writer, write_json


def build_store(
    layout: Layout,
    root: Path,
    settings: DataSettings,
    key: bytes,
    folder: Path,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
) -> None:
    """Decode the dataset at `root` into a frame store in `folder`, which must be there and empty.

    Raises:
        DataError: the dataset is damaged, or loses more than its settings tolerate.
    """
    scan = layout.scan(root)
    faults = list(scan.faults)
    tolerance = Tolerance(settings.tolerance, settings.unreadable)
    listed = len(scan.clips) + lost_sequences(faults)
    judge(root, faults, listed, tolerance)  # before the long work, and again after it

    clips = _ordered(_of_views(root, scan.clips, settings.views))
    parts, split_by = _assign(root, clips, settings, faults)
    clips = [clip for clip in clips if clip.subject in parts]
    writer = _StoreWriter(folder, settings.image_size)
    decoder = Decoder(layout, root, settings.image_size, settings.stride)
    for clip, decoded in _decoded(decoder, clips, workers, progress):
        faults.extend(decoded.faults)
        if decoded.frames:
            faults.extend(writer.add(clip, decoded, SPLITS.index(parts[clip.subject])))
    writer.close()
    judge(root, faults, listed, tolerance)
    if not writer.index:
        raise DataError(f"{root}: no frame left to store; lower `stride` from 0, or check `views`")
    subjects = [hmac.new(key, name.encode(), "sha256").hexdigest()[:12] for name in writer.subjects]
    if len(set(subjects)) != len(subjects):
        raise DataError(f"{root}: two subjects have the same keyed hash; choose another key")
    writer.finish(layout, subjects, summary(faults), split_by)


def _of_views(root: Path, clips: Sequence[Clip], views: tuple[str, ...] | None) -> list[Clip]:
    present = {clip.view for clip in clips}
    for view in views or ():
        if view not in present:
            raise DataError(f"{root}: no sequence of view '{view}'{did_you_mean(view, present)}")
    return [clip for clip in clips if views is None or clip.view in views]


def _ordered(clips: Sequence[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (clip.subject, clip.view, clip.sequence))


def _assign(
    root: Path, clips: Sequence[Clip], settings: DataSettings, faults: list[Fault]
) -> tuple[Mapping[str, Split], str]:
    """The part of every subject that is in one, and whether the dataset's own split or the fractions decided."""
    official = {clip.subject: clip.split for clip in clips if clip.split is not None}
    empty = [split for split in SPLITS if split not in official.values()]
    if settings.split == "official" and empty:
        raise DataError(f"{root}: the official split leaves {', '.join(empty)} empty; set `split: fractions`")
    if settings.split == "fractions" or empty:
        if settings.split == "auto":
            text = f"the official split leaves {', '.join(empty)} empty; subjects are split by fractions"
            faults.append(Fault("", "", "no complete official split", text))
        return split_subjects([clip.subject for clip in clips], settings.fractions, settings.split_seed), "fractions"
    for subject in sorted({clip.subject for clip in clips} - official.keys()):
        text = f"subject '{subject}' is in no part of the official split"
        faults.append(Fault("", "", "subject in no split", text, "loss", "sequence"))
    return official, "official"


def _decoded(
    decoder: Decoder, clips: Sequence[Clip], workers: int | None, progress: Progress | None
) -> Iterator[tuple[Clip, Decoded]]:
    for done, (clip, decoded) in enumerate(zip(clips, decode_all(decoder, clips, workers), strict=True), 1):
        yield clip, decoded
        if progress is not None:
            progress("decoding", done, len(clips))


class _NpyWriter:
    """A `.npy` file that grows by whole items, digested as it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._shape: tuple[int, ...] | None = None
        self.count = 0
        self.digest = hashlib.sha256()

    def append(self, items: np.ndarray) -> None:
        """Add uint8 items `(n, ...)`; all have the first one's shape."""
        if self._shape is None:
            self._shape = items.shape[1:]
            self._header()
        data = np.ascontiguousarray(items)
        self._file.write(data.data)
        self.digest.update(data.data)
        self.count += len(items)

    def close(self, shape: tuple[int, ...]) -> None:
        """Write the final header; `shape` is an item's, for a file that nothing was added to."""
        self._shape = self._shape or shape
        self._file.seek(0)
        self._header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _header(self) -> None:
        # The format pads the header for the first axis to grow, so the final one is as long as the first.
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *(self._shape or ()))}
        np.lib.format.write_array_header_1_0(self._file, header)


class _StoreWriter:
    """Writes a store's files from decoded clips, in the order in which they come."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._images, self._masks = _NpyWriter(folder / IMAGES), _NpyWriter(folder / MASKS)
        self._channels: int | None = None
        self._levels: np.ndarray | None = None
        self._sequences: list[Clip] = []
        self._views: list[str] = []
        self.subjects: list[str] = []
        self.index: list[tuple[Any, ...]] = []

    def add(self, clip: Clip, decoded: Decoded, split: int) -> tuple[Fault, ...]:
        """Append a sequence; gives the fault when it does not fit those before it."""
        channels = decoded.images.shape[1]
        if self._levels is None:
            self._channels, self._levels = channels, np.zeros((channels, 256), np.int64)
        if channels != self._channels:
            text = f"{channels} channels, but the sequences before it have {self._channels}"
            file = next(iter(clip.files.values()), "")
            return (Fault(file, "", "channels differ", text, "loss", "sequence"),)
        if not self.subjects or self.subjects[-1] != clip.subject:
            self.subjects.append(clip.subject)
        if clip.view not in self._views:
            self._views.append(clip.view)
        spacing = _stored_spacing(clip, decoded.shape, self._size)
        for frame in decoded.frames:
            mask = -1
            if frame in decoded.masks:
                mask = self._masks.count
                self._masks.append(decoded.masks[frame][None])
            phase = PHASES.index(clip.labelled.get(frame, ""))
            place = (len(self.subjects) - 1, split, self._views.index(clip.view), len(self._sequences))
            self.index.append((*place, frame, phase, mask, spacing))
        self._images.append(decoded.images)
        self._sequences.append(clip)
        if SPLITS[split] == "train":
            for channel, plane in enumerate(np.moveaxis(decoded.images, 1, 0)):
                self._levels[channel] += np.bincount(plane.ravel(), minlength=256)
        return ()

    def close(self) -> None:
        """Finish the two large files."""
        self._images.close((self._channels or 1, self._size, self._size))
        self._masks.close((self._size, self._size))

    def finish(self, layout: Layout, subjects: Sequence[str], faults: Mapping[str, int], split_by: str) -> None:
        """Write the index, the clinical values and, last, what makes the folder a store."""
        index = np.array(self.index, INDEX_DTYPE)
        names = sorted({name for clip in self._sequences for name in clip.clinical})
        table = [[clip.clinical.get(name, np.nan) for name in names] for clip in self._sequences]
        clinical = np.array(table, np.float64).reshape(len(self._sequences), len(names))
        for name, values in ((INDEX, index), (CLINICAL, clinical)):
            with atomic_writer(self._folder / name) as file:
                np.save(file, values)
        mean, std = _moments(self._levels)
        meta = {
            "classes": list(layout.classes),
            "views": self._views,
            "clinical": names,
            "mean": mean,
            "std": std,
        }
        state = hashlib.sha256(json.dumps([STORE_VERSION, layout.name, meta], sort_keys=True).encode())
        for digest in (self._images.digest, self._masks.digest):
            state.update(digest.digest())
        state.update(index.tobytes())
        state.update(clinical.tobytes())
        meta |= {"version": STORE_VERSION, "fingerprint": state.hexdigest(), "subjects": list(subjects)}
        meta |= {"faults": dict(faults), "split_by": split_by}
        write_json(self._folder / META, meta)


def _stored_spacing(clip: Clip, shape: tuple[int, int], size: int) -> tuple[float, float]:
    if clip.spacing is None:
        return (np.nan, np.nan)
    return (clip.spacing[0] * shape[0] / size, clip.spacing[1] * shape[1] / size)


def _moments(levels: np.ndarray | None) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel in 0..1 from its histogram `(C, 256)` of grey levels."""
    if levels is None:
        return [], []
    grey = np.arange(256) / 255
    weights = levels / np.maximum(levels.sum(axis=1, keepdims=True), 1)
    mean = weights @ grey
    std = np.sqrt(np.maximum(weights @ grey**2 - mean**2, 0))
    return mean.tolist(), std.tolist()
