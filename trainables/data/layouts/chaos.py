"""CHAOS: abdominal MR in three contrasts; liver, kidneys and spleen labelled.

Kavur et al., CHAOS challenge: combined (CT-MR) healthy abdominal organ segmentation, Medical Image Analysis 69 (2021).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainables.common.errors import DataError
from trainables.data.layouts.dicom_series import instance_key
from trainables.data.layouts.labels import to_classes
from trainables.data.readers.dicom import DicomHeader, read_dicom_header
from trainables.data.readers.dicom_file import NotAnImageError, is_dicom
from trainables.data.readers.dicom_pixels import read_dicom_frames
from trainables.data.readers.flat_pictures import read_flat
from trainables.data.readers.grey import GreyRule, percentile_window
from trainables.data.records import DatasetIssue, DatasetListing, Layout, Phase, Pixels, SequenceRecord, Split

PARTS: dict[str, Split | None] = {"Train_Sets": None, "Test_Sets": None}
CONTRASTS = {
    "T1-in": ("T1DUAL", "DICOM_anon/InPhase"),
    "T1-out": ("T1DUAL", "DICOM_anon/OutPhase"),
    "T2-SPIR": ("T2SPIR", "DICOM_anon"),
}
LEVELS = {"liver": (55, 70), "right kidney": (110, 135), "left kidney": (175, 200), "spleen": (240, 255)}
CLASSES = ("background", *LEVELS)
_MEANING = {level: CLASSES.index(name) for name, (low, high) in LEVELS.items() for level in range(low, high + 1)}


@dataclass(frozen=True)
class Chaos(Layout):
    """`{Train_Sets,Test_Sets}/MR/<id>/{T1DUAL,T2SPIR}/DICOM_anon[/InPhase,/OutPhase]` and `Ground/*.png`.

    A sequence is a patient's volume in one contrast, which is its view. The masks of `Test_Sets` are not published, so
    these are unlabelled training data; there is no official split.
    """

    title: ClassVar[str] = "CHAOS (MR)"
    masks: ClassVar[str] = "the folder Ground of each subject"
    grey: ClassVar[GreyRule] = "stretched"

    def scan(self, root: Path) -> DatasetListing:
        """List the volumes of every patient.

        Raises:
            DataError: there is no patient's folder.
        """
        issues: list[DatasetIssue] = []
        records: list[SequenceRecord] = []
        patients = [path for part in PARTS for path in sorted((root / part / "MR").glob("*")) if path.is_dir()]
        if not patients:
            raise DataError(f"{root}: no patients, expected CHAOS (Train_Sets/MR/1/T2SPIR/DICOM_anon/...)")
        for patient in patients:
            for view, (sequence, below) in CONTRASTS.items():
                record = _record(root, patient, view, patient / sequence / below, patient / sequence / "Ground", issues)
                if record is not None:
                    records.append(record)
        return DatasetListing(tuple(records), CLASSES, tuple(issues))

    def read(self, root: Path, record: SequenceRecord) -> Pixels:
        """Decode a volume, slices in the order of their positions.

        A mask belongs to the slice of its name, or, where names differ, to the slice of its place among the names.

        Raises:
            DataError: a slice or a mask is unreadable.
        """
        paths = _slices(root / record.files["image"])
        headers = [read_dicom_header(path) for path in paths]
        volume = read_stack(paths, headers)
        places = [header.plane for header in headers if header.plane is not None]
        planes = np.stack(places) if len(places) == len(headers) else None
        order = _by_position(planes) if planes is not None else np.arange(len(paths))
        images = percentile_window(volume)[order, None]
        planes = planes[order] if planes is not None else None
        if "mask" not in record.files:
            return Pixels(images, {}, planes)
        file = record.files["mask"]
        names = sorted((root / file).glob("*.png"), key=_natural)
        if len(names) == len(paths) and {name.stem for name in names} == {path.stem for path in paths}:
            names = [(root / file) / f"{path.stem}.png" for path in paths]
        elif not np.array_equal(order, np.arange(len(paths))):
            text = "the names of the slices contradict their positions, and no mask has the name of its slice"
            return Pixels(images, {}, planes, (DatasetIssue(file, "", "order of masks unknown", text, "loss", "mask"),))
        labels = np.stack([read_flat(path) for path in names]) if names else np.zeros((0, 0, 0), np.uint8)
        mask, issue = to_classes(labels.astype(np.int64), volume.shape, _MEANING, file)
        masks = dict(enumerate(mask[order])) if mask is not None else {}
        return Pixels(images, masks, planes, (issue,) if issue else ())

    def takes(self, path: Path) -> bool:
        """Return True for a folder of DICOM slices."""
        return path.is_dir() and any(each.is_file() and is_dicom(each) for each in path.iterdir())

    def records_of(self, path: Path) -> tuple[SequenceRecord]:
        """List a folder of slices by itself.

        Raises:
            DataError: the first slice has no readable header.
        """
        header = read_dicom_header(_slices(path)[0])
        files = {"image": path.name}
        return (SequenceRecord("", path.name, "", spacing=header.spacing, stack=True, files=files),)


def _record(
    root: Path, patient: Path, view: str, folder: Path, ground: Path, issues: list[DatasetIssue]
) -> SequenceRecord | None:
    place = folder.relative_to(root).as_posix()
    slices = _slices(folder)
    if not slices:
        issues.append(DatasetIssue(place, "", "missing image", f"no DICOM slices of {view}", "loss", "sequence"))
        return None
    try:
        header = read_dicom_header(slices[0])
    except DataError as error:
        text = str(error).removeprefix(f"{slices[0]}: ")
        file = slices[0].relative_to(root).as_posix()
        issues.append(DatasetIssue(file, "", "unreadable header", text, "damage", "sequence"))
        return None
    if header.spacing is None:
        issues.append(DatasetIssue(place, slices[0].name, "spacing missing", "the header gives no pixel spacing"))
    files, labelled = {"image": place}, dict[int, Phase]()
    if ground.is_dir():
        files["mask"] = ground.relative_to(root).as_posix()
        labelled = dict.fromkeys(range(len(slices)), "")
    return SequenceRecord(
        subject=f"{patient.parents[1].name}/{patient.name}",
        sequence=f"{patient.parents[1].name}/{patient.name}/{view}",
        view=view,
        frames=len(slices),
        labelled=labelled,
        spacing=header.spacing,
        stack=True,
        files=files,
    )


def _slices(folder: Path) -> list[Path]:
    """Return a folder's DICOM images in the order of their names, numbers by value; copies of a slice count once."""
    found: list[Path] = []
    seen: set[object] = set()
    for path in sorted((path for path in folder.glob("*") if path.is_file() and is_dicom(path)), key=_natural):
        try:
            header = read_dicom_header(path)
        except NotAnImageError:
            continue
        except DataError:  # it is reported when the volume is read
            found.append(path)
            continue
        key = instance_key(header) or path
        if header.is_gray and key not in seen:
            found.append(path)
            seen.add(key)
    return found


