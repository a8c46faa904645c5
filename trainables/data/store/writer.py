"""Writing a frame store as its sequences are decoded, so that a killed writer loses little."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.files import atomic_writer, write_json
from trainables.data.records import PHASES, SPLITS, Clip, Scan
from trainables.data.store.decode import Decoded
from trainables.data.store.frames import CLINICAL, IMAGES, INDEX, INDEX_DTYPE, MASKS, META, STORE_VERSION
from trainables.data.store.npy_writer import GrowingArray, stored_items

JOURNAL = "journal.jsonl"
_SYNC_BYTES = 64 << 20


class StoreWriter:
    """Writes a store's files from decoded clips, in the order in which they come.

    Every so often it has the disk hold the frames and then, in a journal, what they are. A later writer in the same
    folder finds them in `kept`.

    Args:
        folder: of the store to be.
        channels: of the images.
        size: side of the frames.

    Attributes:
        kept: the decoded clips that an earlier writer left, the first clips of the dataset in their order, without
            their faults.
        clips_kept: how many these are.
        faulty: which of these had faults.
        subjects: identifiers of those added.
        frames: number of those added.
    """

    def __init__(self, folder: Path, channels: int, size: int) -> None:
        self._folder = folder
        self.kept: Iterator[Decoded] = iter(())
        self.faulty: frozenset[int] = frozenset()
        entries = _journal(folder / JOURNAL)
        item, plane = (channels, size, size), (size, size)
        images, masks = (sum(len(entry[name]) for entry in entries) for name in ("frames", "masked"))
        old_images, old_masks = stored_items(folder / IMAGES, item, images), stored_items(folder / MASKS, plane, masks)
        if old_images is None or old_masks is None:
            entries, images, masks = [], 0, 0
        else:
            self.kept = _replayed(entries, old_images, old_masks)
            self.faulty = frozenset(place for place, entry in enumerate(entries) if entry["faults"])
        self.clips_kept = len(entries)
        self._images = GrowingArray(folder / IMAGES, item, images)
        self._masks = GrowingArray(folder / MASKS, plane, masks)
        self._log = (folder / JOURNAL).open("r+b" if entries else "wb")
        self._log.truncate(sum(entry["bytes"] for entry in entries))
        self._log.seek(0, os.SEEK_END)
        self._lines: list[bytes] = []
        self._unsynced = 0
        self._channels = channels
        self._levels = np.zeros((channels, 256), np.int64)
        self._sequences: list[Clip] = []
        self._views: list[str] = []
        self._index: list[np.ndarray] = []
        self.subjects: list[str] = []

    @property
    def frames(self) -> int:
        """How many have been added."""
        return self._images.count

    def add(self, clip: Clip, decoded: Decoded, split: int, *, kept: bool = False) -> None:
        """Append a sequence; one without frames leaves its faults in the journal.

        Args:
            clip: as listed.
            decoded: its frames, with the channels that the store has.
            split: its subject's, an index into SPLITS.
            kept: whether the decoded clip is one of `self.kept`.
        """
        masks = dict(decoded.masks or {})
        masked = [frame for frame in decoded.frames if frame in masks]
        planes = np.stack([masks[frame] for frame in masked]) if masked else None
        if decoded.frames:
            self._index.append(self._rows(clip, decoded, masked, split))
            self._sequences.append(clip)
        for array, items in ((self._images, decoded.images), (self._masks, planes)):
            if items is not None and len(items):
                (array.digested if kept else array.append)(items)
        if SPLITS[split] == "train":
            for channel, plane in enumerate(np.moveaxis(decoded.images, 1, 0)):
                self._levels[channel] += np.bincount(plane.ravel(), minlength=256)
        if not kept:
            self._lines.append(_line(decoded, masked))
            self._unsynced += decoded.images.nbytes
            if self._unsynced > _SYNC_BYTES:
                self.sync()

    def sync(self) -> None:
        """Have the disk hold all that was added; the journal last, so that it never says too much."""
        self._images.sync()
        self._masks.sync()
        self._log.writelines(self._lines)
        self._log.flush()
        os.fsync(self._log.fileno())
        self._lines, self._unsynced = [], 0

    def close(self) -> None:
        """Finish the two large files."""
        self.sync()
        self._log.close()
        self._images.close()
        self._masks.close()

    def finish(self, layout: str, scan: Scan, classes: tuple[str, ...], subjects: Sequence[str], **said: Any) -> None:
        """Write the index, the clinical values and, last, what makes the folder a store.

        Args:
            layout: its name.
            scan: of the dataset.
            classes: of the stored masks.
            subjects: what stands for `self.subjects`.
            said: of the preparation, for the store's description.
        """
        index = np.concatenate(self._index) if self._index else np.zeros(0, INDEX_DTYPE)
        names = sorted({name for clip in self._sequences for name in clip.clinical})
        table = [[clip.clinical.get(name, np.nan) for name in names] for clip in self._sequences]
        clinical = np.array(table, np.float64).reshape(len(self._sequences), len(names))
        for name, values in ((INDEX, index), (CLINICAL, clinical)):
            with atomic_writer(self._folder / name) as file:
                np.save(file, values)
        mean, std = _moments(self._levels)
        meta: dict[str, Any] = {
            "classes": list(classes),
            "views": self._views,
            "clinical": names,
            "mean": mean,
            "std": std,
            "channel_names": list(scan.channels),
        }
        state = hashlib.sha256(json.dumps([STORE_VERSION, layout, meta], sort_keys=True).encode())
        for digest in (self._images.digest, self._masks.digest):
            state.update(digest.digest())
        state.update(index.tobytes())
        state.update(clinical.tobytes())
        meta |= {"version": STORE_VERSION, "fingerprint": state.hexdigest(), "subjects": list(subjects), **said}
        (self._folder / JOURNAL).unlink()
        write_json(self._folder / META, meta)

    def _rows(self, clip: Clip, decoded: Decoded, masked: Sequence[int], split: int) -> np.ndarray:
        """The index of a sequence."""
        if not self.subjects or self.subjects[-1] != clip.subject:
            self.subjects.append(clip.subject)
        if clip.view not in self._views:
            self._views.append(clip.view)
        rows = np.zeros(len(decoded.frames), INDEX_DTYPE)
        rows["subject"], rows["split"] = len(self.subjects) - 1, split
        rows["view"], rows["sequence"] = self._views.index(clip.view), len(self._sequences)
        rows["frame"] = decoded.frames
        rows["phase"] = [PHASES.index(clip.labelled.get(frame, "")) for frame in decoded.frames]
        place = {frame: self._masks.count + number for number, frame in enumerate(masked)}
        rows["mask"] = [place.get(frame, -1) for frame in decoded.frames]
        rows["stack"] = clip.stack
        rows["spacing"] = decoded.spacing if decoded.spacing is not None else np.nan
        rows["plane"] = decoded.planes if decoded.planes is not None else np.nan
        return rows


def _line(decoded: Decoded, masked: Sequence[int]) -> bytes:
    entry = {
        "frames": decoded.frames,
        "masked": masked,
        "spacing": decoded.spacing,
        "planes": decoded.planes.tolist() if decoded.planes is not None else None,
        "faults": len(decoded.faults),  # their texts name files, which no store may
    }
    return json.dumps(entry).encode() + b"\n"


def _journal(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal, each with its length in `bytes`; a torn one ends it."""
    entries = []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            break
        entries.append(entry | {"bytes": len(line)})
    return entries


def _replayed(entries: Sequence[Mapping[str, Any]], images: np.ndarray, masks: np.ndarray) -> Iterator[Decoded]:
    first, first_mask = 0, 0
    for entry in entries:
        count, masked = len(entry["frames"]), entry["masked"]
        spacing, planes = entry["spacing"], entry["planes"]
        yield Decoded(
            images[first : first + count],
            tuple(entry["frames"]),
            {frame: masks[first_mask + number] for number, frame in enumerate(masked)},
            (spacing[0], spacing[1]) if spacing is not None else None,
            np.array(planes) if planes is not None else None,
        )
        first, first_mask = first + count, first_mask + len(masked)


def _moments(levels: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel in 0..1 from its histogram `(C, 256)` of grey levels."""
    grey = np.arange(256) / 255
    weights = levels / np.maximum(levels.sum(axis=1, keepdims=True), 1)
    mean = weights @ grey
    std = np.sqrt(np.maximum(weights @ grey**2 - mean**2, 0))
    return mean.tolist(), std.tolist()
