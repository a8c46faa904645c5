"""Check of a dataset: every file is read, every issue listed, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainables.common.errors import DataError
from trainables.data.layouts.slice_axes import count_slice_axes
from trainables.data.records import GREY, SPLITS, DatasetIssue, DatasetListing, Progress, SequenceRecord, Split
from trainables.data.settings import DataSettings
from trainables.data.store.dataset_files import dataset_files
from trainables.data.store.decode import Decoder
from trainables.data.store.guard import list_dataset
from trainables.data.store.integrity import (
    Tolerance,
    enforce_tolerance,
    missing_labels,
    require_folder,
    require_frames,
)
from trainables.data.store.losses import SEQUENCE, Losses
from trainables.data.store.parallel import parallel_map
from trainables.data.store.selection import Selection, select


@dataclass(frozen=True)
class DatasetReport:
    """Result of a dataset check.

    Attributes:
        root: the dataset's folder.
        listed: number of listed sequences, readable or not.
        sequences: number of sequences of which frames are left after all faults.
        subjects: number of subjects in each split, those with frames left and those with masks left.
        issues: all issues, those of the listing first, then those of the files in the dataset's order.
        refusal: reason why a study would refuse the dataset; "" when it is accepted.
        warning: reason why a study could use the dataset for pretraining only; "" without one.
        slice_axes: number of volumes that are cut into slices along each axis of their files' arrays.
        labelled: (split, view, subject) of each subject with masks left in a view.
        channels: names of the images' channels.
        records: all listed sequences, readable or not.
    """

    root: Path
    listed: int
    sequences: int
    subjects: Mapping[Split, tuple[int, int]]
    issues: tuple[DatasetIssue, ...]
    refusal: str
    warning: str = ""
    slice_axes: Mapping[str, int] = field(default_factory=dict)
    labelled: frozenset[tuple[Split, str, str]] = field(default=frozenset(), repr=False)
    channels: tuple[str, ...] = GREY
    records: tuple[SequenceRecord, ...] = field(default=(), repr=False)


def check(
    settings: DataSettings,
    root: Path,
    progress: Progress | None = None,
    *,
    needed: Sequence[Split] = (),
    workers: int | None = None,
) -> DatasetReport:
    """List every issue of a dataset by decoding all its files, as `prepare` does.

    Args:
        settings: the dataset's settings, including its tolerance.
        root: the dataset's folder.
        progress: callback after each sequence; None for none.
        needed: splits in which a fine-tuning needs labels: a dataset without labels in one of them is refused. Empty
            for pretraining alone: a split without labels is a warning.
        workers: number of processes; None chooses by the amount of work.

    Raises:
        DataError: `root` does not exist, does not hold the layout, or has links or special files that are refused.
    """
    require_folder(root, settings.layout.title)
    files = dataset_files(root, settings.links)
    scan = list_dataset(settings, root)
    tally = _Tally(root, settings, [*files.issues(), *scan.issues], Losses.of_listing(scan))
    selection: Selection | None = None
    refusal = ""
    try:
        selection = select(root, scan, settings, tally.issues)
    except DataError as error:
        refusal = str(error)
    records = selection.records if selection is not None else _selected_views(scan, settings)
    decoder = Decoder.of_settings(
        settings, root, selection.structures if selection is not None else None, len(scan.channels)
    )
    splits = selection.splits if selection is not None else {}
    reader = _Reader(replace(decoder, inspecting=True))
    pairs = zip(records, parallel_map(reader, records, workers), strict=True)
    for done, (record, found) in enumerate(pairs, 1):
        tally.add(record, found, splits.get(record.subject))
        if progress is not None:
            progress("reading files", done, len(records))
    return replace(tally.report(refusal, needed), channels=scan.channels, records=scan.records)


def _selected_views(scan: DatasetListing, settings: DataSettings) -> Sequence[SequenceRecord]:
    """Return the sequences of the selected views; all where there are none."""
    views = settings.views
    return [record for record in scan.records if views is None or record.view in views] or scan.records


@dataclass(frozen=True)
class _Found:
    """Rest of a sequence after its faults: number of frames, of masks and of images that lose colors; its issues."""

    frames: int
    masks: int
    issues: tuple[DatasetIssue, ...]
    colored: int


@dataclass(frozen=True)
class _Reader:
    """Decoder of a sequence that returns counts and issues instead of pixels."""

    decoder: Decoder

    def __call__(self, record: SequenceRecord) -> _Found:
        decoded = self.decoder(record)
        return _Found(len(decoded.frames), len(decoded.masks or ()), decoded.issues, decoded.colored)


@dataclass
class _Tally:
    """Issues of a dataset and what they leave, counted sequence by sequence."""

    root: Path
    settings: DataSettings
    issues: list[DatasetIssue]
    losses: Losses
    kept: list[SequenceRecord] = field(default_factory=list)
    frames: int = 0
    colored: int = 0
    subjects: set[tuple[Split, str]] = field(default_factory=set)
    labelled: set[tuple[Split, str, str]] = field(default_factory=set)

    def add(self, record: SequenceRecord, found: _Found, split: Split | None) -> None:
        """Count a sequence; `split` is None where the dataset's splits are unknown."""
        self.issues.extend(found.issues)
        self.losses.add(record, found.issues, found.masks)
        self.colored += found.colored
        if found.frames:
            self.kept.append(record)
        if split is None:
            return
        self.frames += found.frames
        if found.frames:
            self.subjects.add((split, record.subject))
        if found.masks:
            self.labelled.add((split, record.view, record.subject))

    def report(self, refusal: str, needed: Sequence[Split]) -> DatasetReport:
        """Return the report; `refusal` is the first reason that is known already, or ""."""
        every = {split: {name for part, name in self.subjects if part == split} for split in SPLITS}
        masked = {split: {name for part, _, name in self.labelled if part == split} for split in SPLITS}
        counts = {split: (len(every[split]), len(masked[split])) for split in SPLITS}
        warning = ""
        try:
            tolerance = Tolerance(self.settings.tolerance, self.settings.on_error)
            enforce_tolerance(self.root, self.issues, self.losses, tolerance)
            if not refusal:
                require_frames(self.root, self.frames)
            masks = {split: counts[split][1] for split in SPLITS}
            warning = "" if refusal else missing_labels(self.root, masks, needed or SPLITS)
        except DataError as error:
            refusal = refusal or str(error)
        if warning and (needed or not counts["train"][0]):
            refusal, warning = warning, ""
        listed, issues = self.losses.listed[SEQUENCE], (*self.issues, *_color_notes(self.colored))
        axes, labelled = count_slice_axes(self.kept), frozenset(self.labelled)
        return DatasetReport(self.root, listed, len(self.kept), counts, issues, refusal, warning, axes, labelled)


def _color_notes(images: int) -> list[DatasetIssue]:
    """Return a note on the images in color that are read as grey, where there are some."""
    if not images:
        return []
    found = "1 image is in colour; it is" if images == 1 else f"{images} images are in colour; they are"
    text = f"{found} read as grey. Fix: set layout.channels to rgb to keep the colours"
    return [DatasetIssue("", "", "colours read as grey", text)]
