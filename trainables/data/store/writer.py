"""Writer of a frame store that appends sequences as they are decoded and resumes after its process was killed."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.files import atomic_writer, write_text
from trainables.data.records import PHASES, SPLITS, DatasetListing, SequenceRecord
from trainables.data.store.checksums import write_checksums
from trainables.data.store.decode import DecodedSequence
from trainables.data.store.frames import CLINICAL, IMAGES, INDEX, INDEX_DTYPE, MASKS, META, STORE_VERSION
from trainables.data.store.npy_writer import NpyWriter, map_items

JOURNAL = "journal.jsonl"
_SYNC_BYTES = 64 << 20
_FINGERPRINT_VERSION = 2  # version of what the fingerprint covers; independent of the format of the files


class StoreWriter:
    """Writer of a store's files from decoded sequences, in the order in which they are added.

    At intervals it flushes the frames to disk, then describes them in a journal. A later writer in the same folder
    returns them in `kept`.

    Args:
        folder: folder to write to.
        channels: number of image channels.
        size: side of the square frames in pixels.

    Attributes:
        kept: decoded sequences that an earlier writer left, the first ones of the dataset in order, without their
            issues.
        kept_count: number of these sequences.
        with_issues: positions of those that had issues.
        subjects: identifiers of the added subjects.
        frames: number of added frames.
    """

    def __init__(self, folder: Path, channels: int, size: int) -> None:
        self._folder = folder
        self.kept: Iterator[DecodedSequence] = iter(())
        self.with_issues: frozenset[int] = frozenset()
        entries = _journal(folder / JOURNAL)
        item, plane = (channels, size, size), (size, size)
        images, masks = (sum(len(entry[name]) for entry in entries) for name in ("frames", "masked"))
        old_images, old_masks = map_items(folder / IMAGES, item, images), map_items(folder / MASKS, plane, masks)
        if old_images is None or old_masks is None or not _intact(entries, old_images, old_masks):
            entries, images, masks = [], 0, 0
        else:
            self.kept = _replayed(entries, old_images, old_masks)
            self.with_issues = frozenset(place for place, entry in enumerate(entries) if entry["issues"])
        self.kept_count = len(entries)
        self._images = NpyWriter(folder / IMAGES, item, images)
        self._masks = NpyWriter(folder / MASKS, plane, masks)
        self._log = (folder / JOURNAL).open("r+b" if entries else "wb")
        self._log.truncate(sum(entry["bytes"] for entry in entries))
        self._log.seek(0, os.SEEK_END)
        self._lines: list[bytes] = []
        self._unsynced = 0
        self._channels = channels
        self._levels = np.zeros((channels, 256), np.int64)
        self._sequences: list[SequenceRecord] = []
        self._views: list[str] = []
        self._index: list[np.ndarray] = []
        self.subjects: list[str] = []

    @property
    def frames(self) -> int:
        """Number of frames added so far."""
        return self._images.count

    def add(self, record: SequenceRecord, decoded: DecodedSequence, split: int, *, kept: bool = False) -> None:
        """Append a sequence; one without frames is only counted in the journal.

        Args:
            record: the sequence as its layout lists it.
            decoded: its frames, with as many channels as the store has.
            split: split of its subject, an index into SPLITS.
            kept: True for one of `self.kept`, whose frames are on disk already.
        """
        masks = dict(decoded.masks or {})
        masked = [frame for frame in decoded.frames if frame in masks]
        planes = np.stack([masks[frame] for frame in masked]) if masked else None
        if decoded.frames:
            self._index.append(self._rows(record, decoded, masked, split))
            self._sequences.append(record)
        for array, items in ((self._images, decoded.images), (self._masks, planes)):
            if items is not None and len(items):
                (array.add_existing if kept else array.append)(items)
        if SPLITS[split] == "train":
            for channel, plane in enumerate(np.moveaxis(decoded.images, 1, 0)):
                self._levels[channel] += np.bincount(plane.ravel(), minlength=256)
        if not kept:
            self._lines.append(_line(decoded, masked))
            self._unsynced += decoded.images.nbytes
            if self._unsynced > _SYNC_BYTES:
                self.sync()

    def sync(self) -> None:
        """Flush everything added to disk; the journal last, so that it never describes missing frames."""
        self._images.sync()
        self._masks.sync()
        self._log.writelines(self._lines)
        self._log.flush()
        os.fsync(self._log.fileno())
        self._lines, self._unsynced = [], 0

    def close(self) -> None:
        """Flush and close the two large files."""
        self.sync()
        self._log.close()
        self._images.close()
        self._masks.close()

    def finish(
        self, layout: str, scan: DatasetListing, classes: tuple[str, ...], subjects: Sequence[str], **extra: Any
    ) -> None:
        """Write the index, the clinical values and, last, the description that completes the store.

        Args:
            layout: registered name of the layout.
            scan: the dataset's listing.
            classes: names of the stored masks' classes.
            subjects: keyed hashes of `self.subjects`, in order.
            **extra: further entries of the store's description.
        """
        index = np.concatenate(self._index) if self._index else np.zeros(0, INDEX_DTYPE)
        names = sorted({name for record in self._sequences for name in record.clinical})
        table = [[record.clinical.get(name, np.nan) for name in names] for record in self._sequences]
        clinical = np.array(table, np.float64).reshape(len(self._sequences), len(names))
        for name, values in ((INDEX, index), (CLINICAL, clinical)):
            with atomic_writer(self._folder / name) as file:
                np.save(file, values)
        mean, std = _mean_and_std(self._levels)
        meta: dict[str, Any] = {
            "classes": list(classes),
            "views": self._views,
            "clinical": names,
            "mean": mean,
            "std": std,
            "channel_names": list(scan.channels),
        }
        state = hashlib.sha256(json.dumps([_FINGERPRINT_VERSION, layout, meta], sort_keys=True).encode())
        for digest in (self._images.digest, self._masks.digest):
            state.update(digest.digest())
        state.update(index.tobytes())
        state.update(clinical.tobytes())
        meta |= {"version": STORE_VERSION, "fingerprint": state.hexdigest(), "subjects": list(subjects), **extra}
        (self._folder / JOURNAL).unlink()
        text = json.dumps(meta, indent=2, sort_keys=True) + "\n"
        write_checksums(self._folder, (IMAGES, MASKS, INDEX, CLINICAL), {META: text.encode()})
        write_text(self._folder / META, text)

    def _rows(self, record: SequenceRecord, decoded: DecodedSequence, masked: Sequence[int], split: int) -> np.ndarray:
        """Return the index rows of a sequence."""
        if not self.subjects or self.subjects[-1] != record.subject:
            self.subjects.append(record.subject)
        if record.view not in self._views:
            self._views.append(record.view)
        rows = np.zeros(len(decoded.frames), INDEX_DTYPE)
        rows["subject"], rows["split"] = len(self.subjects) - 1, split
        rows["view"], rows["sequence"] = self._views.index(record.view), len(self._sequences)
        rows["frame"] = decoded.frames
        rows["phase"] = [PHASES.index(record.labelled.get(frame, "")) for frame in decoded.frames]
        place = {frame: self._masks.count + number for number, frame in enumerate(masked)}
        rows["mask"] = [place.get(frame, -1) for frame in decoded.frames]
        rows["stack"] = record.stack
        rows["spacing"] = decoded.spacing if decoded.spacing is not None else np.nan
        rows["plane"] = decoded.planes if decoded.planes is not None else np.nan
        return rows


def _line(decoded: DecodedSequence, masked: Sequence[int]) -> bytes:
    entry = {
        "frames": decoded.frames,
        "masked": masked,
        "spacing": decoded.spacing,
        "planes": decoded.planes.tolist() if decoded.planes is not None else None,
        "issues": len(decoded.issues),  # their messages name files, which a store must not contain
        "checksum": _checksum(decoded.images, *((decoded.masks or {})[frame] for frame in masked)),
    }
    return json.dumps(entry).encode() + b"\n"


def _journal(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a journal, each with its length in `bytes`, up to the first torn or older one."""
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
        if not line.endswith(b"\n") or not isinstance(entry, dict) or "checksum" not in entry:
            break
        entries.append(entry | {"bytes": len(line)})
    return entries


