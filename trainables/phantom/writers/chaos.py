"""The phantom on disk as CHAOS publishes its abdominal MR: DICOM slices, and masks as grey PNG files.

Kavur et al., CHAOS challenge: combined (CT-MR) healthy abdominal organ segmentation, Medical Image Analysis 69, 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from pydicom.uid import MRImageStorage

from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.anatomy.abdomen import LABELS, Sequence, draw_abdomen
from trainables.phantom.anatomy.volume import Volume
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.dicom_file import uid, write_dicom

GREY = {"liver": 63, "right kidney": 126, "left kidney": 189, "spleen": 252}
"""Grey value of each organ in the masks."""

LABELLED = 0.5
"""Share of the subjects with published masks: 20 of 40."""

_SERIES: Mapping[Sequence, int] = {"T1DUAL": 4, "T2SPIR": 2}
# In ms, at 1.5 T.
_ECHO_TIMES: Mapping[Sequence, Mapping[str, float]] = {
    "T1DUAL": {"InPhase": 4.6, "OutPhase": 2.3},
    "T2SPIR": {"": 70.0},
}


def write_chaos(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `Train_Sets/MR/<id>/` with masks and `Test_Sets/MR/<id>/` without, below `root`."""
    names = [str(number) for number in range(1, settings.subjects + 1)]
    splits = split_subjects(names, (LABELLED, 0.0, 1 - LABELLED), settings.seed)
    for done, name in enumerate(names, 1):
        labelled = splits[name] == "train"
        for sequence in _SERIES:
            folder = root / ("Train_Sets" if labelled else "Test_Sets") / "MR" / name / sequence
            write_sequence(folder, name, sequence, draw_abdomen(settings, name, sequence), labelled=labelled)
        if progress is not None:
            progress("generating phantom", done, settings.subjects)


def write_sequence(folder: Path, name: str, sequence: Sequence, volume: Volume, *, labelled: bool) -> None:
    """Write a sequence's slices from the head down; those of T1DUAL alternate, out of phase first."""
    echoes = _ECHO_TIMES[sequence]
    for channel, (phase, echo) in enumerate(echoes.items()):
        images = _slices(volume.images[..., channel])
        (folder / "DICOM_anon" / phase).mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            number = _number(index, channel, len(echoes))
            tags = _tags(name, sequence, phase, volume) | {"EchoTime": echo, "InstanceNumber": number}
            tags |= _place(volume, index)
            path = folder / "DICOM_anon" / phase / f"{_stem(sequence, number)}.dcm"
            write_dicom(path, MRImageStorage, np.clip(np.rint(image), 0, 4095).astype(np.uint16), tags)
    if labelled:
        (folder / "Ground").mkdir(parents=True, exist_ok=True)
        shades = np.zeros(max(LABELS.values()) + 1, np.uint8)
        for organ, label in LABELS.items():
            shades[label] = GREY[organ]
        for index, mask in enumerate(_slices(shades[volume.labels])):
            number = _number(index, 0, len(echoes))  # named after the slice in phase
            cv2.imwrite(str(folder / "Ground" / f"{_stem(sequence, number)}.png"), mask)


def _slices(volume: np.ndarray) -> np.ndarray:
    """Return the volume as displayed `(slices, rows, columns)`: patient's right on the left, front up, head first."""
    return np.ascontiguousarray(volume[::-1, ::-1, ::-1].T)


def _number(index: int, channel: int, channels: int) -> int:
    return index * channels + channels - channel


def _stem(sequence: Sequence, number: int) -> str:
    return f"IMG-{_SERIES[sequence]:04d}-{number:05d}"


def _place(volume: Volume, index: int) -> dict[str, object]:
    """Return the position of slice `index` in DICOM's axes: x to the left, y to the back, z to the head."""
    right, front, head = (abs(float(value)) for value in volume.affine[:3, 3])
    height = head - index * volume.spacing[2]
    return {
        "ImagePositionPatient": [_decimal(-right), _decimal(-front), _decimal(height)],
        "SliceLocation": _decimal(height),
    }


def _tags(name: str, sequence: Sequence, phase: str, volume: Volume) -> dict[str, object]:
    width, height, depth = volume.spacing
    return {
        "Modality": "MR",
        "PatientID": name,
        "PatientName": "anonymous",
        "StudyInstanceUID": uid("chaos", name),
        "SeriesInstanceUID": uid("chaos", name, sequence, phase),
        "FrameOfReferenceUID": uid("chaos", name, "frame"),
        "SeriesNumber": _SERIES[sequence],
        "SeriesDescription": sequence,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [_decimal(height), _decimal(width)],
        "SliceThickness": _decimal(depth),
        "SpacingBetweenSlices": _decimal(depth),
    }


def _decimal(value: float) -> float:
    return round(value, 4)
