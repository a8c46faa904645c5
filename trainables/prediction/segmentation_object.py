"""DICOM segmentation objects (SEG) of predicted masks, by highdicom."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

from trainables.common.errors import DataError, UserError
from trainables.data.readers.dicom_file import one_line
from trainables.data.readers.pictures import is_dicom
from trainables.prediction.containers import replacing
from trainables.prediction.decoding import DecodedImage

_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Entries of patient and study that an object must have, and that anonymized files often lack."""

_MAKER, _MODEL = "pretext-study", "segmentation network"


def require_highdicom() -> None:
    """Check that segmentation objects can be written.

    Raises:
        UserError: highdicom is not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise UserError("DICOM SEG needs the package highdicom. Fix: pip install 'pretext-study[dicom]'")


def is_dicom_image(image: DecodedImage) -> bool:
    """Return True for an image of one DICOM file, or of a folder of slices."""
    return is_dicom(image.source.path.name) or image.source.path.is_dir()


def write_segmentation(path: Path, image: DecodedImage, masks: np.ndarray, classes: tuple[str, ...], key: str) -> None:
    """Write masks as a segmentation object that refers to the image; it belongs to the image's patient and study.

    Args:
        path: file to write.
        image: an image of DICOM files.
        masks: class indices `(T, H, W)`.
        classes: names of the class indices, "background" first.
        key: digest of weights, options and image, of which the object's identifiers are made.

    Raises:
        DataError: the image lacks entries that a segmentation object requires, such as positions.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    sources = _sources(image)
    algorithm = hd.AlgorithmIdentificationSequence(_MODEL, codes.DCM.ArtificialIntelligence, key[:12])
    anatomy = hd.sr.CodedConcept("123037004", "SCT", "Anatomical Structure")
    segments = [
        hd.seg.SegmentDescription(
            number,
            name,
            anatomy,
            anatomy,
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(classes[1:], 1)
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they repeat the patient's name
            written = hd.seg.Segmentation(
                sources,
                masks,
                hd.seg.SegmentationTypeValues.BINARY,
                segments,
                generate_uid(entropy_srcs=["series", key]),
                100,
                generate_uid(entropy_srcs=["instance", key, image.source.name]),
                1,
                _MAKER,
                _MODEL,
                key[:12],
                key[:16],
                content_label="SEGMENTATION",
                series_description="Predicted segmentation",
                omit_empty_frames=bool(masks.any()),
            )
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        text = f"no segmentation object can refer to it ({one_line(error)}). Fix: write NIfTI"
        raise DataError(f"{image.source.path}: {text}") from None
    with replacing(path) as part:
        written.save_as(part)


def _sources(image: DecodedImage) -> list[Any]:
    """Return the image's files in the order of its frames, with empty entries where anonymization removed them."""
    sources = _files(image)
    for source in sources:
        for name in _MAY_BE_EMPTY:
            if name not in source:
                setattr(source, name, "")
    return sources


def _files(image: DecodedImage) -> list[Any]:
    path = image.source.path
    if path.is_file():
        return [dcmread(path)]
    datasets = [dcmread(file, stop_before_pixels=True) for file in sorted(path.iterdir()) if file.is_file()]
    assert image.planes is not None
    places = {tuple(np.round(plane[0], 2).tolist()): number for number, plane in enumerate(image.planes)}
    ordered = {
        places.get(tuple(np.round([float(v) for v in each.ImagePositionPatient], 2).tolist())): each
        for each in datasets
        if "ImagePositionPatient" in each
    }
    return [ordered[number] for number in range(len(image.planes))]
