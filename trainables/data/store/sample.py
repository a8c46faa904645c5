"""Sample of a dataset's sequences, decoded without a store, to look at a dataset that a study refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.records import DatasetIssue, DatasetListing, SequenceRecord, Split
from trainables.data.sampling.spread import spread_evenly
from trainables.data.settings import DataSettings
from trainables.data.store.decode import DecodedSequence, Decoder
from trainables.data.store.guard import list_dataset
from trainables.data.store.selection import Selection, select
from trainables.data.store.subject_hash import hash_subject

_FAULTY = 2 / 3  # share of a sample for sequences with faults, where there are enough others


@dataclass(frozen=True)
class SampledSequence:
    """One decoded sequence and its faults.

    Attributes:
        subject: keyed hash of the subject.
        split: split of the subject, or None where the dataset cannot be split.
        record: the sequence as its layout lists it.
        decoded: its frames; none where it cannot be decoded.
        faults: kinds of its issues that lose data, free of identifiers.
    """

    subject: str
    split: Split | None
    record: SequenceRecord
    decoded: DecodedSequence
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """Some sequences of a dataset, those with faults first.

    Attributes:
        sequences: the sequences.
        classes: names of the masks' class indices; the first is "background".
        channels: names of the images' channels.
    """

    sequences: tuple[SampledSequence, ...]
    classes: tuple[str, ...]
    channels: tuple[str, ...]


def sample_sequences(
    settings: DataSettings, root: Path, issues: Sequence[DatasetIssue], key: bytes, count: int
) -> Sample:
    """Decode some sequences of a dataset, whether a study would accept it or not.

    Args:
        settings: the dataset's settings.
        root: the dataset's folder.
        issues: issues that `check` found; the sequences that they are about come first.
        key: secret under which the subjects' identifiers are hashed.
        count: largest number of sequences, from 1 up.

    Raises:
        DataError: `root` does not hold the layout.
    """
    scan = list_dataset(settings, root)
    selection = _selection(settings, root, scan)
    structures = selection.structures if selection is not None else None
    decoder = Decoder.of_settings(settings, root, structures, len(scan.channels))
    faults: dict[str, list[str]] = {}
    for issue in issues:
        if issue.severity != "note":
            faults.setdefault(issue.file, []).append(issue.kind)
    sequences = []
    for record in _chosen(selection.records if selection is not None else scan.records, faults, count):
        kinds = [kind for file in record.files.values() for kind in faults.get(file, ())]
        name = hash_subject(record.subject, key)
        split = selection.splits[record.subject] if selection is not None else None
        sequences.append(SampledSequence(name, split, record, decoder(record), tuple(dict.fromkeys(kinds))))
    return Sample(tuple(sequences), selection.classes if selection is not None else scan.classes, scan.channels)


def _selection(settings: DataSettings, root: Path, scan: DatasetListing) -> Selection | None:
    try:
        return select(root, scan, settings, [])
    except DataError:
        return None


def _chosen(records: Sequence[SequenceRecord], faults: dict[str, list[str]], count: int) -> list[SequenceRecord]:
    """Return at most `count` sequences: those with faults first, then others, each evenly over the dataset."""
    faulty = [record for record in records if any(file in faults for file in record.files.values())]
    sound = [record for record in records if not any(file in faults for file in record.files.values())]
    most = max(count - len(sound), round(_FAULTY * count))
    first = _evenly(faulty, min(most, count))
    return first + _evenly(sound, count - len(first))


def _evenly(records: Sequence[SequenceRecord], count: int) -> list[SequenceRecord]:
    return [records[place] for place in spread_evenly(len(records), count)]
