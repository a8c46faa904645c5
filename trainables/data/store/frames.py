"""Frame store: decoded uint8 frames and masks, memory-mapped, so that all processes share one copy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainables.common.errors import DataError
from trainables.common.seeds import numpy_generator
from trainables.data.records import GREY, SPLITS, Split
from trainables.data.store.checksums import CHECKSUMS, verify_checksums

STORE_VERSION = 5  # format of the files, and what readers make of a dataset's: `prepare` builds stores of others again
_OPENED = (3, 4, STORE_VERSION)  # version 3 has no checksums
IMAGES, MASKS, INDEX, CLINICAL, META = "images.npy", "masks.npy", "index.npy", "clinical.npy", "meta.json"

INDEX_DTYPE = np.dtype(
    [
        ("subject", np.int32),
        ("split", np.int8),
        ("view", np.int8),
        ("sequence", np.int32),
        ("frame", np.int32),
        ("phase", np.int8),
        ("mask", np.int64),
        ("stack", np.uint8),
        ("spacing", np.float32, (2,)),
        ("plane", np.float32, (3, 3)),
    ]
)


@dataclass(frozen=True, eq=False)
class FrameStore:
    """A decoded dataset. `FrameStore.open` maps it in milliseconds without copying it to memory.

    Example:
        >>> from trainables.data.store.synthetic_store import synthetic_store
        >>> store = synthetic_store(sequences=2, size=16, frames=5)
        >>> len(store), store.rows("train", labelled=True).shape, store.images[store.rows("val")].shape
        (30, (10,), (20, 1, 16, 16))

    Attributes:
        folder: folder of the store's files.
        images: uint8 frames `(N, C, S, S)`.
        masks: uint8 class indices `(M, S, S)`.
        index: structured array `(N,)`, one row per frame, frames of a sequence in order: `subject` (into `subjects`),
            `split` (into SPLITS), `view` (into `views`), `sequence`, `frame` (0-based in its sequence), `phase` (into
            PHASES), `mask` (row of `masks`, or -1), `stack` (1 where the sequence's frames are slices of one volume),
            `spacing` ((row, column) mm of the stored pixel; NaN when unknown), `plane` (position of the frame in the
            patient, in mm along DICOM's axes: centre of the first stored pixel, step to the next row, step to the next
            column; NaN when unknown).
        clinical: values `(sequences,)` by name, NaN when unknown: `ef` in percent, `edv` and `esv` in mL.
        subjects: keyed hashes of the identifiers, in the order of the unhashed ones.
        classes: names of the class indices; the first is "background".
        views: names of the views.
        mean: mean of each channel over the train split, in 0..1.
        std: standard deviation of each channel over the train split, in 0..1.
        fingerprint: SHA-256 of the content, independent of the dataset's folder and of the subjects' key.
        issues: number of dataset issues by kind.
        split_by: "official", "official, val by fractions" or "fractions".
        channel_names: names of the images' channels.
    """

    folder: Path
    images: np.ndarray = field(repr=False)
    masks: np.ndarray = field(repr=False)
    index: np.ndarray = field(repr=False)
    clinical: Mapping[str, np.ndarray] = field(repr=False)
    subjects: tuple[str, ...] = field(repr=False)
    classes: tuple[str, ...]
    views: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    issues: Mapping[str, int]
    split_by: str
    channel_names: tuple[str, ...] = GREY

    @classmethod
    def open(cls, folder: Path) -> FrameStore:
        """Map a prepared store.

        Raises:
            DataError: `folder` holds no store, or one of another format version.
        """
        try:
            meta: dict[str, Any] = json.loads((folder / META).read_text())
            version = meta.pop("version")
            if version not in _OPENED:
                text = f"frame store of another format version (found {version}, expected {STORE_VERSION})"
                raise DataError(f"{folder}: {text}. Fix: prepare the dataset again")
            names = meta.pop("clinical")
            images, masks, index, clinical = (_mapped(folder / name) for name in (IMAGES, MASKS, INDEX, CLINICAL))
            if version > 3 and not (folder / CHECKSUMS).is_file():
                raise ValueError(f"{CHECKSUMS} is missing")
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{folder}: not a frame store ({error}). Fix: remove the folder and prepare the dataset again"
            ) from None
        values = {name: clinical[:, column] for column, name in enumerate(names)}
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in meta.items()}
        return cls(folder, images, masks, index, values, **fields)

    def verify(self, *, stamped: bool = False) -> bool:
        """Read the store's files and compare them with the checksums of their blocks.

        Args:
            stamped: True to read nothing where sizes and modification times are those of the last verification.

        Returns:
            True; False for a store of an earlier version, which has no checksums, or one that was never written.

        Raises:
            DataError: the files have changed since they were written.
        """
        return verify_checksums(self.folder, stamped=stamped)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrameStore:
        """Return the store itself, as it is immutable."""
        return self

    def __reduce__(self) -> tuple[Callable[[Path], FrameStore], tuple[Path]]:
        """Pickle as the folder's name: another process maps the same pages instead of receiving a copy."""
        return FrameStore.open, (self.folder,)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.index)

    @property
    def channels(self) -> int:
        """Number C of image channels."""
        return int(self.images.shape[1])

    @property
    def image_size(self) -> int:
        """Side S of the square frames in pixels."""
        return int(self.images.shape[2])

    def rows(
        self, split: Split, *, labelled: bool | None = None, subjects: Sequence[int] | np.ndarray | None = None
    ) -> np.ndarray:
        """Return the rows of a split, int64, ascending.

        Args:
            split: "train", "val" or "test".
            labelled: True for frames with a mask only, False for frames without; None for both.
            subjects: indices into `subjects` of the subjects to use; None for all.
        """
        chosen = self.index["split"] == SPLITS.index(split)
        if labelled is not None:
            chosen &= (self.index["mask"] >= 0) == labelled
        if subjects is not None:
            chosen &= np.isin(self.index["subject"], np.asarray(subjects, np.int64))
        return np.flatnonzero(chosen)

    def split_subjects(self, split: Split, *, labelled: bool | None = None) -> np.ndarray:
        """Return the subjects of a split as sorted indices into `subjects`; `labelled` selects frames as in `rows`."""
        return np.unique(self.index["subject"][self.rows(split, labelled=labelled)]).astype(np.int64)

    def one_per_sequence(
        self, split: Split, seed: int, subjects: Sequence[int] | np.ndarray | None = None
    ) -> Callable[[int], np.ndarray]:
        """Return a function that draws one random frame per sequence in each epoch, as Saeed et al. (2022) pretrain.

        The frame is drawn from the frames without a mask, which the store keeps strictly between end-diastole and
        end-systole, and from all frames of a sequence that has none of those.

        Args:
            split: split of the sequences.
            seed: seed of the draw, together with the epoch.
            subjects: indices into `subjects` of the subjects to use; None for all.

        Returns:
            A function from the epoch to its rows, int64, one per sequence.
        """
        every = self.rows(split, subjects=subjects)
        unlabelled = self.index["mask"][every] < 0
        sequence = self.index["sequence"][every]
        candidate = unlabelled | ~np.isin(sequence, sequence[unlabelled])
        rows = every[candidate]
        rows = rows[np.argsort(sequence[candidate], kind="stable")]
        _, first, count = np.unique(self.index["sequence"][rows], return_index=True, return_counts=True)

        def choose(epoch: int) -> np.ndarray:
            share = numpy_generator(seed, "one_per_sequence", epoch).random(len(first))
            return np.asarray(rows[first + (share * count).astype(np.int64)])

        return choose


def _mapped(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty")
    array = np.load(path, mmap_mode="r" if _has_items(path) else None, allow_pickle=False)
    return np.asarray(array)


def _has_items(path: Path) -> bool:
    """Return False for an empty array, which cannot be memory-mapped."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, _ = read(file)
    return 0 not in shape
