"""The phantom as a scanner exports cine cardiac MR: a DICOM series a plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.uid import MRImageStorage

from trainables.data.records import Progress
from trainables.phantom.anatomy.cardiac_mr import ViewPlane, draw_examination
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.dicom_file import uid, write_dicom

_BEAT = 900.0  # ms
_DESCRIPTIONS = {"SA": "cine", "2CH": "cine 2CH", "4CH": "cine 4CH"}  # short-axis series often do not say so


def write_cardiac_dicom(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write one folder per subject below `root` with one folder per series, without labels."""
    for number in range(1, settings.subjects + 1):
        name = f"subject{number:03d}"
        exam = draw_examination(settings, f"dicom {number}")
        series = 0
        for view, images in exam.views.items():
            for slice_ in range(len(images.planes)):
                series += 1
                write_series(root / name / f"Se{series}", name, series, _DESCRIPTIONS[view], images, slice_)
        if progress is not None:
            progress("generating phantom", number, settings.subjects)


def write_series(folder: Path, name: str, series: int, description: str, view: ViewPlane, slice_: int) -> None:
    """Write all frames of one plane."""
    folder.mkdir(parents=True, exist_ok=True)
    origin, down, right = view.planes[slice_]
    row, column = np.linalg.norm(down), np.linalg.norm(right)
    tags: dict[str, object] = {
        "Modality": "MR",
        "PatientID": name,
        "PatientName": "anonymous",
        "PatientPosition": "HFS",
        "StudyInstanceUID": uid("cardiac", name),
        "FrameOfReferenceUID": uid("cardiac", name, "patient"),
        "SeriesInstanceUID": uid("cardiac", name, str(series)),
        "SeriesNumber": series,
        "SeriesDescription": description,
        "ImagePositionPatient": [round(float(value), 4) for value in origin],
        "ImageOrientationPatient": [round(float(value), 6) for value in (*(right / column), *(down / row))],
        "PixelSpacing": [round(float(row), 5), round(float(column), 5)],
        "SliceThickness": round(view.thickness, 3),
        "NominalInterval": round(_BEAT),
        "CardiacNumberOfImages": len(view.images),
    }
    count = len(view.images)
    for moment in range(count):
        time = {"TriggerTime": round(_BEAT * moment / count, 2), "InstanceNumber": moment + 1}
        write_dicom(folder / f"{moment + 1:04d}.dcm", MRImageStorage, view.images[moment, slice_], tags | time)
