"""DICOM files of phantoms: one image, or the frames of one cine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid


def write_dicom(path: Path, sop_class: UID, pixels: np.ndarray, tags: Mapping[str, object]) -> None:
    """Write grey pixels as an uncompressed DICOM file.

    Args:
        path: file to write.
        sop_class: UID of the kind of object.
        pixels: uint8 or uint16, `(rows, columns)` or `(frames, rows, columns)`.
        tags: DICOM elements by keyword; the instance's UID derives from `path.name` and these.
    """
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid("instance", path.name, *(f"{key}={value}" for key, value in tags.items()))
    for key, value in tags.items():
        setattr(dataset, key, value)
    bits = pixels.dtype.itemsize * 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def uid(*names: str) -> UID:
    """Return a DICOM UID that depends only on the given names."""
    return generate_uid(entropy_srcs=["/".join(names)])
