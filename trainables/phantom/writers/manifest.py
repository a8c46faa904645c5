"""The phantom as one's own data: files of any kind, listed in `manifest.csv`, with their classes in `classes.csv`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import nibabel as nib
import numpy as np
from pydicom import Dataset
from pydicom.uid import UltrasoundMultiFrameImageStorage

from trainables.data.layouts import camus
from trainables.data.readers.metaimage_writer import write_metaimage
from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.imaging.cine import Cine, draw_cine
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.camus import half_cycle, truth
from trainables.phantom.writers.dicom_file import uid, write_dicom
from trainables.phantom.writers.echonet import FRAME_RATE, write_avi, write_video

MANIFEST, CLASSES = "manifest.csv", "classes.csv"
COLUMNS = ("subject", "split", "image", "mask", "view", "frame", "row_mm", "column_mm")
VIEW = "4CH"
_SILENT = (".png", ".avi", ".mp4")
"""File formats without pixel spacing."""


class Listed(NamedTuple):
    """Image, mask and frame of one manifest row; files are relative to the subject's folder."""

    image: str
    mask: str = ""
    frame: int | str = ""


def write_manifest(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `manifest.csv`, `classes.csv` and the files that they list below `root`.

    The first subjects are one of each kind of file (PNG, NIfTI, DICOM, MetaImage, AVI, MP4), all others are PNG.
    """
    names = [f"subject{number:03d}" for number in range(1, settings.subjects + 1)]
    splits = split_subjects(names, settings.fractions, settings.seed)
    root.mkdir(parents=True, exist_ok=True)
    _write_table(root / CLASSES, ("value", "name"), [[str(i), name] for i, name in enumerate(camus.CLASSES)])
    kinds = [*KINDS.values()]
    rows = []
    for number, name in enumerate(names):
        write = kinds[number] if number < len(kinds) else write_png
        (root / name).mkdir(exist_ok=True)
        cine = draw_cine(settings, name, VIEW)
        for image, mask, frame in write(root / name, cine):
            files = [f"{name}/{image}", mask and f"{name}/{mask}"]
            spacing = f"{cine.millimetres / settings.size:.6f}" if image.endswith(_SILENT) else ""
            rows.append([name, splits[name], *files, VIEW, str(frame), spacing, spacing])
        if progress is not None:
            progress("generating phantom", number + 1, settings.subjects)
    _write_table(root / MANIFEST, COLUMNS, rows)


def _write_table(path: Path, header: tuple[str, ...], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_png(folder: Path, cine: Cine) -> list[Listed]:
    """Write one file per frame of the half cycle; the first and last have masks."""
    images, masks = half_cycle(cine)
    rows = []
    for frame, (image, mask) in enumerate(zip(images, masks, strict=True)):
        cv2.imwrite(str(folder / f"{frame:03d}.png"), image)
        drawn = f"{frame:03d}_mask.png" if frame in (0, len(images) - 1) else ""
        if drawn:
            cv2.imwrite(str(folder / drawn), mask)
        rows.append(Listed(f"{frame:03d}.png", drawn, frame))
    return rows


def write_nifti(folder: Path, cine: Cine) -> list[Listed]:
    """Write all frames along the third axis of one file, and their masks to another."""
    spacing = cine.millimetres / cine.images.shape[-1]
    for stem, values in (("image", cine.images), ("mask", _masks(cine))):
        image = nib.Nifti1Image(values.T, np.diag([-spacing, -spacing, 1, 1]))  # type: ignore[no-untyped-call]
        nib.save(image, folder / f"{stem}.nii.gz")
    return [Listed("image.nii.gz", "mask.nii.gz")]


def write_metaimages(folder: Path, cine: Cine) -> list[Listed]:
    """Write all frames along the third axis of one compressed file, and their masks to another."""
    spacing = cine.millimetres / cine.images.shape[-1]
    for stem, values in (("image", cine.images), ("mask", _masks(cine))):
        write_metaimage(folder / f"{stem}.mhd", values.T, (spacing, spacing, 1.0), compress=stem == "mask")
    return [Listed("image.mhd", "mask.mhd")]


def write_cine(folder: Path, cine: Cine) -> list[Listed]:
    """Write an ultrasound cine as one DICOM file; end-diastole and end-systole have masks."""
    spacing = cine.millimetres / cine.images.shape[-1]
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = spacing / 10
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = (side - 1 for side in cine.images.shape[:0:-1])
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    tags = {
        "Modality": "US",
        "PatientID": folder.name,
        "StudyInstanceUID": uid("manifest", folder.name),
        "SeriesInstanceUID": uid("manifest", folder.name, "series"),
        "FrameTime": 1000 / FRAME_RATE,
        "FrameIncrementPointer": 0x00181063,  # FrameTime
        "SequenceOfUltrasoundRegions": [region],
    }
    write_dicom(folder / "cine.dcm", UltrasoundMultiFrameImageStorage, cine.images, tags)
    return _ends(folder, "cine.dcm", cine)


def write_motion_jpeg(folder: Path, cine: Cine) -> list[Listed]:
    """Write a Motion JPEG video; end-diastole and end-systole have masks."""
    write_avi(folder / "video.avi", cine.images)
    return _ends(folder, "video.avi", cine)


def write_mpeg4(folder: Path, cine: Cine) -> list[Listed]:
    """Write an MPEG-4 video; end-diastole and end-systole have masks."""
    write_video(folder / "video.mp4", cine.images, "mpeg4", "yuv420p")
    return _ends(folder, "video.mp4", cine)


KINDS: Mapping[str, Callable[[Path, Cine], list[Listed]]] = {
    "png": write_png,
    "nifti": write_nifti,
    "dicom": write_cine,
    "metaimage": write_metaimages,
    "avi": write_motion_jpeg,
    "mp4": write_mpeg4,
}
"""Writer of each file format: (subject's folder, examination) -> manifest rows."""


def _ends(folder: Path, image: str, cine: Cine) -> list[Listed]:
    rows = []
    for phase, frame in (("ed", cine.end_diastole), ("es", cine.end_systole)):
        cv2.imwrite(str(folder / f"{phase}_mask.png"), truth(cine, frame))
        rows.append(Listed(image, f"{phase}_mask.png", frame))
    return rows


def _masks(cine: Cine) -> np.ndarray:
    return np.stack([truth(cine, frame) for frame in range(len(cine.images))])
