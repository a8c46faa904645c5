"""Construction of a frame store: scan, split, decode and write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.layouts import layout_name
from trainables.data.records import SPLITS, Progress, SequenceRecord
from trainables.data.settings import DataSettings
from trainables.data.store.decode import DecodedSequence, Decoder
from trainables.data.store.guard import list_dataset
from trainables.data.store.integrity import Tolerance, count_by_kind, enforce_tolerance, require_frames
from trainables.data.store.losses import Losses
from trainables.data.store.parallel import parallel_map
from trainables.data.store.selection import select
from trainables.data.store.subject_hash import hash_subject
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
    scan = list_dataset(settings, root)
    issues, losses = list(scan.issues), Losses.of_listing(scan)
    tolerance = Tolerance(settings.tolerance, settings.on_error)
    enforce_tolerance(root, issues, losses, tolerance)  # before decoding, and again after it

    chosen = select(root, scan, settings, issues)
    writer = StoreWriter(folder, len(scan.channels), settings.image_size)
    decoder = Decoder.of_settings(settings, root, chosen.structures, len(scan.channels))
    try:
        for number, (record, decoded) in enumerate(_decoded(writer, decoder, chosen.records, workers, progress)):
            issues.extend(decoded.issues)
            losses.add(record, decoded.issues, len(decoded.masks or ()))
            split = SPLITS.index(chosen.splits[record.subject])
            writer.add(record, decoded, split, kept=number < writer.kept_count)
    finally:
        writer.close()  # also after an interruption, so that the next build resumes here
    enforce_tolerance(root, issues, losses, tolerance)
    require_frames(root, writer.frames)
    subjects = [hash_subject(name, key) for name in writer.subjects]
    if len(set(subjects)) != len(subjects):
        raise DataError(f"{root}: two subjects have the same keyed hash. Fix: use another key")
    counts, split_by = count_by_kind(issues), chosen.split_by
    writer.finish(layout_name(settings.layout), scan, chosen.classes, subjects, issues=counts, split_by=split_by)


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
