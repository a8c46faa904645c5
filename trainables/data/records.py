"""Records that every dataset layout returns: its sequences, their decoded pixels, and the issues found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from trainables.data.readers.grey import GreyRule
from trainables.data.readers.grid import Grid

Split = Literal["train", "val", "test"]
Phase = Literal["ED", "ES", ""]
Severity = Literal["note", "loss", "damage"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
PHASES: tuple[Phase, ...] = ("", "ED", "ES")

Progress = Callable[[str, int, int], None]
"""Callback with (name of the step, items done, items in total)."""

GREY = ("grey",)
RGB = ("red", "green", "blue")


@dataclass(frozen=True)
class SequenceRecord:
    """One image sequence as its layout lists it, frames over time or slices of a volume; nothing is decoded yet.

    Attributes:
        subject: the dataset's identifier of the patient. It is never stored: a frame store holds a keyed hash.
        sequence: the dataset's identifier of the sequence, unique in the dataset.
        view: name of the view ("4CH").
        split: the subject's official split, or None.
        frames: number of frames; None where the layout does not know it before decoding.
        labelled: phase of the cardiac cycle by index (from 0) of each frame that has a mask; "" when unknown.
        spacing: (row, column) pixel spacing in mm, or None when unknown.
        clinical: measured values by name: `ef` in percent, `edv` and `esv` in mL.
        timepoint: index (from 0) of a volume's time point in an image file that holds several.
        stack: True where the frames are slices of one volume, which is then evaluated as one image.
        slice_axis: axis of the file's array, from 0, along which a volume is cut into slices; None where the frames are
            not cut from a volume.
        files: paths relative to the dataset's folder by role ("image", "mask", ...).
        outlines: traced contours by frame, for masks that are not files: float64 `(points, 2)`, columns x and y in
            pixels.
        shape: (rows, columns) of the images; None where the layout does not know it before decoding.
    """

    subject: str
    sequence: str
    view: str
    split: Split | None = None
    frames: int | None = None
    labelled: Mapping[int, Phase] = field(default_factory=dict)
    spacing: tuple[float, float] | None = None
    clinical: Mapping[str, float] = field(default_factory=dict)
    timepoint: int = 0
    stack: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    outlines: Mapping[int, np.ndarray] = field(default_factory=dict)
    shape: tuple[int, int] | None = None
    slice_axis: int | None = None


@dataclass(frozen=True)
class DatasetIssue:
    """A difference between a dataset and its layout's specification.

    Example:
        >>> print(DatasetIssue("FileList.csv", "row 12", "missing video", "no such file", "loss", "sequence"))
        FileList.csv, row 12: no such file (skipped: sequence)

    Attributes:
        file: path relative to the dataset's folder.
        place: position in the file ("row 12", "frame 40"), or "".
        kind: short name shared by all issues of the kind; free of identifiers, so that it may be stored and counted.
        message: the problem, with the values found and expected.
        severity: `note` loses nothing that the settings ask for; `loss` leaves data out; `damage` is a file that cannot
            be trusted, which stops a study unless its settings say to skip such files.
        skipped: name of the data left out ("sequence", "mask", "row"), or "".
    """

    file: str
    place: str
    kind: str
    message: str
    severity: Severity = "note"
    skipped: str = ""

    def __str__(self) -> str:
        where = ", ".join(filter(None, (self.file, self.place)))
        return (f"{where}: " if where else "") + self.message + (f" (skipped: {self.skipped})" if self.skipped else "")


@dataclass(frozen=True)
class Pixels:
    """A decoded sequence, upright as it is displayed (depth down the rows).

    Attributes:
        images: uint8 `(T, C, H, W)`.
        masks: uint8 class indices `(H, W)` by frame.
        planes: float64 `(T, 3, 3)`, the position of each image in the patient, in mm along DICOM's axes (left,
            posterior, head): centre of the first pixel, step to the next row, step to the next column; None when
            unknown.
        issues: issues found while reading a sequence that is usable all the same.
        colored: number of images in color that were turned gray, where `Layout.inspect` counts them; else 0.
    """

    images: np.ndarray
    masks: Mapping[int, np.ndarray] = field(default_factory=dict)
    planes: np.ndarray | None = None
    issues: tuple[DatasetIssue, ...] = ()
    colored: int = 0


@dataclass(frozen=True)
class DatasetListing:
    """Contents of a dataset, listed without decoding.

    Attributes:
        records: the sequences.
        classes: names of the masks' class indices; the first is "background".
        issues: issues found while listing.
        channels: names of the images' channels.
    """

    records: tuple[SequenceRecord, ...]
    classes: tuple[str, ...]
    issues: tuple[DatasetIssue, ...] = ()
    channels: tuple[str, ...] = GREY


@dataclass(frozen=True)
class Layout(ABC):
    """A dataset's published form on disk.

    A subclass is one file; its fields are the layout's settings in a study file. Register it in
    `trainables.data.layouts.LAYOUTS` or as a plug-in.

    Attributes:
        title: the dataset's published name.
        masks: place of the reference masks, for messages; "" where the layout has none.
        grey: rule by which `read` turns the files' values into gray levels.
        suffixes: ends of the names of image files that `records_of` takes, in lower case.
    """

    title: ClassVar[str]
    masks: ClassVar[str] = ""
    grey: ClassVar[GreyRule] = "uint8"
    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def scan(self, root: Path) -> DatasetListing:
        """List the sequences without decoding them.

        Raises:
            DataError: `root` does not hold this layout.
        """

    @abstractmethod
    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode one sequence.

        Raises:
            DataError: one of its files is missing, damaged or of unexpected content; the message names the file.
        """

    def inspect(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode one sequence for a check, which stores no pixels; by default as `read`.

        A layout that turns colors gray may count the colored images here, and return gray values off by one level.

        Raises:
            DataError: as `read`.
        """
        return self.read(root, record)

    def takes(self, path: Path) -> bool:
        """Return True for an image file, or a folder of slices, that `records_of` takes; by default by the suffix."""
        return path.name.lower().endswith(self.suffixes) and path.is_file()

    def records_of(self, path: Path) -> Sequence[SequenceRecord]:
        """List the sequences of an image that lies outside of a dataset, for `read` with the image's folder.

        Subjects and views are "", and there are no masks. A file of several volumes has a record for each.

        Args:
            path: a file or folder that the layout takes.

        Raises:
            DataError: the image has no readable header.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no single images")

    def frame_files(self, record: SequenceRecord) -> Sequence[str]:
        """Return the files of a sequence's frames, in order, where each has a file of its own; empty for others."""
        return ()

    def grid(self, root: Path, record: SequenceRecord) -> Grid | None:
        """Return the grid whose `voxels` puts a sequence's frames back into its file's array; None for other files.

        Raises:
            DataError: the file has no readable header.
        """
        return None
