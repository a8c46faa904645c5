"""Modality of images, as far as their headers or names tell it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import pydicom

from trainables.data.proposal.file_names import split_words
from trainables.data.readers.pictures import is_dicom

Modality = Literal["ultrasound", "mr", ""]

_MR = frozenset(("mr", "mri", "t1", "t2", "t1w", "t2w", "flair", "adc", "dwi", "cine", "lge", "bssfp"))
_ULTRASOUND = frozenset(("us", "ultrasound", "echo", "echocardiography", "sonography", "doppler"))
_DICOM: dict[str, Modality] = {"US": "ultrasound", "IVUS": "ultrasound", "MR": "mr"}


def guess_modality(root: Path, files: Sequence[str], names: Iterable[str]) -> Modality:
    """Return the modality of images; "" where nothing tells it.

    Args:
        root: the dataset's folder.
        files: paths of images relative to it; the first DICOM file's header counts.
        names: names of folders, views and channels, whose words count where there is no DICOM file.
    """
    dicom = next((file for file in files if is_dicom(file)), None)
    if dicom is not None:
        try:
            header = pydicom.dcmread(root / dicom, stop_before_pixels=True, specific_tags=["Modality"], force=True)
            return _DICOM.get(str(header.get("Modality", "")), "")
        except Exception:  # a damaged header; the check of the dataset names it
            return ""
    words = {word for name in names for word in (name.casefold(), *split_words(name), *_joined(name))}
    return "ultrasound" if words & _ULTRASOUND else "mr" if words & _MR else ""


def _joined(name: str) -> list[str]:
    """Return each pair of neighbouring words as one: "t" and "2" are "t2"."""
    words = split_words(name)
    return [first + second for first, second in itertools.pairwise(words)]
