"""Your own data: a CSV file that lists images and masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from trainables.common.added import ADDED
from trainables.common.errors import DataError
from trainables.data.layouts.manifest_classes import read_classes
from trainables.data.layouts.manifest_masks import MaskReader, mask_files, mask_roles
from trainables.data.layouts.manifest_rows import Row, read_manifest
from trainables.data.layouts.manifest_subjects import drop_repeated_files, note_similar_subjects, read_splits
from trainables.data.layouts.slice_axes import slice_axis_notes
from trainables.data.readers.colors import Channels, ColorCount, channels_first
from trainables.data.readers.grid import Grid, require_slice_axis
from trainables.data.readers.pictures import FILE_TYPES, file_type, read_picture, read_picture_header, read_pictures
from trainables.data.readers.tables import is_inside
from trainables.data.readers.volume import SUFFIXES as VOLUMES
from trainables.data.readers.volume import read_volume_grid
from trainables.data.records import (
    GREY,
    RGB,
    DatasetIssue,
    DatasetListing,
    Layout,
    Phase,
    Pixels,
    SequenceRecord,
    Split,
)

_TIME_AXIS = 2


@dataclass(frozen=True)
class Manifest(Layout):
    """`manifest.csv` and, for masks, `classes.csv`; documented in docs/DATA.md.

    A row is an image file of one frame, a whole file of several (volume, video, DICOM cine), or the mask of one frame
    of such a file. Single images with a `sequence`, `frame` or `phase` and the same subject, view and sequence make up
    one sequence in the order of `frame`; others stand alone.

    Attributes:
        file: name of the CSV file in the dataset's folder.
        time: True where the third axis of a NIfTI or MetaImage file is time; False where it is one of a volume.
        slice_axis: axis of a volume file's array, from 0, along which it is cut into slices; None for that of the
            acquisition or of the largest spacing.
        ignore: names of further columns of both CSV files, which are not read.
        channels: "grey" turns colored images gray; "rgb" keeps red, green and blue, and gives gray images three equal
            channels.
    """

    title: ClassVar[str] = "your own data (CSV manifest)"
    masks: ClassVar[str] = "the column `mask` of the manifest"
    file: str = "manifest.csv"
    time: bool = False
    slice_axis: int | None = None
    ignore: tuple[str, ...] = ()
    channels: Channels = field(default="grey", metadata=ADDED)
    suffixes: ClassVar[tuple[str, ...]] = FILE_TYPES

    def __post_init__(self) -> None:
        require_slice_axis(self.slice_axis)
        if not is_inside(self.file):
            raise ValueError(f"file '{self.file}': expected a name in the dataset's folder")

    def scan(self, root: Path) -> DatasetListing:
        """List the sequences of the manifest.

        Raises:
            DataError: the manifest or the list of classes is missing or is not one.
        """
        issues: list[DatasetIssue] = []
        content = read_manifest(root, self.file, read_classes(root, self.ignore), self.ignore, issues)
        note_similar_subjects(self.file, content.rows, issues)
        rows = drop_repeated_files(self.file, content.rows, issues)
        splits = read_splits(self.file, rows, issues)
        groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in rows:
            joined = row.single and row.of_sequence
            groups[(row.subject, row.view, row.sequence, "" if joined else row.image)].append(row)
        records = []
        for key, members in groups.items():
            name, split = "/".join(filter(None, key)), splits.get(members[0].subject)
            record = _record(root, name, members, split, issues, self)
            if record is not None:
                records.append(record)
        issues.extend(slice_axis_notes(records))
        return DatasetListing(tuple(records), content.classes, tuple(issues), RGB if self.channels == "rgb" else GREY)

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a sequence.

        Raises:
            DataError: a file is unreadable, or the frames of a sequence differ in size.
        """
        return self._pixels(root, record, None)

    def inspect(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a sequence, and count its images in color where they are read as grey.

        Raises:
            DataError: as `read`.
        """
        colors = ColorCount() if self.channels == "grey" else None
        pixels = self._pixels(root, record, colors)
        return replace(pixels, colored=colors.images) if colors is not None else pixels

    def _pixels(self, root: Path, record: SequenceRecord, colors: ColorCount | None) -> Pixels:
        if "image" in record.files:
            file = root / record.files["image"]
            picture = read_picture(file, slice_axis=self.axis, channels=self.channels, colors=colors)
        else:
            picture = read_pictures([root / file for file in _images(record)], self.channels, colors)
        images = channels_first(picture.images, self.channels)
        if not mask_files(record):
            return Pixels(images, {}, picture.planes)
        classes = read_classes(root, self.ignore)
        cine = len(picture.images) > 1 and not picture.slices  # then the third axis of a mask's file is time, too
        reader = MaskReader(root, classes, picture, _TIME_AXIS if cine else self.axis, self.time)
        masks = reader.masks(record)
        return Pixels(images, masks, picture.planes, tuple(reader.issues))

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List an image file by itself.

        Raises:
            DataError: it has no readable header.
        """
        header = read_picture_header(path, self.axis, self.channels)
        record = SequenceRecord("", path.name, "", frames=header.frames, spacing=header.spacing)
        stack, files = header.slices and not self.time, {"image": path.name}
        return (replace(record, stack=stack, slice_axis=header.slice_axis, files=files),)

    def frame_files(self, record: SequenceRecord) -> list[str]:
        """Return the files of a sequence of single images."""
        return _images(record)

    def grid(self, root: Path, record: SequenceRecord) -> Grid | None:
        """Return the grid of a volume's file.

        Raises:
            DataError: it has no readable header.
        """
        file = record.files.get("image", "")
        return read_volume_grid(root / file, self.axis) if file_type(file) in VOLUMES else None

    @property
    def axis(self) -> int | None:
        """Axis along which the array of a file is cut, from 0; None to choose it for each file."""
        return _TIME_AXIS if self.time else self.slice_axis


def _record(
    root: Path,
    key: str,
    rows: Sequence[Row],
    split: Split | None,
    issues: list[DatasetIssue],
    layout: Manifest,
) -> SequenceRecord | None:
    first = rows[0]
    files: dict[str, str] = {}
    labelled: dict[int, Phase] = {}
    frames: int | None = None
    axis: int | None = None
    if first.single:
        ordered = sorted(rows, key=lambda row: (row.frame if row.frame is not None else row.line, row.line))
        frames = len(ordered)
        for place, row in enumerate(ordered):
            files[f"image/{place:06d}"] = row.image
            files |= mask_roles(row.masks, place)
            if row.masks:
                labelled[place] = row.phase
        spacing, stack = first.spacing, False
    else:
        files["image"] = first.image
        for row in rows:
            files |= mask_roles(row.masks, row.frame)
            if row.masks and row.frame is not None:
                labelled[row.frame] = row.phase
        try:
            header = read_picture_header(root / first.image, layout.axis, layout.channels)
        except DataError as error:
            text = str(error).removeprefix(f"{root / first.image}: ")
            issues.append(DatasetIssue(first.image, "", "unreadable image", text, "damage", "sequence"))
            return None
        frames, spacing, stack = header.frames, first.spacing or header.spacing, header.slices and not layout.time
        axis = header.slice_axis if stack else None
        if any(row.masks and row.frame is None for row in rows):
            labelled = dict.fromkeys(range(frames or 0), first.phase) | labelled
    if spacing is None:
        issues.append(
            DatasetIssue(first.image, "", "spacing missing", "no pixel spacing in the file or in row_mm and column_mm")
        )
    return SequenceRecord(
        subject=first.subject,
        sequence=key,
        view=first.view,
        split=split,
        frames=frames,
        labelled=labelled,
        spacing=spacing,
        clinical={name: value for row in reversed(rows) for name, value in row.clinical.items()},
        stack=stack,
        slice_axis=axis,
        files=files,
    )


def _images(record: SequenceRecord) -> list[str]:
    """Return the files of a sequence of single images, in the order of their frames."""
    return [file for role, file in sorted(record.files.items()) if role.startswith("image/")]
