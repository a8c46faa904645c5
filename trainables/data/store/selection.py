"""Selection of a dataset's sequences by the settings: views, splits and structures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import DataError, did_you_mean
from trainables.data.records import SPLITS, DatasetIssue, DatasetListing, SequenceRecord, Split
from trainables.data.sampling.splits import split_subjects
from trainables.data.settings import DataSettings

OFFICIAL, OFFICIAL_WITHOUT_VAL, FRACTIONS = "official", "official, val by fractions", "fractions"
"""Rules by which subjects get their split: the official split, its training subjects divided, or fractions of all."""


@dataclass(frozen=True)
class Selection:
    """Sequences of a dataset that its frame store holds.

    Attributes:
        records: sequences of the selected views whose subject is in a split, by subject, view and sequence.
        splits: split of each subject.
        split_by: rule that determined the splits, as in `FrameStore.split_by`.
        classes: names of the stored masks' class indices; the first is "background".
        structures: class indices in the dataset of the stored structures; None for all.
        channels: names of the images' channels.
    """

    records: Sequence[SequenceRecord]
    splits: Mapping[str, Split]
    split_by: str
    classes: tuple[str, ...]
    structures: tuple[int, ...] | None
    channels: tuple[str, ...]


def select(root: Path, scan: DatasetListing, settings: DataSettings, issues: list[DatasetIssue]) -> Selection:
    """Return the sequences of a listing that the settings keep.

    Args:
        root: the dataset's folder, for messages.
        scan: the dataset's listing.
        settings: the dataset's settings, of which views, splits and structures are used.
        issues: list that found issues are appended to.

    Raises:
        DataError: the dataset lacks a view, a structure or an excluded subject, or the official split leaves train, val
            or test empty.
    """
    kept = _of_views(root, _without(root, scan.records, settings.exclude), settings.views)
    kept.sort(key=lambda record: (record.subject, record.view, record.sequence))
    splits, split_by = _assign_splits(root, kept, settings, issues)
    classes, structures = _structures(root, scan, settings.structures)
    records = [record for record in kept if record.subject in splits]
    return Selection(records, splits, split_by, classes, structures, scan.channels)


def _assign_splits(
    root: Path, records: Sequence[SequenceRecord], settings: DataSettings, issues: list[DatasetIssue]
) -> tuple[Mapping[str, Split], str]:
    """Return the split of each subject that has one, and the rule that determined it (`FrameStore.split_by`).

    Args:
        root: the dataset's folder, for messages.
        records: the dataset's sequences.
        settings: the dataset's settings, of which the split is used.
        issues: list that found issues are appended to.

    Raises:
        DataError: the official split is requested, but leaves train, val or test empty.
    """
    official = {record.subject: record.split for record in records if record.split is not None}
    present = set(official.values())
    empty = ", ".join(split for split in SPLITS if split not in present)
    if settings.split == "official" and empty:
        raise DataError(f"{root}: the official split leaves {empty} empty. Fix: set `split: fractions`")
    rule = split_rule(settings, present)
    if rule == OFFICIAL_WITHOUT_VAL:
        text = "the official split has no val; its training subjects are split by fractions"
        issues.append(DatasetIssue("", "", "no official val split", text))
        labelled = {record.subject for record in records if record.labelled}
        training = [name for name, split in official.items() if split == "train" and name in labelled]
        return official | split_subjects(training, without_test(settings.fractions), settings.split_seed), rule
    if rule == FRACTIONS:
        if settings.split == "auto" and official:
            text = f"the official split leaves {empty} empty; subjects are split by fractions"
            issues.append(DatasetIssue("", "", "no complete official split", text))
        return _by_fractions(records, settings), rule
    for subject in sorted({record.subject for record in records} - official.keys()):
        text = f"subject '{subject}' is in no split and is left out"
        issues.append(DatasetIssue("", "", "subject in no split", text))
    return official, rule


def split_rule(settings: DataSettings, present: Collection[Split]) -> str:
    """Return the rule by which subjects get their split, one of `FrameStore.split_by`.

    Args:
        settings: the dataset's settings, of which the split is used.
        present: splits that the dataset's official split has.
    """
    empty = [split for split in SPLITS if split not in present]
    if settings.split == "official" or (settings.split == "auto" and not empty):
        return OFFICIAL
    if settings.split == "auto" and empty == ["val"] and settings.fractions[0] > 0:
        return OFFICIAL_WITHOUT_VAL
    return FRACTIONS


def without_test(fractions: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the fractions by which an official training split is divided into train and val."""
    return fractions[0], fractions[1], 0.0


def _by_fractions(records: Sequence[SequenceRecord], settings: DataSettings) -> Mapping[str, Split]:
    """Split labelled subjects by fractions; unlabelled ones are training data, unless no subject has labels."""
    everyone = {record.subject for record in records}
    labelled = {record.subject for record in records if record.labelled} or everyone
    rest: dict[str, Split] = dict.fromkeys(sorted(everyone - labelled), "train")
    return rest | split_subjects(sorted(labelled), settings.fractions, settings.split_seed)


def _without(root: Path, records: Sequence[SequenceRecord], excluded: tuple[str, ...]) -> Sequence[SequenceRecord]:
    """Return the records of the other subjects; a name that the dataset does not have is a slip of the pen."""
    present = {record.subject for record in records}
    for name in excluded:
        if name not in present:
            raise DataError(f"{root}: exclude names the subject '{name}', whom the dataset does not have")
    return [record for record in records if record.subject not in excluded]


def _of_views(root: Path, records: Sequence[SequenceRecord], views: tuple[str, ...] | None) -> list[SequenceRecord]:
    present = {record.view for record in records}
    for view in views or ():
        if view not in present:
            raise DataError(f"{root}: no sequence of view '{view}'{did_you_mean(view, present)}")
    return [record for record in records if views is None or record.view in views]


def _structures(
    root: Path, scan: DatasetListing, wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """Return the stored masks' class names and their class indices in the dataset; None for all."""
    if wanted is None:
        return scan.classes, None
    for name in wanted:
        if name not in scan.classes:
            raise DataError(f"{root}: the masks have no structure '{name}'{did_you_mean(name, scan.classes[1:])}")
    return ("background", *wanted), tuple(scan.classes.index(name) for name in wanted)
