"""Check of a dataset: every file is read, every issue listed, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.layouts.slice_axes import count_slice_axes
from trainables.data.records import SPLITS, DatasetIssue, Layout, Progress, SequenceRecord, Split
from trainables.data.settings import DataSettings
from trainables.data.store.integrity import (
    Tolerance,
    count_lost_sequences,
    enforce_tolerance,
    missing_labels,
    require_folder,
    unreadable_issue,
)
from trainables.data.store.parallel import parallel_map
from trainables.data.store.selection import select


@dataclass(frozen=True)
class DatasetReport:
    """Result of a dataset check.

    Attributes:
        root: the dataset's folder.
        sequences: number of listed sequences, readable or not.
        subjects: number of subjects in each split, all and those with labels.
        issues: all issues, those of the listing first, then those of the files in the dataset's order.
        refusal: reason why a study would refuse the dataset; "" when it is accepted.
        warning: reason why a study could use the dataset for pretraining only; "" without one.
        slice_axes: number of volumes that are cut into slices along each axis of their files' arrays.
    """

    root: Path
    sequences: int
    subjects: Mapping[Split, tuple[int, int]]
    issues: tuple[DatasetIssue, ...]
    refusal: str
    warning: str = ""
    slice_axes: Mapping[str, int] = field(default_factory=dict)


def check(
    settings: DataSettings,
    root: Path,
    progress: Progress | None = None,
    *,
    finetune: bool = False,
    workers: int | None = None,
) -> DatasetReport:
    """List every issue of a dataset by reading all its files.

    Args:
        settings: the dataset's settings, including its tolerance.
        root: the dataset's folder.
        progress: callback after each sequence; None for none.
        finetune: True to refuse a dataset without labels in one of its splits, which fine-tuning needs; False only
            warns, as the dataset can be used for pretraining.
        workers: number of processes; None chooses by the amount of work.

    Raises:
        DataError: `root` does not exist or does not hold the layout.
    """
    require_folder(root, settings.layout.title)
    scan = settings.layout.scan(root)
    issues = list(scan.issues)
    records = [record for record in scan.records if settings.views is None or record.view in settings.views]
    parts: Mapping[str, Split] = {}
    refusal = warning = ""
    try:
        parts = select(root, scan, settings, issues).splits
    except DataError as error:
        refusal = str(error)
    for done, found in enumerate(parallel_map(_IssueReader(settings.layout, root), records, workers), 1):
        issues.extend(found)
        if progress is not None:
            progress("reading files", done, len(records))
    listed = len(scan.records) + count_lost_sequences(scan.issues)
    counts = _count_subjects(records, parts)
    try:
        enforce_tolerance(root, issues, listed, Tolerance(settings.tolerance, settings.on_error))
        warning = "" if refusal else missing_labels(root, {split: counts[split][1] for split in SPLITS})
    except DataError as error:
        refusal = refusal or str(error)
    if warning and (finetune or not counts["train"][0]):
        refusal, warning = warning, ""
    return DatasetReport(root, listed, counts, tuple(issues), refusal, warning, count_slice_axes(records))


def _count_subjects(records: Sequence[SequenceRecord], parts: Mapping[str, Split]) -> dict[Split, tuple[int, int]]:
    """Return the number of subjects in each split, all and those with labels."""
    labelled = {record.subject for record in records if record.labelled}
    subjects = {split: {name for name, part in parts.items() if part == split} for split in SPLITS}
    return {split: (len(names), len(names & labelled)) for split, names in subjects.items()}


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
