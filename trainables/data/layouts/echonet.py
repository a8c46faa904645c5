"""EchoNet-Dynamic as published: apical four-chamber videos, the left ventricle traced at end-diastole and end-systole.

Ouyang et al., Video-based AI for beat-to-beat assessment of cardiac function, Nature 580 (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.tracing import fill_polygon, polygon_area
from trainables.data.readers.tables import is_file, is_inside, parse_count, parse_float, read_rows
from trainables.data.readers.video import VIDEO, read_video
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord, Split

FILE_LIST = "FileList.csv"
FILE_LIST_COLUMNS = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
TRACINGS = "VolumeTracings.csv"
TRACINGS_COLUMNS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
CLASSES = ("background", "lv")
TRACED_ROWS = 21
_FARTHEST = 1e5  # pixels: no image is larger, and sums of products stay exact
_SPLITS: dict[str, Split] = {"TRAIN": "train", "VAL": "val", "TEST": "test"}


@dataclass(frozen=True)
class _Chord:
    row: int
    ends: tuple[float, float, float, float]


@dataclass(frozen=True)
class EchoNetDynamic(Layout):
    """`FileList.csv`, `VolumeTracings.csv` and `Videos/*.avi`; a video's name is its subject.

    Attributes:
        untraced: True to use videos without a tracing, whose end-diastole and end-systole are unknown, as unlabelled
            data; False to omit them, as Saeed et al. (2022) did.
    """

    title: ClassVar[str] = "EchoNet-Dynamic"
    masks: ClassVar[str] = "tracings in VolumeTracings.csv"
    suffixes: ClassVar[tuple[str, ...]] = VIDEO
    untraced: bool = True

    def scan(self, root: Path) -> DatasetListing:
        """List the videos of `FileList.csv` with their tracings.

        Raises:
            DataError: the folder or one of the two tables is missing or is not that table.
        """
        if not root.is_dir():
            raise DataError(f"{root}: no such folder, expected EchoNet-Dynamic ({FILE_LIST}, {TRACINGS}, Videos/)")
        issues: list[DatasetIssue] = []
        rows = list(read_rows(root / FILE_LIST, FILE_LIST_COLUMNS))
        traced = _traced(root, issues)
        records: dict[str, SequenceRecord] = {}
        for row, cells in rows:
            name = cells[0].removesuffix(".avi")
            issue = _refusal(root, row, name, cells[8], records)
            if issue is not None:
                issues.append(issue)
                continue
            record = _record(row, name, cells, traced.get(name, {}), issues, untraced=self.untraced)
            if record.outlines or self.untraced:
                records[name] = record
        listed = {cells[0].removesuffix(".avi") for _, cells in rows}
        for name in traced:
            if name not in listed:
                row = next(iter(traced[name].values()))[0].row
                text = f"'{name}' is traced but is not in {FILE_LIST}"
                issues.append(DatasetIssue(TRACINGS, f"row {row}", "traced video not listed", text))
        return DatasetListing(tuple(records.values()), CLASSES, tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a video and draw the masks of its traced frames.

        Raises:
            DataError: the video is missing, unreadable or truncated.
        """
        video = record.files["video"]
        images = read_video(root / video)
        issues: list[DatasetIssue] = []
        if record.frames is not None and record.frames != len(images):
            text = f"{len(images)} frames decoded, {FILE_LIST} says {record.frames}"
            issues.append(DatasetIssue(video, "", "frame count differs from the table", text))
        if record.shape is not None and record.shape != images.shape[1:]:
            found, expected = (f"{rows}x{columns}" for rows, columns in (images.shape[1:], record.shape))
            text = f"frames of {found} pixels, {FILE_LIST} says {expected}"
            issues.append(DatasetIssue(video, "", "frame size differs from the table", text))
        masks: dict[int, np.ndarray] = {}
        for frame, outline in record.outlines.items():
            place, shape = f"frame {frame}", images.shape[1:]
            if frame >= len(images):
                text = f"traced frame {frame}, but the video ends at frame {len(images) - 1}"
                issues.append(DatasetIssue(video, place, "traced frame past the end", text, "loss", "mask"))
                continue
            mask = fill_polygon(outline, (shape[0], shape[1]))
            if not mask.any():
                text = f"the tracing covers no pixel of the {shape[0]}x{shape[1]} image"
                issues.append(DatasetIssue(video, place, "empty mask", text, "loss", "mask"))
                continue
            if (outline < 0).any() or (outline > np.array(shape[::-1])).any():
                text = f"the tracing reaches outside the {shape[0]}x{shape[1]} image and is cut at its border"
                issues.append(DatasetIssue(video, place, "tracing outside the image", text))
            masks[frame] = mask.astype(np.uint8)
        return Pixels(images[:, None], masks, issues=tuple(issues))

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List a video by itself."""
        return (SequenceRecord("", path.name, "", files={"video": path.name}),)


def _refusal(root: Path, row: int, name: str, split: str, records: dict[str, SequenceRecord]) -> DatasetIssue | None:
    """Return the issue that makes a row of the file list unusable, or None."""
    place, skipped = f"row {row}", "sequence"
    if not is_inside(name) or Path(name).name != name:
        text = f"file name '{name}' is not a plain name inside Videos/"
        return DatasetIssue(FILE_LIST, place, "path outside the dataset", text, "damage", skipped)
    if name in records:
        return DatasetIssue(FILE_LIST, place, "listed twice", f"'{name}' is listed again", "loss", skipped)
    if split.upper() not in _SPLITS:
        text = f"split '{split}', expected one of {', '.join(_SPLITS)}"
        return DatasetIssue(FILE_LIST, place, "unknown split", text, "loss", skipped)
    if not is_file(root / "Videos" / f"{name}.avi"):
        text = f"Videos/{name}.avi is listed but is not there"
        return DatasetIssue(FILE_LIST, place, "missing video", text, "loss", skipped)
    return None


def _record(
    row: int,
    name: str,
    cells: list[str],
    traced: dict[int, list[_Chord]],
    issues: list[DatasetIssue],
    *,
    untraced: bool,
) -> SequenceRecord:
    clinical = {}
    for key, text in zip(("ef", "esv", "edv"), cells[1:4], strict=True):
        value = parse_float(text)
        if value is None:
            message = f"{key.upper()} is '{text}', expected a number"
            issues.append(DatasetIssue(FILE_LIST, f"row {row}", "clinical value missing", message))
        else:
            clinical[key] = value
    frames, height, width = parse_count(cells[7]), parse_count(cells[4]), parse_count(cells[5])
    if frames is None:
        text = f"NumberOfFrames is '{cells[7]}', expected a whole number"
        issues.append(DatasetIssue(FILE_LIST, f"row {row}", "frame count missing", text))
    outlines = {
        frame: outline for frame, chords in traced.items() if (outline := _outline(frame, chords, issues)) is not None
    }
    if not outlines:
        text = f"'{name}' has no usable tracing in {TRACINGS}"
        issues.append(DatasetIssue(FILE_LIST, f"row {row}", "no tracing", text, skipped="" if untraced else "sequence"))
    return SequenceRecord(
        subject=name,
        sequence=name,
        view="4CH",
        split=_SPLITS[cells[8].upper()],
        frames=frames,
        shape=(height, width) if height and width else None,
        labelled=_phases(outlines),
        clinical=clinical,
        files={"video": f"Videos/{name}.avi"},
        outlines=outlines,
    )


def _traced(root: Path, issues: list[DatasetIssue]) -> dict[str, dict[int, list[_Chord]]]:
    """Return the chords of every traced frame by video and frame, in the order of the table."""
    traced: dict[str, dict[int, list[_Chord]]] = {}
    for row, cells in read_rows(root / TRACINGS, TRACINGS_COLUMNS):
        ends, frame = [parse_float(cell) for cell in cells[1:5]], parse_count(cells[5])
        if frame is None or any(value is None or abs(value) > _FARTHEST for value in ends):
            text = f"found {','.join(cells[1:])}, expected four coordinates and a frame index"
            issues.append(DatasetIssue(TRACINGS, f"row {row}", "unreadable tracing row", text, "loss", "row"))
            continue
        x1, y1, x2, y2 = (float(value or 0.0) for value in ends)
        chords = traced.setdefault(cells[0].removesuffix(".avi"), {}).setdefault(frame, [])
        chords.append(_Chord(row, (x1, y1, x2, y2)))
    return traced


def _outline(frame: int, chords: list[_Chord], issues: list[DatasetIssue]) -> np.ndarray | None:
    """Return the contour through the chords' ends, down one side and up the other, without the long axis (first row).

    Several tracings of one frame follow each other in the table; the first is used. Fewer than 20 chords are accepted
    as long as there are three.
    """
    place = f"row {chords[0].row}"
    if len(chords) != TRACED_ROWS:
        text = f"{len(chords)} rows for frame {frame}, expected {TRACED_ROWS}"
        usable = len(chords) >= 4
        severity, skipped = ("note", "") if usable else ("loss", "mask")
        issues.append(DatasetIssue(TRACINGS, place, "tracing rows other than 21", text, severity, skipped))  # type: ignore[arg-type]
        if not usable:
            return None
    ends = np.array([chord.ends for chord in chords[1:TRACED_ROWS]])
    return np.concatenate([ends[:, :2], ends[::-1, 2:]])


def _phases(outlines: dict[int, np.ndarray]) -> dict[int, Phase]:
    """Return the phase of each traced frame: ED has the largest area, ES the smallest."""
    by_area = sorted(outlines, key=lambda frame: (polygon_area(outlines[frame]), frame))
    phases: dict[int, Phase] = dict.fromkeys(sorted(outlines), "")
    if len(by_area) > 1:
        phases[by_area[-1]], phases[by_area[0]] = "ED", "ES"
    return phases
