"""What every dataset layout gives: sequences as it lists them, their pixels once read, and the faults it met."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

Split = Literal["train", "val", "test"]
Phase = Literal["ED", "ES", ""]
Severity = Literal["note", "loss", "damage"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
PHASES: tuple[Phase, ...] = ("", "ED", "ES")

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""

GREY = ("grey",)


@dataclass(frozen=True)
class Clip:
    """One image sequence as its layout lists it, moments of a cycle or slices of a volume; nothing is decoded yet.

    Attributes:
        subject: the dataset's own identifier of the patient. It never leaves the machine's memory: what is stored
            carries a keyed hash.
        sequence: the dataset's own identifier of the sequence, unique in the dataset.
        view: name of the view ("4CH").
        split: the part that the dataset's own split puts the subject in, or None.
        frames: number of frames where the layout tells, else None.
        labelled: the frames (0-based) that have a mask, with their phase of the cycle ("" when unknown).
        spacing: (row, column) distance of pixels in mm, or None when unknown.
        clinical: measured values by name: `ef` in percent, `edv` and `esv` in mL.
        moment: which of the moments in its file a volume is, from 0.
        stack: whether the frames are slices of one volume, which is then judged as a whole.
        files: the sequence's files by role, each a path relative to the dataset's root.
        outlines: traced contours of frames whose masks are not files: float64 `(points, 2)`, columns x and y in pixels.
        shape: (rows, columns) of its images where the layout tells, else None.
    """

    subject: str
    sequence: str
    view: str
    split: Split | None = None
    frames: int | None = None
    labelled: Mapping[int, Phase] = field(default_factory=dict)
    spacing: tuple[float, float] | None = None
    clinical: Mapping[str, float] = field(default_factory=dict)
    moment: int = 0
    stack: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    outlines: Mapping[int, np.ndarray] = field(default_factory=dict)
    shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class DatasetIssue:
    """Something in a dataset that is not as its layout says.

    Attributes:
        file: path relative to the dataset's root.
        place: where in the file ("row 12", "frame 40"), or "".
        kind: short name, the same for all faults of the kind; carries no identifier, so it may be stored and counted.
        message: what was found and what was expected.
        severity: `note` loses nothing; `loss` leaves something out; `damage` is a file that cannot be trusted, which
            stops a study unless its settings say to skip such files.
        skipped: what is left out ("sequence", "mask"), or "".
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
        masks: uint8 `(H, W)` class indices by frame.
        planes: float64 `(T, 3, 3)` where each image lies in the patient, in mm along DICOM's axes (left, posterior,
            head): the centre of its first pixel, the step of a row down, the step of a column to the right; None when
            unknown.
        faults: what was found while reading, for a sequence that could be read all the same.
    """

    images: np.ndarray
    masks: Mapping[int, np.ndarray] = field(default_factory=dict)
    planes: np.ndarray | None = None
    faults: tuple[DatasetIssue, ...] = ()


@dataclass(frozen=True)
class Scan:
    """What a dataset holds.

    Attributes:
        clips: its sequences.
        classes: names of the masks' class indices; the first is "background".
        channels: names of the images' channels.
        faults: what listing the sequences turned up.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    faults: tuple[DatasetIssue, ...] = ()
    channels: tuple[str, ...] = GREY


@dataclass(frozen=True)
class Layout(ABC):
    """A dataset's published form on disk.

    Attributes:
        title: what people call it.
    """

    title: ClassVar[str]

    @abstractmethod
    def scan(self, root: Path) -> Scan:
        """List the sequences without decoding them.

        Raises:
            DataError: `root` does not hold this layout.
        """

    @abstractmethod
    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode one sequence.

        Raises:
            DataError: one of its files is missing, damaged, or not what it should be; the message names the file.
        """
