"""Check of a dataset: every file is read, every issue listed, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.records import SPLITS, DatasetIssue, Layout, Progress, SequenceRecord, Split
from trainables.data.settings import DataSettings
from trainables.data.store.build import assign_splits
from trainables.data.store.integrity import Tolerance, count_lost_sequences, enforce_tolerance, unreadable_issue
from trainables.data.store.parallel import parallel_map


@dataclass(frozen=True)
class DatasetReport:
    """Result of a dataset check.

    Attributes:
        root: the dataset's folder.
        sequences: number of listed sequences, readable or not.
        subjects: number of subjects in each split, all and those with labels.
        issues: all issues, those of the listing first, then those of the files in the dataset's order.
        refusal: reason why a study would refuse the dataset; "" when it is accepted.
    """

    root: Path
    sequences: int
    subjects: Mapping[Split, tuple[int, int]]
    issues: tuple[DatasetIssue, ...]
    refusal: str


def check(
    settings: DataSettings, root: Path, progress: Progress | None = None, *, workers: int | None = None
) -> DatasetReport:
    """List every issue of a dataset by reading all its files.

    Args:
        settings: the dataset's settings, including its tolerance.
        root: the dataset's folder.
        progress: callback after each sequence; None for none.
        workers: number of processes; None chooses by the amount of work.

    Raises:
        DataError: `root` does not hold the layout.
    """
    scan = settings.layout.scan(root)
    issues, refusal = list(scan.issues), ""
    records = [record for record in scan.records if settings.views is None or record.view in settings.views]
    parts: Mapping[str, Split] = {}
    try:
        parts, _ = assign_splits(root, records, settings, issues)
    except DataError as error:
        refusal = str(error)
    for done, found in enumerate(parallel_map(_IssueReader(settings.layout, root), records, workers), 1):
        issues.extend(found)
        if progress is not None:
            progress("checking", done, len(records))
    listed = len(scan.records) + count_lost_sequences(scan.issues)
    try:
        enforce_tolerance(root, issues, listed, Tolerance(settings.tolerance, settings.on_error))
    except DataError as error:
        refusal = refusal or str(error)
    labelled = {record.subject for record in records if record.labelled}
    subjects = {split: {name for name, part in parts.items() if part == split} for split in SPLITS}
    counts = {split: (len(names), len(names & labelled)) for split, names in subjects.items()}
    return DatasetReport(root, listed, counts, tuple(issues), refusal)


@dataclass(frozen=True)
class _IssueReader:
    """Reader of a sequence that returns its issues."""

    layout: Layout
    root: Path

    def __call__(self, record: SequenceRecord) -> tuple[DatasetIssue, ...]:
        try:
            return self.layout.read(self.root, record).issues
        except DataError as error:
            return (unreadable_issue(self.root, record, error),)
