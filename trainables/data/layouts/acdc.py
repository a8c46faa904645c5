"""ACDC: short-axis cine MR of five groups of patients, three structures labelled at end-diastole and end-systole.

Bernard et al., Deep learning techniques for automatic MRI cardiac multi-structures segmentation and diagnosis, IEEE TMI
37 (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.data.layouts.cine_nifti import CineFormat, CineNifti, ExamInfo, InfoReader
from trainables.data.readers.tables import parse_count, parse_float, read_pairs
from trainables.data.records import DatasetIssue, Phase

CLASSES = ("background", "lv", "myocardium", "rv")
LABELS = {"rv": 1, "myocardium": 2, "lv": 3}
_PHASES: tuple[Phase, ...] = ("ED", "ES")


@dataclass(frozen=True)
class Acdc(CineNifti):
    """`{training,testing}/patientNNN/patientNNN_{4d,frameNN,frameNN_gt}.nii.gz` and `Info.cfg`.

    The patients' folders may also lie in the dataset's folder itself, and the two phases be called `_ED` and `_ES`.

    Attributes:
        frame_step: every `frame_step`-th frame of the cine becomes an unlabelled volume in addition to the two labelled
            ones, from 1 up; 0 for none.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    title: ClassVar[str] = "ACDC"
    masks: ClassVar[str] = "patientNNN_frameNN_gt.nii.gz beside each frame"
    form: ClassVar[CineFormat] = CineFormat(
        folders={"training/patient*": "train", "testing/patient*": "test", "patient*": None},
        views={"SA": ""},
        files={
            "ED": ("{subject}_frame{frame:02d}", "{subject}_ED"),
            "ED_gt": ("{subject}_frame{frame:02d}_gt", "{subject}_ED_gt"),
            "ES": ("{subject}_frame{frame:02d}", "{subject}_ES"),
            "ES_gt": ("{subject}_frame{frame:02d}_gt", "{subject}_ES_gt"),
            "cine": ("{subject}_4d",),
        },
        classes=CLASSES,
        labels={"SA": LABELS},
        expected="training/patient001/patient001_frame01.nii.gz",
        first_frame=1,
    )

    def info_reader(self, root: Path, issues: list[DatasetIssue]) -> InfoReader:
        """Return a reader of the patients' `Info.cfg`."""
        return _read_info

    def usable_files(
        self, place: str, view: str, files: Mapping[str, str], info: ExamInfo, issues: list[DatasetIssue]
    ) -> Mapping[str, str]:
        """Return the files unchanged; report a patient without images, or without the frames of the two phases."""
        if not {"ED", "ES", "cine"} & files.keys():
            text = "no volume of end-diastole, end-systole or the cine"
            issues.append(DatasetIssue(place, "", "no images", text, "loss", "sequence"))
        elif not info.found and "cine" not in files and not {"ED", "ES"} <= files.keys():
            text = "no Info.cfg with the frames of the two phases"
            issues.append(DatasetIssue(place, "Info.cfg", "cfg missing", text))
        return files


def _read_info(folder: Path) -> ExamInfo:
    """Read the phases' frames (from 1), height and weight from a patient's `Info.cfg`."""
    path = folder / "Info.cfg"
    cells = read_pairs(path) if path.is_file() else {}
    frames = {phase: frame for phase in _PHASES if (frame := parse_count(cells.get(phase, ""))) is not None}
    clinical = {
        key.lower(): value for key in ("Height", "Weight") if (value := parse_float(cells.get(key, ""))) is not None
    }
    return ExamInfo(frames, clinical, found=bool(cells))
