"""Checking a whole dataset: every file read, every fault listed, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.records import SPLITS, Clip, DatasetIssue, Layout, Progress, Split
from trainables.data.settings import DataSettings
from trainables.data.store.build import assign
from trainables.data.store.integrity import Tolerance, judge, lost_sequences, unreadable_fault
from trainables.data.store.parallel import in_order


@dataclass(frozen=True)
class DatasetReport:
    """What a check of a whole dataset found.

    Attributes:
        root: of the dataset.
        sequences: listed, readable or not.
        subjects: number of subjects in each split, all and those with a label.
        faults: all of them: of the lists first, then of the files in the dataset's order.
        refusal: why a study would not run on it; "" when it would.
    """

    root: Path
    sequences: int
    subjects: Mapping[Split, tuple[int, int]]
    faults: tuple[DatasetIssue, ...]
    refusal: str


def check(
    settings: DataSettings, root: Path, progress: Progress | None = None, *, workers: int | None = None
) -> DatasetReport:
    """List every fault of a dataset, reading every file of it.

    Args:
        settings: which data, and what it may lose.
        root: of the dataset.
        progress: told of each sequence.
        workers: processes; None chooses by the amount of work.

    Raises:
        DataError: `root` does not hold the layout at all.
    """
    scan = settings.layout.scan(root)
    faults, refusal = list(scan.faults), ""
    clips = [clip for clip in scan.clips if settings.views is None or clip.view in settings.views]
    parts: Mapping[str, Split] = {}
    try:
        parts, _ = assign(root, clips, settings, faults)
    except DataError as error:
        refusal = str(error)
    for done, found in enumerate(in_order(_Faults(settings.layout, root), clips, workers), 1):
        faults.extend(found)
        if progress is not None:
            progress("checking", done, len(clips))
    listed = len(scan.clips) + lost_sequences(scan.faults)
    try:
        judge(root, faults, listed, Tolerance(settings.tolerance, settings.on_error))
    except DataError as error:
        refusal = refusal or str(error)
    labelled = {clip.subject for clip in clips if clip.labelled}
    subjects = {split: {name for name, part in parts.items() if part == split} for split in SPLITS}
    counts = {split: (len(names), len(names & labelled)) for split, names in subjects.items()}
    return DatasetReport(root, listed, counts, tuple(faults), refusal)


@dataclass(frozen=True)
class _Faults:
    """Reads a clip for what is wrong with it."""

    layout: Layout
    root: Path

    def __call__(self, clip: Clip) -> tuple[DatasetIssue, ...]:
        try:
            return self.layout.read(self.root, clip).faults
        except DataError as error:
            return (unreadable_fault(self.root, clip, error),)
