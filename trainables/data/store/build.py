"""Building a frame store: scan, split, decode, and write as it comes."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from trainables.common.errors import DataError, did_you_mean
from trainables.data.layouts import layout_name
from trainables.data.records import SPLITS, Clip, DatasetIssue, Progress, Scan, Split
from trainables.data.sampling.splits import split_subjects
from trainables.data.settings import DataSettings
from trainables.data.store.decode import Decoded, Decoder
from trainables.data.store.integrity import Tolerance, judge, lost_sequences, summary
from trainables.data.store.parallel import in_order
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
    """Decode the dataset at `root` into a frame store in `folder`, going on with what a killed process left there.

    Raises:
        DataError: the dataset is damaged, or loses more than its settings tolerate.
    """
    layout = settings.layout
    scan = layout.scan(root)
    faults = list(scan.faults)
    tolerance = Tolerance(settings.tolerance, settings.on_error)
    listed = len(scan.clips) + lost_sequences(faults)
    judge(root, faults, listed, tolerance)  # before the long work, and again after it

    clips = _ordered(_of_views(root, scan.clips, settings.views))
    parts, split_by = assign(root, clips, settings, faults)
    clips = [clip for clip in clips if clip.subject in parts]
    classes, structures = _structures(root, scan, settings.structures)
    writer = StoreWriter(folder, len(scan.channels), settings.image_size)
    decoder = Decoder(layout, root, settings.image_size, settings.stride, settings.pixel_mm, structures)
    try:
        for number, (clip, decoded) in enumerate(_decoded(writer, decoder, clips, workers, progress)):
            checked = _of_channels(clip, decoded, len(scan.channels))
            faults.extend(checked.faults)
            writer.add(clip, checked, SPLITS.index(parts[clip.subject]), kept=number < writer.clips_kept)
    finally:
        writer.close()  # also of an interrupted build: the next one goes on here
    judge(root, faults, listed, tolerance)
    if not writer.frames:
        raise DataError(f"{root}: no frame left to store; lower `stride` from 0, or check `views`")
    subjects = [hmac.new(key, name.encode(), "sha256").hexdigest()[:12] for name in writer.subjects]
    if len(set(subjects)) != len(subjects):
        raise DataError(f"{root}: two subjects have the same keyed hash; choose another key")
    writer.finish(layout_name(layout), scan, classes, subjects, faults=summary(faults), split_by=split_by)


def assign(
    root: Path, clips: Sequence[Clip], settings: DataSettings, faults: list[DatasetIssue]
) -> tuple[Mapping[str, Split], str]:
    """The part of every subject that is in one, and whether the dataset's own split or the fractions decided.

    Args:
        root: of the dataset, for messages.
        clips: its sequences.
        settings: how to split.
        faults: added to.

    Raises:
        DataError: the official split is asked for, and leaves a part empty.
    """
    official = {clip.subject: clip.split for clip in clips if clip.split is not None}
    empty = [split for split in SPLITS if split not in official.values()]
    if settings.split == "official" and empty:
        raise DataError(f"{root}: the official split leaves {', '.join(empty)} empty; set `split: fractions`")
    train, val, _ = settings.fractions
    if settings.split == "auto" and empty == ["val"] and train > 0:
        text = "the official split has no val; the training subjects are divided by fractions"
        faults.append(DatasetIssue("", "", "no official val split", text))
        labelled = {clip.subject for clip in clips if clip.labelled}
        training = [name for name, split in official.items() if split == "train" and name in labelled]
        return official | split_subjects(training, (train, val, 0), settings.split_seed), "official, val by fractions"
    if settings.split == "fractions" or empty:
        if settings.split == "auto" and official:
            text = f"the official split leaves {', '.join(empty)} empty; subjects are split by fractions"
            faults.append(DatasetIssue("", "", "no complete official split", text))
        return _by_fractions(clips, settings), "fractions"
    for subject in sorted({clip.subject for clip in clips} - official.keys()):
        text = f"subject '{subject}' is in no part of the official split"
        faults.append(DatasetIssue("", "", "subject in no split", text, "loss", "sequence"))
    return official, "official"


def _by_fractions(clips: Sequence[Clip], settings: DataSettings) -> Mapping[str, Split]:
    """Labelled subjects by fractions; those without a label train pretexts, unless nobody has one."""
    everyone = {clip.subject for clip in clips}
    labelled = {clip.subject for clip in clips if clip.labelled} or everyone
    rest: dict[str, Split] = dict.fromkeys(sorted(everyone - labelled), "train")
    return rest | split_subjects(sorted(labelled), settings.fractions, settings.split_seed)


def _of_views(root: Path, clips: Sequence[Clip], views: tuple[str, ...] | None) -> list[Clip]:
    present = {clip.view for clip in clips}
    for view in views or ():
        if view not in present:
            raise DataError(f"{root}: no sequence of view '{view}'{did_you_mean(view, present)}")
    return [clip for clip in clips if views is None or clip.view in views]


def _ordered(clips: Sequence[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (clip.subject, clip.view, clip.sequence))


def _structures(
    root: Path, scan: Scan, wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The stored masks' classes, and which of the dataset's they are."""
    if wanted is None:
        return scan.classes, None
    for name in wanted:
        if name not in scan.classes:
            raise DataError(f"{root}: the masks have no structure '{name}'{did_you_mean(name, scan.classes[1:])}")
    return ("background", *wanted), tuple(scan.classes.index(name) for name in wanted)


def _of_channels(clip: Clip, decoded: Decoded, channels: int) -> Decoded:
    """A clip with another number of channels than the dataset has is left out, with a fault."""
    if not decoded.frames or decoded.images.shape[1] == channels:
        return decoded
    text = f"{decoded.images.shape[1]} channels, but the dataset has {channels}"
    fault = DatasetIssue(next(iter(clip.files.values()), ""), "", "channels differ", text, "loss", "sequence")
    return replace(decoded, images=decoded.images[:0, :channels], frames=(), masks=None, faults=(fault,))


def _decoded(
    writer: StoreWriter, decoder: Decoder, clips: Sequence[Clip], workers: int | None, progress: Progress | None
) -> Iterator[tuple[Clip, Decoded]]:
    kept = (
        replace(decoded, faults=decoder(clip).faults) if number in writer.faulty else decoded
        for number, (clip, decoded) in enumerate(zip(clips, writer.kept, strict=False))
    )
    rest = in_order(decoder, clips[writer.clips_kept :], workers)
    for done, (clip, decoded) in enumerate(zip(clips, chain(kept, rest), strict=True), 1):
        yield clip, decoded
        if progress is not None:
            progress("decoding", done, len(clips))
