"""Sizes of a dataset, estimated before its frames are decoded."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from trainables.data.records import SPLITS, SequenceRecord, Split
from trainables.data.sampling.splits import split_counts
from trainables.data.settings import DataSettings
from trainables.data.store.dataset_files import dataset_files
from trainables.data.store.guard import list_dataset
from trainables.data.store.integrity import Tolerance, enforce_tolerance
from trainables.data.store.losses import Losses
from trainables.data.store.prepare import dataset_folder
from trainables.data.store.selection import FRACTIONS, OFFICIAL_WITHOUT_VAL, Selection, select, split_rule, without_test
from trainables.phantom import PHANTOMS, PhantomSettings, phantom_form

SYSTOLIC_FRACTION = 0.3
"""Approximate fraction of a phantom's frames that lie between end-diastole and end-systole."""

ANY_VIEW = "*"
"""View of a phantom's subjects, whose views are known only when it is written."""


@dataclass(frozen=True)
class DatasetSizes:
    """Number of sequences and frames that a frame store keeps, by split; a phantom's are expected values.

    Attributes:
        sequences: number of sequences.
        labelled: number of frames with a mask.
        frames: number of frames with and without a mask.
    """

    sequences: Mapping[Split, float]
    labelled: Mapping[Split, float]
    frames: Mapping[Split, float]


def dataset_sizes(settings: DataSettings) -> DatasetSizes:
    """Return the sizes of a dataset from its file lists alone.

    Raises:
        DataError: the dataset is not at the configured path, or a study would refuse its listing.

    Example:
        >>> from trainables.phantom import PhantomSettings
        >>> sizes = dataset_sizes(DataSettings(phantom=PhantomSettings(subjects=20, fractions=(0.6, 0.2, 0.2))))
        >>> sizes.sequences["train"], sizes.labelled["train"]
        (12.0, 24.0)
    """
    if settings.phantom is not None:
        return _phantom_sizes(settings, settings.phantom)
    selection = _listed(settings)
    sequences, labelled, frames = {}, {}, {}
    for split in SPLITS:
        chosen = [record for record in selection.records if selection.splits[record.subject] == split]
        sequences[split] = float(len(chosen))
        labelled[split] = float(sum(len(record.labelled) for record in chosen))
        frames[split] = labelled[split] + sum(_unlabelled(record, settings.stride) for record in chosen)
    return DatasetSizes(sequences, labelled, frames)


@dataclass(frozen=True)
class DatasetOutline:
    """Outline of a dataset from its file lists alone.

    Attributes:
        labelled: split, view and subject of each subject with masks; a phantom's subjects are numbers.
        channels: names of the images' channels; None for a phantom.
    """

    labelled: Set[tuple[Split, str, str]]
    channels: tuple[str, ...] | None = None


def outline_dataset(settings: DataSettings) -> DatasetOutline:
    """Return the labelled subjects and the channels of a dataset from its file lists alone.

    Raises:
        DataError: the dataset is not at the configured path, or a study would refuse its listing.
    """
    if settings.phantom is not None:
        counts = _phantom_subjects(settings, settings.phantom)
        return DatasetOutline({(split, ANY_VIEW, str(number)) for split in SPLITS for number in range(counts[split])})
    selection = _listed(settings)
    labelled = {
        (selection.splits[record.subject], record.view, record.subject)
        for record in selection.records
        if record.labelled
    }
    return DatasetOutline(labelled, selection.channels)


def _listed(settings: DataSettings) -> Selection:
    """Return the selected sequences of a dataset's listing."""
    root = dataset_folder(settings)
    dataset_files(root, settings.links)
    scan = list_dataset(settings, root)
    enforce_tolerance(root, scan.issues, Losses.of_listing(scan), Tolerance(settings.tolerance, settings.on_error))
    return select(root, scan, settings, [])


def _phantom_sizes(settings: DataSettings, phantom: PhantomSettings) -> DatasetSizes:
    """Return the sizes of a phantom; subjects without masks are training data."""
    subjects = _phantom_subjects(settings, phantom)
    between = SYSTOLIC_FRACTION * phantom.frames / settings.stride if settings.stride else 0.0
    labelled = {split: 2.0 * count for split, count in subjects.items()}
    sequences = {split: float(count) for split, count in subjects.items()}
    sequences["train"] += phantom.subjects - sum(subjects.values())
    return DatasetSizes(sequences, labelled, {split: (2 + between) * count for split, count in sequences.items()})


def _phantom_subjects(settings: DataSettings, phantom: PhantomSettings) -> dict[Split, int]:
    """Return the numbers of subjects with masks of a phantom, by split."""
    kind = PHANTOMS[phantom_form(settings.layout, phantom.form)]
    total = split_counts(phantom.subjects, (kind.labelled, 0.0, 1 - kind.labelled))[0]
    official = _by_split(total, phantom.fractions) if kind.official else dict.fromkeys(SPLITS, 0)
    if "val" not in kind.official:
        official = {"train": official["train"] + official["val"], "val": 0, "test": official["test"]}
    rule = split_rule(settings, [split for split in SPLITS if official[split]])
    if rule == OFFICIAL_WITHOUT_VAL:
        return {**_by_split(official["train"], without_test(settings.fractions)), "test": official["test"]}
    return _by_split(total, settings.fractions) if rule == FRACTIONS else official


def _by_split(total: int, fractions: tuple[float, float, float]) -> dict[Split, int]:
    return dict(zip(SPLITS, split_counts(total, fractions), strict=True))


def _unlabelled(record: SequenceRecord, stride: int) -> float:
    """Return how many frames without a mask a store keeps of a sequence.

    Those between end-diastole and end-systole where both are known, otherwise all; of these every `stride`-th.
    """
    ends = [frame for frame, phase in record.labelled.items() if phase]
    cycle = len({record.labelled[frame] for frame in ends}) > 1
    span = max(ends) - min(ends) - 1 if cycle else (record.frames or 0) - len(record.labelled)
    return max(0, span) / stride if stride else 0.0
