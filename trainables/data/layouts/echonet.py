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
from trainables.data.readers.tables import is_file, is_inside, number, read_rows, whole
from trainables.data.readers.video import read_grey
from trainables.data.records import Clip, DatasetIssue, Layout, Phase, Pixels, Scan, Split

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
        untraced: whether videos without a tracing, whose end-diastole and end-systole are unknown, are unlabelled data;
            else they are left out, as Saeed et al. (2022) did.
    """

    title: ClassVar[str] = "EchoNet-Dynamic"
    untraced: bool = True

    def scan(self, root: Path) -> Scan:
        """List the videos of `FileList.csv` with their tracings.

        Raises:
            DataError: the folder or one of the two tables is missing or is not that table.
        """
        if not root.is_dir():
            raise DataError(f"{root}: no such folder, expected EchoNet-Dynamic ({FILE_LIST}, {TRACINGS}, Videos/)")
        faults: list[DatasetIssue] = []
        rows = list(read_rows(root / FILE_LIST, FILE_LIST_COLUMNS))
        traced = _traced(root, faults)
        clips: dict[str, Clip] = {}
        for row, cells in rows:
            name = cells[0].removesuffix(".avi")
            fault = _refusal(root, row, name, cells[8], clips)
            if fault is not None:
                faults.append(fault)
                continue
            clip = _clip(row, name, cells, traced.get(name, {}), faults, untraced=self.untraced)
            if clip.outlines or self.untraced:
                clips[name] = clip
        listed = {cells[0].removesuffix(".avi") for _, cells in rows}
        for name in traced:
            if name not in listed:
                row = next(iter(traced[name].values()))[0].row
                text = f"'{name}' is traced but is not in {FILE_LIST}"
                faults.append(DatasetIssue(TRACINGS, f"row {row}", "traced video not listed", text))
        return Scan(tuple(clips.values()), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a video and draw the masks of its traced frames.

        Raises:
            DataError: the video is missing, unreadable or truncated.
        """
        video = clip.files["video"]
        images = read_grey(root / video)
        faults: list[DatasetIssue] = []
        if clip.frames is not None and clip.frames != len(images):
            text = f"{len(images)} frames decoded, {FILE_LIST} says {clip.frames}"
            faults.append(DatasetIssue(video, "", "frame count differs from the table", text))
        if clip.shape is not None and clip.shape != images.shape[1:]:
            found, said = (f"{rows}x{columns}" for rows, columns in (images.shape[1:], clip.shape))
            text = f"frames of {found} pixels, {FILE_LIST} says {said}"
            faults.append(DatasetIssue(video, "", "frame size differs from the table", text))
        masks: dict[int, np.ndarray] = {}
        for frame, outline in clip.outlines.items():
            place, shape = f"frame {frame}", images.shape[1:]
            if frame >= len(images):
                text = f"traced frame {frame}, but the video ends at frame {len(images) - 1}"
                faults.append(DatasetIssue(video, place, "traced frame past the end", text, "loss", "mask"))
                continue
            mask = fill_polygon(outline, (shape[0], shape[1]))
            if not mask.any():
                text = f"the tracing covers no pixel of the {shape[0]}x{shape[1]} image"
                faults.append(DatasetIssue(video, place, "empty mask", text, "loss", "mask"))
                continue
            if (outline < 0).any() or (outline > np.array(shape[::-1])).any():
                text = f"the tracing reaches outside the {shape[0]}x{shape[1]} image and is cut at its border"
                faults.append(DatasetIssue(video, place, "tracing outside the image", text))
            masks[frame] = mask.astype(np.uint8)
        return Pixels(images[:, None], masks, faults=tuple(faults))