def _natural(path: Path) -> tuple[tuple[str | int, ...], str]:
    """Return a sort key that takes the numbers in a file's name by their value."""
    parts = re.split(r"([0-9]+)", path.stem)
    return tuple(int(part) if part.isdecimal() else part for part in parts), path.name


def _by_position(planes: np.ndarray) -> np.ndarray:
    """Return the indices that order slices along their normal; the given order where it runs either way along it."""
    normal = np.cross(planes[0, 2], planes[0, 1])
    heights = planes[:, 0] @ normal
    steps = np.diff(heights)
    if (steps > 0).all() or (steps < 0).all():
        return np.arange(len(planes))
    return np.argsort(heights, kind="stable")


def read_stack(paths: list[Path], headers: list[DicomHeader]) -> np.ndarray:
    """Read single-frame files as one array `(len(paths), H, W)`.

    Raises:
        DataError: a file is unreadable, or differs in size from the first.
    """
    planes = []
    for path, header in zip(paths, headers, strict=True):
        if header.shape != headers[0].shape or header.frames != 1:
            found = f"{header.frames} frames of {header.shape[0]}x{header.shape[1]}"
            raise DataError(f"{path}: {found}, expected one of {headers[0].shape[0]}x{headers[0].shape[1]}")
        planes.append(read_dicom_frames(path)[0])
    return np.stack(planes)
