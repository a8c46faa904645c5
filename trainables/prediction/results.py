"""Results of a prediction in a folder: files of each image, and the record that says that they are complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.files import write_json
from trainables.prediction.measures import Measures
from trainables.prediction.sources import ImageSource


@dataclass(frozen=True)
class Outputs:
    """Files that a prediction writes for each image, beside the masks.

    Attributes:
        probabilities: probability of each class.
        disagreement: where the networks disagree.
        overlays: the image with outlines; videos always have one.
        network_size: masks at the size of the network's input.
        dicom_seg: masks of DICOM images as segmentation objects instead of NIfTI.
    """

    probabilities: bool = False
    disagreement: bool = False
    overlays: bool = False
    network_size: bool = False
    dicom_seg: bool = False


@dataclass(frozen=True)
class ResultFolder:
    """Folder of predictions: `masks/`, `overlays/`, ..., and `records/` with a record of each complete image.

    A record is written after the files that it lists, so that a killed run leaves an image either complete or without
    one.

    Attributes:
        root: the folder.
        key: digest of everything but the image that determines the results: weights, preprocessing, options.
    """

    root: Path
    key: str

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
        try:
            found: dict[str, Any] = json.loads(self._record(source).read_text())
            sizes = {file: (self.root / file).stat().st_size for file in found["files"]}
        except (OSError, ValueError, KeyError):
            return None
        return found if found["digest"] == self.digest(source) and sizes == found["files"] else None

    def complete(self, source: ImageSource, files: list[Path], measures: Measures) -> dict[str, Any]:
        """Write the record of an image whose files are all there, and return it."""
        sizes = {file.relative_to(self.root).as_posix(): file.stat().st_size for file in files}
        content = {"digest": self.digest(source), "files": sizes, "measures": _plain(asdict(measures))}
        write_json(self._record(source), content)
        return content

    def _record(self, source: ImageSource) -> Path:
        return self.root / "records" / f"{source.output}.json"


def key_of(values: Mapping[str, Any]) -> str:
    """Return the digest of JSON-able values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value
