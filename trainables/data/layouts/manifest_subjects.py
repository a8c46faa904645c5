"""Checks of a manifest across its rows: splits of subjects, repeated files, subjects that differ by case only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from trainables.data.layouts.manifest_rows import SPLIT_NAMES, Row
from trainables.data.records import DatasetIssue, Split


def drop_repeated_files(name: str, rows: Sequence[Row], issues: list[DatasetIssue]) -> list[Row]:
    """Drop rows that list a file again: its frame would count twice, or be in both training and test data.

    Args:
        name: file name of the manifest, for the issues.
        rows: the valid rows.
        issues: list that found issues are appended to.
    """
    owners: dict[str, tuple[str, ...]] = {}
    seen: dict[tuple[str, int | None], int] = {}
    kept = []
    for row in rows:
        owner = (row.subject, row.view, row.sequence)
        frame = None if row.single else row.frame
        if owners.setdefault(row.image, owner) != owner or (row.image, frame) in seen:
            line = seen.get((row.image, frame))
            text = f"{row.image} is listed in row {line}" if line else f"{row.image} is listed as another sequence's"
            issues.append(DatasetIssue(name, f"row {row.line}", "listed twice", text, "loss", "row"))
            continue
        seen[row.image, frame] = row.line
        kept.append(row)
    return kept


def note_similar_subjects(name: str, rows: Sequence[Row], issues: list[DatasetIssue]) -> None:
    """Note subjects that differ by upper and lower case only: they may be one patient, in two splits even."""
    spellings: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        spellings[row.subject.casefold()].setdefault(row.subject, row.line)
    for found in spellings.values():
        (first, _), *others = found.items()
        for other, line in others:
            text = f"subjects '{first[:40]}' and '{other[:40]}' differ by case only and count as two"
            issues.append(DatasetIssue(name, f"row {line}", "subjects differ by case", text))


def read_splits(name: str, rows: Sequence[Row], issues: list[DatasetIssue]) -> dict[str, Split]:
    """Return the split of each subject; one in two splits stays in the one not used for training."""
    order: tuple[Split, ...] = ("train", "val", "test")
    splits: dict[str, Split] = {}
    for row in rows:
        if not row.split:
            continue
        split = SPLIT_NAMES[row.split]
        before = splits.get(row.subject, split)
        splits[row.subject] = max(split, before, key=order.index)
        if before != split:
            text = f"the subject is in {before} and in {split}; it stays in {splits[row.subject]}"
            issues.append(DatasetIssue(name, f"row {row.line}", "subject in two splits", text, "loss", "row"))
    return splits