def _replayed(entries: Sequence[Mapping[str, Any]], images: np.ndarray, masks: np.ndarray) -> Iterator[DecodedSequence]:
    first, first_mask = 0, 0
    for entry in entries:
        count, masked = len(entry["frames"]), entry["masked"]
        spacing, planes = entry["spacing"], entry["planes"]
        yield DecodedSequence(
            images[first : first + count],
            tuple(entry["frames"]),
            {frame: masks[first_mask + number] for number, frame in enumerate(masked)},
            (spacing[0], spacing[1]) if spacing is not None else None,
            np.array(planes) if planes is not None else None,
        )
        first, first_mask = first + count, first_mask + len(masked)


def _intact(entries: Sequence[Mapping[str, Any]], images: np.ndarray, masks: np.ndarray) -> bool:
    """Return True where the frames on disk are those that the journal describes."""
    pairs = zip(entries, _replayed(entries, images, masks), strict=True)
    return all(entry["checksum"] == _checksum(kept.images, *(kept.masks or {}).values()) for entry, kept in pairs)


def _checksum(*arrays: np.ndarray) -> int:
    state = 0
    for array in arrays:
        state = zlib.crc32(np.ascontiguousarray(array).data, state)
    return state


def _mean_and_std(levels: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation in 0..1 of each channel from its histogram `(C, 256)` of grey levels."""
    grey = np.arange(256) / 255
    weights = levels / np.maximum(levels.sum(axis=1, keepdims=True), 1)
    mean = weights @ grey
    std = np.sqrt(np.maximum(weights @ grey**2 - mean**2, 0))
    return mean.tolist(), std.tolist()
