"""Cardiac cine MR in NIfTI: one implementation for every dataset that differs in file names, labels and tables only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from trainables.common.errors import DataError
from trainables.data.layouts.nifti_volumes import file_records, read_sequence, unlabelled_volumes, volume
from trainables.data.layouts.slice_axes import slice_axis_notes
from trainables.data.readers.grey import GreyRule
from trainables.data.readers.grid import Grid, require_slice_axis
from trainables.data.readers.nifti import SUFFIXES, find_nifti, read_nifti_header
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord, Split


@dataclass(frozen=True)
class CineFormat:
    """File names and labels of one cine MR dataset.

    Attributes:
        folders: split by glob pattern of the subjects' folders, in the order of listing; None where the pattern does
            not determine the split.
        views: each view's name in file names, by view.
        files: file name patterns without suffix by role (`ED`, `ED_gt`, `ES`, `ES_gt`, `cine`); the first that exists
            is used. `{subject}`, `{view}` and `{frame}` (the phase's published frame number) are filled in; a pattern
            with `{frame}` is skipped where that number is unknown.
        classes: names of the class indices, "background" first.
        labels: label number by class name, by view.
        expected: example of a path in the dataset, for error messages.
        first_frame: number that the dataset's tables give to a cine's first frame.
    """

    folders: Mapping[str, Split | None]
    views: Mapping[str, str]
    files: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...]
    labels: Mapping[str, Mapping[str, int]]
    expected: str
    first_frame: int = 0


@dataclass(frozen=True)
class ExamInfo:
    """Entries of a dataset's tables about one subject.

    Attributes:
        frames: published frame number of each phase.
        clinical: measured values by name.
        found: True where the tables have an entry for the subject.
    """

    frames: Mapping[Phase, int] = field(default_factory=dict)
    clinical: Mapping[str, float] = field(default_factory=dict)
    found: bool = True


InfoReader = Callable[[Path], ExamInfo]
"""Function that returns the table entries for a subject's folder."""


@dataclass(frozen=True)
class CineNifti(Layout):
    """Base of the cine MR layouts: a folder per subject, with a cine and labelled volumes of ED and ES per view.

    A subclass describes its files in `form` and reads its tables in `info_reader`.

    Attributes:
        frame_step: every `frame_step`-th frame of a cine becomes an unlabelled volume in addition to the two labelled
            ones, from 1 up; 0 for none. A single-slice cine is kept with all its frames.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    form: ClassVar[CineFormat]
    grey: ClassVar[GreyRule] = "stretched"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    frame_step: int = 5
    slice_axis: int | None = None

    def __post_init__(self) -> None:
        require_slice_axis(self.slice_axis)
        if self.frame_step < 0:
            raise ValueError(f"frame_step {self.frame_step}: expected a whole number from 0 up")

    @abstractmethod
    def info_reader(self, root: Path, issues: list[DatasetIssue]) -> InfoReader:
        """Read the tables that cover all subjects and return a function that reads one subject's entries."""

    def usable_files(
        self, place: str, view: str, files: Mapping[str, str], info: ExamInfo, issues: list[DatasetIssue]
    ) -> Mapping[str, str]:
        """Return the files of a view that can be used, and append what is missing to `issues`.

        Args:
            place: the subject's folder, relative to the dataset's.
            view: name of the view.
            files: the view's existing files by role.
            info: the subject's table entries.
            issues: list that found issues are appended to.
        """
        return files

    def split_of(self, folder: Path, split: Split | None) -> Split | None:
        """Return the official split of a subject's folder, `split` being that of the folder's pattern."""
        return split

    def scan(self, root: Path) -> DatasetListing:
        """List the volumes and cines of every subject.

        Raises:
            DataError: no subject's folder, or a table that the layout requires, is missing.
        """
        issues: list[DatasetIssue] = []
        records: list[SequenceRecord] = []
        read_info = self.info_reader(root, issues)
        empty = True
        for folder, split in self._subjects(root, issues):
            empty = False
            info = read_info(folder)
            place = folder.relative_to(root).as_posix()
            found = {view: self._files(root, folder, view, info) for view in self.form.views}
            annotated = any(role.endswith("_gt") for files in found.values() for role in files)
            for view, files in found.items():
                usable = self.usable_files(place, view, files, info, issues)
                records.extend(self._view(root, folder, split, view, usable, info, issues, annotated=annotated))
        if not records and (empty or not issues):
            raise DataError(f"{root}: no subjects (expected {self.title}: {self.form.expected} ...)")
        return DatasetListing(tuple(records), self.form.classes, (*issues, *slice_axis_notes(records)))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a volume or a single-slice cine.

        Raises:
            DataError: one of its files is unreadable.
        """
        labels = self.form.labels[record.view]
        class_of = {number: self.form.classes.index(name) for name, number in labels.items()}
        return read_sequence(root, record, class_of, slice_axis=self.slice_axis)

    def records_of(self, path: Path) -> tuple[SequenceRecord, ...]:
        """List the volumes of an image by itself, or its frames where it has a single slice.

        Raises:
            DataError: it has no readable header.
        """
        return file_records(path, next(iter(self.form.views)), self.slice_axis)

    def grid(self, root: Path, record: SequenceRecord) -> Grid:
        """Return the grid of a volume or a cine.

        Raises:
            DataError: it has no readable header.
        """
        return read_nifti_header(root / record.files["image"], self.slice_axis).grid

    def _subjects(self, root: Path, issues: list[DatasetIssue]) -> Iterator[tuple[Path, Split | None]]:
        """Yield every subject's folder once, with its split."""
        listed: set[str] = set()
        for pattern, split in self.form.folders.items():
            for folder in sorted(path for path in root.glob(pattern) if path.is_dir()):
                if folder.name in listed:
                    text = "the subject has a folder in another split too; only the first is used"
                    place = folder.relative_to(root).as_posix()
                    issues.append(DatasetIssue(place, "", "subject in two splits", text, "loss", "sequence"))
                    continue
                listed.add(folder.name)
                yield folder, self.split_of(folder, split)

    def _view(
        self,
        root: Path,
        folder: Path,
        split: Split | None,
        view: str,
        files: Mapping[str, str],
        info: ExamInfo,
        issues: list[DatasetIssue],
        *,
        annotated: bool,
    ) -> Iterator[SequenceRecord]:
        """Yield one view's volumes of ED and ES, then the unlabelled volumes of its cine.

        A missing mask is a loss for an `annotated` subject only: one without any mask is there for pretraining.
        """
        first = self.form.first_frame
        frames = {phase: frame - first for phase, frame in info.frames.items() if frame >= first}
        base = SequenceRecord(folder.name, f"{folder.name}_{view}", view, split, clinical=info.clinical)
        for phase in ("ED", "ES"):
            record = _labelled(base, phase, files, frames, issues, annotated=annotated)
            if record is not None:
                completed = volume(root, record, issues, phase=phase, slice_axis=self.slice_axis)
                yield from [completed] if completed is not None else []
        if "cine" in files:
            cine = replace(base, sequence=f"{base.sequence}_cine", files={"image": files["cine"]})
            yield from unlabelled_volumes(root, cine, self.frame_step, tuple(frames.values()), issues, self.slice_axis)

    def _files(self, root: Path, folder: Path, view: str, info: ExamInfo) -> dict[str, str]:
        """Return the existing files of a view by role, relative to `root`."""
        found: dict[str, str] = {}
        for role, patterns in self.form.files.items():
            frame = next((number for phase, number in info.frames.items() if role.startswith(phase)), None)
            for pattern in patterns:
                if frame is None and "{frame" in pattern:
                    continue
                name = pattern.format(subject=folder.name, view=self.form.views[view], frame=frame)
                path = find_nifti(folder / name)
                if path is not None:
                    found[role] = path.relative_to(root).as_posix()
                    break
        return found


def _labelled(
    base: SequenceRecord,
    phase: Phase,
    files: Mapping[str, str],
    frames: Mapping[Phase, int],
    issues: list[DatasetIssue],
    *,
    annotated: bool,
) -> SequenceRecord | None:
    """Return the record of a phase's volume, or None where it has no image.

    A phase that has a mask but no image file uses its time point of the cine.
    """
    image, mask, timepoint = files.get(phase), files.get(f"{phase}_gt"), 0
    if image is None and mask is not None and "cine" in files and phase in frames:
        image, timepoint = files["cine"], frames[phase]
    if image is None:
        if mask is not None:
            text = f"the {phase} mask has no image (found neither an {phase} image nor its frame of a cine)"
            issues.append(DatasetIssue(mask, "", "mask without image", text, "loss", "mask"))
        return None
    if mask is None:
        if annotated:
            issues.append(DatasetIssue(image, "", "missing mask", f"{phase} has no mask file", "loss", "mask"))
        return replace(base, sequence=f"{base.sequence}_{phase}", files={"image": image}, timepoint=timepoint)
    chosen = {"image": image, "mask": mask}
    return replace(base, sequence=f"{base.sequence}_{phase}", files=chosen, timepoint=timepoint)
