"""Cardiac MR as UK Biobank studies keep it in NIfTI: short-axis stack and long-axis planes with their geometry.

Bai et al., Automated cardiovascular magnetic resonance image analysis with fully convolutional networks, JCMR 20
(2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.data.layouts.cine_nifti import CineFormat, CineNifti, ExamInfo, InfoReader
from trainables.data.records import DatasetIssue

CLASSES = ("background", "lv", "myocardium", "rv", "la", "ra")
STEMS = {"SA": "sa", "2CH": "la_2ch", "4CH": "la_4ch"}
LABELS = {
    "SA": {"lv": 1, "myocardium": 2, "rv": 3},
    "2CH": {"la": 1},
    "4CH": {"lv": 1, "myocardium": 2, "rv": 3, "la": 4, "ra": 5},
}


@dataclass(frozen=True)
class UkBiobank(CineNifti):
    """`<subject>/{sa,la_2ch,la_4ch}[_ED,_ES].nii.gz` and `label_<view>_{ED,ES}.nii.gz`.

    Where a phase has no image file, end-diastole is the cine's first frame. The end-systolic frame is not recorded
    anywhere, so an end-systolic mask needs its image file.

    Attributes:
        frame_step: every `frame_step`-th frame of a cine becomes an unlabelled volume in addition to the two labelled
            ones, from 1 up; 0 for none. A single-slice cine is kept with all its frames.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    title: ClassVar[str] = "UK Biobank cardiac MR (NIfTI)"
    masks: ClassVar[str] = "label_VIEW_PHASE.nii.gz beside each image"
    form: ClassVar[CineFormat] = CineFormat(
        folders={"*": None},
        views=STEMS,
        files={
            "cine": ("{view}",),
            "ED": ("{view}_ED",),
            "ED_gt": ("label_{view}_ED",),
            "ES": ("{view}_ES",),
            "ES_gt": ("label_{view}_ES",),
        },
        classes=CLASSES,
        labels=LABELS,
        expected="<subject>/sa.nii.gz, la_2ch.nii.gz",
    )

    def info_reader(self, root: Path, issues: list[DatasetIssue]) -> InfoReader:
        """Return a reader that knows end-diastole as every cine's first frame."""
        return lambda _: ExamInfo({"ED": 0})
