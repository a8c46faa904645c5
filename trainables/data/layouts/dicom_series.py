"""Series of DICOM images found in a folder: which frames belong to one plane, and their order in time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.common.errors import DataError
from trainables.data.readers.dicom import DicomHeader, read_dicom_header
from trainables.data.readers.dicom_file import NotAnImageError, is_dicom
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.data.readers.folders import walk_files
from trainables.data.records import DatasetIssue

_PER_FILE = "/"  # between a role's moment and the index of its frame in a file of several


class Moment(NamedTuple):
    """One frame of a series.

    Attributes:
        time: time after the trigger in ms, or None.
        instance: place in the series as its file counts it, 0 when unknown.
        file: path relative to the dataset's folder.
        frame: index of the frame in the file.
        frames: number of frames in the file.
    """

    time: float | None
    instance: int
    file: str
    frame: int
    frames: int


@dataclass(frozen=True, eq=False)  # arrays have no equality of their own
class Series:
    """The images of one plane.

    Attributes:
        number: number of the series in its examination.
        description: the scanner operator's name of the series.
        plane: position of the image, `(3, 3)` as in `Pixels.planes`.
        center: center of the image in mm along DICOM's axes.
        moments: the frames in the order of time.
        header: header of the first file.
    """

    number: int
    description: str
    plane: np.ndarray
    center: np.ndarray
    moments: tuple[Moment, ...]
    header: DicomHeader

    @property
    def normal(self) -> np.ndarray:
        """Unit normal of the plane; its sign has no meaning."""
        normal = np.cross(self.plane[2], self.plane[1])
        return np.asarray(normal / np.linalg.norm(normal))

    @property
    def files(self) -> dict[str, str]:
        """Files by role, as `read_moments` takes them."""
        return {
            f"{place:05d}" + (f"{_PER_FILE}{moment.frame}" if moment.frames > 1 else ""): moment.file
            for place, moment in enumerate(self.moments)
        }


def find_series(root: Path, folder: Path, issues: list[DatasetIssue]) -> list[Series]:
    """Return the series of a folder, one for each plane, in the order of their numbers.

    Copies of a file count once. Objects that are not images (DICOMDIR, presentation states, reports) are ignored, and
    phase images are left out, as they show flow and no anatomy.

    Args:
        root: the dataset's folder.
        folder: the subject's folder; links below it are followed.
        issues: list that found issues are appended to.
    """
    planes: dict[tuple[str, int, str, tuple[float, ...]], list[tuple[DicomHeader, Moment]]] = defaultdict(list)
    phases: dict[int, list[str]] = defaultdict(list)
    for file, header in _distinct(_headers(root, folder, issues), issues):
        if header.planes is None:
            text = "no ImagePositionPatient, ImageOrientationPatient or PixelSpacing"
            issues.append(DatasetIssue(file, "", "geometry missing", text, "loss", "image"))
            continue
        for frame in range(header.frames):
            component = header.components[frame]
            if component in ("phase", "imaginary"):
                phases[header.number].append(file)
                continue
            where = tuple(np.round(header.planes[frame].ravel(), 2).tolist())
            moment = Moment(header.times[frame], header.instances[frame], file, frame, header.frames)
            planes[header.series, header.number, component, where].append((header, moment))
    for number, files in sorted(phases.items()):
        text = f"phase images left out (found {len(files)})"
        issues.append(DatasetIssue(files[0], f"series {number}", "phase images", text, "note", "image"))
    ordered = sorted(planes.items(), key=lambda item: (item[0][1], item[0][3], item[0][:3]))
    return [_series(members, issues) for _, members in ordered]


def read_moments(root: Path, files: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the frames `(T, H, W)` that `Series.files` names, and their positions `(T, 3, 3)` or None.

    Raises:
        DataError: a file is unreadable, or differs in size from the first.
    """
    frames: list[np.ndarray] = []
    places: list[np.ndarray | None] = []
    decoded: dict[str, tuple[DicomHeader, np.ndarray]] = {}
    for role, file in sorted(files.items()):
        if file not in decoded:
            decoded[file] = read_dicom_header(root / file), read_dicom_frames(root / file)
        header, pixels = decoded[file]
        index = int(role.partition(_PER_FILE)[2] or 0)
        if pixels.shape[1:] != (frames[0].shape if frames else header.shape) or len(pixels) != header.frames:
            expected = "x".join(map(str, frames[0].shape if frames else header.shape))
            found = f"{len(pixels)} frames of {pixels.shape[1]}x{pixels.shape[2]}"
            raise DataError(f"{root / file}: {found}, expected {header.frames} of {expected}")
        frames.append(pixels[index])
        places.append(header.planes[index] if header.planes is not None else None)
    known = [place for place in places if place is not None]
    return np.stack(frames), np.stack(known) if len(known) == len(places) else None


