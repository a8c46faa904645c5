"""A dataset of one .npz file a patient: `images` uint8 `(T, H, W)`, `masks` uint8 `(T, H, W)`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts import LAYOUTS
from trainables.data.records import DatasetListing, Layout, Pixels, SequenceRecord


@dataclass(frozen=True)
class NpzFolder(Layout):
    """One `.npz` file a patient, with the arrays `images` and `masks`.

    Attributes:
        structure: name of the structure that the masks show.
    """

    title: ClassVar[str] = "Folder of npz files"

    structure: str = "blob"

    def scan(self, root: Path) -> DatasetListing:
        """List the patients."""
        files = sorted(root.glob("*.npz"))
        if not files:
            raise DataError(f"{root}: found no .npz file, expected one a patient")
        records = []
        for path in files:
            masks = self._load(path, "masks")
            records.append(
                SequenceRecord(
                    subject=path.stem,
                    sequence=path.stem,
                    view="axial",
                    frames=len(masks),
                    labelled={**dict.fromkeys(range(len(masks)), ""), 0: "ED", len(masks) - 1: "ES"},
                    files={"image": path.name},
                )
            )
        return DatasetListing(tuple(records), ("background", self.structure))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a patient."""
        path = root / record.files["image"]
        images, masks = self._load(path, "images"), self._load(path, "masks")
        if images.shape != masks.shape:
            raise DataError(f"{path}: found images {images.shape} and masks {masks.shape}, expected one shape")
        return Pixels(images[:, None], dict(enumerate(masks)))

    @staticmethod
    def _load(path: Path, name: str) -> np.ndarray:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                array: np.ndarray = arrays[name]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from None
        if array.dtype != np.uint8 or array.ndim != 3:
            raise DataError(f"{path}: {name}: found {array.dtype} {array.shape}, expected uint8 (T, H, W)")
        return array


LAYOUTS.add("npz", NpzFolder)