def _refusal(root: Path, row: int, name: str, split: str, clips: dict[str, Clip]) -> DatasetIssue | None:
    """Why a row of the file list cannot be used, or None."""
    place, skipped = f"row {row}", "sequence"
    if not is_inside(name) or Path(name).name != name:
        text = f"file name '{name}' is not a plain name inside Videos/"
        return DatasetIssue(FILE_LIST, place, "path outside the dataset", text, "damage", skipped)
    if name in clips:
        return DatasetIssue(FILE_LIST, place, "listed twice", f"'{name}' is listed again", "loss", skipped)
    if split.upper() not in _SPLITS:
        text = f"split '{split}', expected one of {', '.join(_SPLITS)}"
        return DatasetIssue(FILE_LIST, place, "unknown split", text, "loss", skipped)
    if not is_file(root / "Videos" / f"{name}.avi"):
        text = f"Videos/{name}.avi is listed but is not there"
        return DatasetIssue(FILE_LIST, place, "missing video", text, "loss", skipped)
    return None


def _clip(
    row: int,
    name: str,
    cells: list[str],
    traced: dict[int, list[_Chord]],
    faults: list[DatasetIssue],
    *,
    untraced: bool,
) -> Clip:
    clinical = {}
    for key, text in zip(("ef", "esv", "edv"), cells[1:4], strict=True):
        value = number(text)
        if value is None:
            message = f"{key.upper()} is '{text}', expected a number"
            faults.append(DatasetIssue(FILE_LIST, f"row {row}", "clinical value missing", message))
        else:
            clinical[key] = value
    frames, height, width = whole(cells[7]), whole(cells[4]), whole(cells[5])
    if frames is None:
        text = f"NumberOfFrames is '{cells[7]}', expected a whole number"
        faults.append(DatasetIssue(FILE_LIST, f"row {row}", "frame count missing", text))
    outlines = {
        frame: outline for frame, chords in traced.items() if (outline := _outline(frame, chords, faults)) is not None
    }
    if not outlines:
        text = f"'{name}' has no usable tracing in {TRACINGS}"
        faults.append(DatasetIssue(FILE_LIST, f"row {row}", "no tracing", text, skipped="" if untraced else "sequence"))
    return Clip(
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


def _traced(root: Path, faults: list[DatasetIssue]) -> dict[str, dict[int, list[_Chord]]]:
    """The chords of every traced frame, by video and frame, in the order of the table."""
    traced: dict[str, dict[int, list[_Chord]]] = {}
    for row, cells in read_rows(root / TRACINGS, TRACINGS_COLUMNS):
        ends, frame = [number(cell) for cell in cells[1:5]], whole(cells[5])
        if frame is None or any(value is None or abs(value) > _FARTHEST for value in ends):
            text = f"found {','.join(cells[1:])}, expected four coordinates and a frame index"
            faults.append(DatasetIssue(TRACINGS, f"row {row}", "unreadable tracing row", text, "loss", "row"))
            continue
        x1, y1, x2, y2 = (float(value or 0.0) for value in ends)
        chords = traced.setdefault(cells[0].removesuffix(".avi"), {}).setdefault(frame, [])
        chords.append(_Chord(row, (x1, y1, x2, y2)))
    return traced


def _outline(frame: int, chords: list[_Chord], faults: list[DatasetIssue]) -> np.ndarray | None:
    """The contour through the chords' ends: down one side and up the other, the long axis (first row) left out.

    Several tracings of one frame follow each other in the table; the first is taken. Fewer chords than 20 are used as
    they are while three are left.
    """
    place = f"row {chords[0].row}"
    if len(chords) != TRACED_ROWS:
        text = f"{len(chords)} rows for frame {frame}, expected {TRACED_ROWS}"
        usable = len(chords) >= 4
        severity, skipped = ("note", "") if usable else ("loss", "mask")
        faults.append(DatasetIssue(TRACINGS, place, "tracing rows other than 21", text, severity, skipped))  # type: ignore[arg-type]
        if not usable:
            return None
    ends = np.array([chord.ends for chord in chords[1:TRACED_ROWS]])
    return np.concatenate([ends[:, :2], ends[::-1, 2:]])


def _phases(outlines: dict[int, np.ndarray]) -> dict[int, Phase]:
    """End-diastole is the traced frame with the largest area, end-systole the one with the smallest."""
    by_area = sorted(outlines, key=lambda frame: (polygon_area(outlines[frame]), frame))
    phases: dict[int, Phase] = dict.fromkeys(sorted(outlines), "")
    if len(by_area) > 1:
        phases[by_area[-1]], phases[by_area[0]] = "ED", "ES"
    return phases
