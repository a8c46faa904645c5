"""Sizes of a dataset, estimated before its frames are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainables.data.records import SPLITS, SequenceRecord, Split
from trainables.data.settings import DataSettings
from trainables.data.store.integrity import Tolerance, count_lost_sequences, enforce_tolerance
from trainables.data.store.prepare import dataset_folder
from trainables.data.store.selection import select
from trainables.phantom import PhantomSettings

SYSTOLIC_FRACTION = 0.3
"""Approximate fraction of a phantom's frames that lie between end-diastole and end-systole."""


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
        return _phantom_sizes(settings.phantom, settings.stride)
    root = dataset_folder(settings)
    scan = settings.layout.scan(root)
    listed = len(scan.records) + count_lost_sequences(scan.issues)
    enforce_tolerance(root, scan.issues, listed, Tolerance(settings.tolerance, settings.on_error))
    selection = select(root, scan, settings, [])
    sequences, labelled, frames = {}, {}, {}
    for split in SPLITS:
        chosen = [record for record in selection.records if selection.splits[record.subject] == split]
        sequences[split] = float(len(chosen))
        labelled[split] = float(sum(len(record.labelled) for record in chosen))
        frames[split] = labelled[split] + sum(_unlabelled(record, settings.stride) for record in chosen)
    return DatasetSizes(sequences, labelled, frames)


def _phantom_sizes(phantom: PhantomSettings, stride: int) -> DatasetSizes:
    total, fractions = float(phantom.subjects), phantom.fractions
    subjects = {split: total * share / sum(fractions) for split, share in zip(SPLITS, fractions, strict=True)}
    between = SYSTOLIC_FRACTION * phantom.frames / stride if stride else 0.0
    labelled = {split: 2 * count for split, count in subjects.items()}
    return DatasetSizes(subjects, labelled, {split: (2 + between) * count for split, count in subjects.items()})


def _unlabelled(record: SequenceRecord, stride: int) -> float:
    """Return how many frames without a mask a store keeps of a sequence.

    Those between end-diastole and end-systole where both are known, otherwise all; of these every `stride`-th.
    """
    ends = [frame for frame, phase in record.labelled.items() if phase]
    cycle = len({record.labelled[frame] for frame in ends}) > 1
    span = max(ends) - min(ends) - 1 if cycle else (record.frames or 0) - len(record.labelled)
    return max(0, span) / stride if stride else 0.0