def _headers(root: Path, folder: Path, issues: list[DatasetIssue]) -> Iterator[tuple[str, DicomHeader]]:
    """Yield the readable image files below a folder, relative to `root`, with their headers."""
    for path in walk_files(folder):
        if not is_dicom(path):
            continue
        file = path.relative_to(root).as_posix()
        try:
            header = read_dicom_header(path)
            if header.is_gray:
                yield file, header
        except NotAnImageError:
            continue
        except DataError as error:
            text = str(error).removeprefix(f"{path}: ")
            issues.append(DatasetIssue(file, "", "unreadable header", text, "damage", "image"))


def _distinct(
    found: Iterable[tuple[str, DicomHeader]], issues: list[DatasetIssue]
) -> Iterator[tuple[str, DicomHeader]]:
    """Yield every instance once; the files that repeat one are reported together."""
    seen: set[tuple[object, ...]] = set()
    copies: list[str] = []
    for file, header in found:
        key = instance_key(header)
        if key is not None and key in seen:
            copies.append(file)
            continue
        seen.add(key or (file,))
        yield file, header
    if copies:
        text = f"copies of instances that are listed already (found {len(copies)}), each counted once"
        issues.append(DatasetIssue(copies[0], "", "copy of an instance", text, "note", "image"))


def instance_key(header: DicomHeader) -> tuple[object, ...] | None:
    """Return what only copies of a file have in common; None for a file without a SOPInstanceUID.

    The UID alone does not do: some tools that remove names give all files the same one.
    """
    if not header.uid:
        return None
    plane = header.plane.round(3).tobytes() if header.plane is not None else b""
    return header.uid, header.series, header.instances, header.times, header.components, plane


def _series(members: Sequence[tuple[DicomHeader, Moment]], issues: list[DatasetIssue]) -> Series:
    moments = _in_time([moment for _, moment in members], issues)
    header, moment = next(member for member in members if member[1] == moments[0])
    assert header.planes is not None
    plane = header.planes[moment.frame]
    rows, columns = header.shape
    center = plane[0] + (rows - 1) / 2 * plane[1] + (columns - 1) / 2 * plane[2]
    return Series(header.number, header.description, plane, center, tuple(moments), header)


def _in_time(moments: Sequence[Moment], issues: list[DatasetIssue]) -> list[Moment]:
    """Return the moments in the order of time; without all of their times, in the order of their instances.

    A moment without a time is left out where the instances contradict the times of the others: its place is unknown.
    """
    timed = [moment for moment in moments if moment.time is not None]
    by_time = sorted(timed, key=lambda moment: (moment.time, moment.instance, moment.file, moment.frame))
    by_instance = sorted(moments, key=lambda moment: (moment.instance, moment.file, moment.frame))
    if len(timed) == len(moments):
        return by_time
    if not timed and len({moment.file for moment in moments}) == 1:
        return by_instance  # the frames of one file have an order of their own
    first = next(moment for moment in by_instance if moment.time is None)
    missing = f"no TriggerTime (found in {len(timed)} of {len(moments)} frames of the plane)"
    places = {(moment.instance, moment.frame) for moment in moments if moment.instance}
    numbered = len(places) == len(moments)
    agree = [moment for moment in by_instance if moment.time is not None] == by_time
    if not timed or (numbered and agree):
        order = "instance numbers" if numbered else "file names"
        text = f"{missing}; frames are in the order of their {order}"
        issues.append(DatasetIssue(first.file, "", "trigger time missing", text))
        return by_instance
    text = f"{missing}, and the instance numbers do not tell the order"
    issues.append(DatasetIssue(first.file, "", "order of frames unknown", text, "loss", "image"))
    return by_time
