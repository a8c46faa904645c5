"""Construction of a frame store: scan, split, decode and write."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from trainables.common.errors import DataError, did_you_mean
from trainables.data.layouts import layout_name
from trainables.data.records import SPLITS, DatasetIssue, DatasetListing, Progress, SequenceRecord, Split
from trainables.data.sampling.splits import split_subjects
from trainables.data.settings import DataSettings
from trainables.data.store.decode import DecodedSequence, Decoder
from trainables.data.store.integrity import Tolerance, count_by_kind, count_lost_sequences, enforce_tolerance
from trainables.data.store.parallel import parallel_map
from trainables.data.store.writer import StoreWriter


def build_store(
    root: Path,
    settings: DataSettings,
    key: bytes,
    folder: Path,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
) -> None:
    """Decode the dataset at `root` into a frame store in `folder`, resuming what a killed process left there.

    Raises:
        DataError: the dataset is damaged, or loses more data than its settings tolerate.
    """
    layout = settings.layout
    scan = layout.scan(root)
    issues = list(scan.issues)
    tolerance = Tolerance(settings.tolerance, settings.on_error)
    listed = len(scan.records) + count_lost_sequences(issues)
    enforce_tolerance(root, issues, listed, tolerance)  # before decoding, and again after it

    records = _ordered(_of_views(root, scan.records, settings.views))
    parts, split_by = assign_splits(root, records, settings, issues)
    records = [record for record in records if record.subject in parts]
    classes, structures = _structures(root, scan, settings.structures)
    writer = StoreWriter(folder, len(scan.channels), settings.image_size)
    decoder = Decoder(layout, root, settings.image_size, settings.stride, settings.pixel_mm, structures)
    try:
        for number, (record, decoded) in enumerate(_decoded(writer, decoder, records, workers, progress)):
            checked = _of_channels(record, decoded, len(scan.channels))
            issues.extend(checked.issues)
            writer.add(record, checked, SPLITS.index(parts[record.subject]), kept=number < writer.kept_count)
    finally:
        writer.close()  # also after an interruption, so that the next build resumes here
    enforce_tolerance(root, issues, listed, tolerance)
    if not writer.frames:
        raise DataError(f"{root}: no frame to store. Fix: set `stride` to 1 or more, or check `views`")
    subjects = [hmac.new(key, name.encode(), "sha256").hexdigest()[:12] for name in writer.subjects]
    if len(set(subjects)) != len(subjects):
        raise DataError(f"{root}: two subjects have the same keyed hash. Fix: use another key")
    writer.finish(layout_name(layout), scan, classes, subjects, issues=count_by_kind(issues), split_by=split_by)


def assign_splits(
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
    empty = [split for split in SPLITS if split not in official.values()]
    if settings.split == "official" and empty:
        raise DataError(f"{root}: the official split leaves {', '.join(empty)} empty. Fix: set `split: fractions`")
    train, val, _ = settings.fractions
    if settings.split == "auto" and empty == ["val"] and train > 0:
        text = "the official split has no val; its training subjects are split by fractions"
        issues.append(DatasetIssue("", "", "no official val split", text))
        labelled = {record.subject for record in records if record.labelled}
        training = [name for name, split in official.items() if split == "train" and name in labelled]
        return official | split_subjects(training, (train, val, 0), settings.split_seed), "official, val by fractions"
    if settings.split == "fractions" or empty:
        if settings.split == "auto" and official:
            text = f"the official split leaves {', '.join(empty)} empty; subjects are split by fractions"
            issues.append(DatasetIssue("", "", "no complete official split", text))
        return _by_fractions(records, settings), "fractions"
    for subject in sorted({record.subject for record in records} - official.keys()):
        text = f"subject '{subject}' is not in the official split"
        issues.append(DatasetIssue("", "", "subject in no split", text, "loss", "sequence"))
    return official, "official"


def _by_fractions(records: Sequence[SequenceRecord], settings: DataSettings) -> Mapping[str, Split]:
    """Split labelled subjects by fractions; unlabelled ones are training data, unless no subject has labels."""
    everyone = {record.subject for record in records}
    labelled = {record.subject for record in records if record.labelled} or everyone
    rest: dict[str, Split] = dict.fromkeys(sorted(everyone - labelled), "train")
    return rest | split_subjects(sorted(labelled), settings.fractions, settings.split_seed)


def _of_views(root: Path, records: Sequence[SequenceRecord], views: tuple[str, ...] | None) -> list[SequenceRecord]:
    present = {record.view for record in records}
    for view in views or ():
        if view not in present:
            raise DataError(f"{root}: no sequence of view '{view}'{did_you_mean(view, present)}")
    return [record for record in records if views is None or record.view in views]


def _ordered(records: Sequence[SequenceRecord]) -> list[SequenceRecord]:
    return sorted(records, key=lambda record: (record.subject, record.view, record.sequence))


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


def _of_channels(record: SequenceRecord, decoded: DecodedSequence, channels: int) -> DecodedSequence:
    """Return the decoded sequence, emptied with an issue where its number of channels differs from the dataset's."""
    if not decoded.frames or decoded.images.shape[1] == channels:
        return decoded
    text = f"other channels than the dataset (found {decoded.images.shape[1]}, expected {channels})"
    issue = DatasetIssue(next(iter(record.files.values()), ""), "", "channels differ", text, "loss", "sequence")
    return replace(decoded, images=decoded.images[:0, :channels], frames=(), masks=None, issues=(issue,))


def _decoded(
    writer: StoreWriter,
    decoder: Decoder,
    records: Sequence[SequenceRecord],
    workers: int | None,
    progress: Progress | None,
) -> Iterator[tuple[SequenceRecord, DecodedSequence]]:
    kept = (
        replace(decoded, issues=decoder(record).issues) if number in writer.with_issues else decoded
        for number, (record, decoded) in enumerate(zip(records, writer.kept, strict=False))
    )
    rest = parallel_map(decoder, records[writer.kept_count :], workers)
    for done, (record, decoded) in enumerate(zip(records, chain(kept, rest), strict=True), 1):
        yield record, decoded
        if progress is not None:
            progress("decoding", done, len(records))
