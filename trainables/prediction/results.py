"""Results of a prediction in a folder: files of each image, and the record that says that they are complete."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.store.subject_hash import hash_subject
from trainables.prediction.measures import Measures
from trainables.prediction.sources import ImageSource

JOURNAL = "records.jsonl"
"""Name of the file of records."""

_FIELDS = ("name", "digest", "files", "measures", "frames", "subject", "view")


@dataclass(frozen=True)
class Outputs:
    """Files that a prediction writes for each image, beside the masks.

    Attributes:
        probabilities: probability of each class.
        disagreement: map of the networks' disagreement in bits.
        overlays: the image with outlines; videos always have one.
        network_size: masks at the size of the network's input.
        dicom_seg: masks of DICOM images as segmentation objects instead of NIfTI.
    """

    probabilities: bool = False
    disagreement: bool = False
    overlays: bool = False
    network_size: bool = False
    dicom_seg: bool = False


class ResultFolder:
    """Folder of predictions: `masks/`, `overlays/`, ..., and `records.jsonl` with a record of each complete image.

    A record is appended after the files that it lists, so that a killed run leaves an image either complete or without
    one. Several threads may complete images.

    Args:
        root: the folder.
        key: digest of everything but the image that determines the results: weights, preprocessing, options.
        subject_key: secret of the hashes that stand for a dataset's subjects.
    """

    def __init__(self, root: Path, key: str, subject_key: bytes) -> None:
        self.root, self.key, self._subject_key = root, key, subject_key
        self._journal = root / JOURNAL
        self._known = _read(self._journal)
        self._lock = threading.Lock()
        self._whole = not self._journal.exists() or self._journal.read_bytes()[-1:] in (b"", b"\n")

    def path(self, part: str, source: ImageSource, suffix: str) -> Path:
        """Return the file of an image in a part of the folder, such as "masks"."""
        return self.root / part / f"{source.output}{suffix}"

    def digest(self, source: ImageSource) -> str:
        """Return the digest of the image's results: of the key, and of name, size and time of its files."""
        files = sorted({str(source.path), *(str(source.root / f) for r in source.records for f in r.files.values())})
        state = hashlib.sha256(json.dumps([self.key, source.name]).encode())
        for path in map(Path, files):
            members = sorted(path.iterdir()) if path.is_dir() else [path]
            for member in members:
                status = member.stat() if member.exists() else None
                state.update(f"{member.name} {status and (status.st_size, status.st_mtime_ns)}".encode())
        return state.hexdigest()

    def record(self, source: ImageSource) -> dict[str, Any] | None:
        """Return the record of an image whose results are complete and up to date, or None."""
        found = self._known.get(source.name)
        if found is None or found["digest"] != self.digest(source):
            return None
        return found if self._present(found) else None

    def _present(self, record: Mapping[str, Any]) -> bool:
        """Return True if the files of a record are there, with their sizes."""
        try:
            return all((self.root / file).stat().st_size == size for file, size in record["files"].items())
        except OSError:
            return False

    def others(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the records of images of earlier calls whose results are still there, but for those named."""
        return {name: found for name, found in self._known.items() if name not in names and self._present(found)}

    def complete(self, source: ImageSource, files: list[Path], measures: Measures) -> dict[str, Any]:
        """Append the record of an image whose files are all there, and return it."""
        sizes = {file.relative_to(self.root).as_posix(): file.stat().st_size for file in files}
        record = source.records[0] if source.records else None
        found = {
            "name": source.name,
            "digest": self.digest(source),
            "files": sizes,
            "measures": _plain(measures),
            "frames": list(source.layout.frame_files(record)) if record is not None else [],
            "subject": record and hash_subject(record.subject, self._subject_key),
            "view": record and record.view,
        }
        line = json.dumps(found, default=np.ndarray.tolist).encode() + b"\n"
        with self._lock, self._journal.open("ab") as file:
            file.write(line if self._whole else b"\n" + line)
            self._whole = True
        return found


def _read(journal: Path) -> dict[str, dict[str, Any]]:
    """Return the last record of each image; a torn line counts as none."""
    found = {}
    for line in journal.read_bytes().splitlines() if journal.exists() else ():
        try:
            record = json.loads(line)
            found[record["name"]] = {name: record[name] for name in _FIELDS}
        except (ValueError, KeyError, TypeError):
            continue
    return found


def key_of(values: Mapping[str, Any]) -> str:
    """Return the digest of JSON-able values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain(measures: Measures) -> dict[str, Any]:
    values = {field.name: getattr(measures, field.name) for field in fields(measures)}
    heart = asdict(measures.ventricle) if measures.ventricle is not None else None
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in values.items()} | {"ventricle": heart}
