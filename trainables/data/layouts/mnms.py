"""M&Ms and M&Ms-2: cine MR of several centres and scanners, three structures labelled at two phases.

Campello et al., Multi-centre, multi-vendor and multi-disease cardiac segmentation: the M&Ms challenge, IEEE TMI 40
(2021); Martín-Isla et al., Deep learning segmentation of the right ventricle in cardiac MRI: the M&Ms challenge, IEEE
JBHI 27 (2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.common.errors import DataError
from trainables.data.layouts.cine_nifti import CineFormat, CineNifti, ExamInfo, InfoReader
from trainables.data.readers.tables import parse_count, read_rows
from trainables.data.records import DatasetIssue, Split

CLASSES = ("background", "lv", "myocardium", "rv")
LABELS = {"lv": 1, "myocardium": 2, "rv": 3}  # the reverse of ACDC's
MNMS_COLUMNS = ("External code", "ED", "ES")
_MNMS2_LAST_TRAIN, _MNMS2_LAST_VAL = 160, 200  # subject numbers; higher ones are the test split


@dataclass(frozen=True)
class Mnms(CineNifti):
    """M&Ms: `{Training/Labeled,Training/Unlabeled,Validation,Testing}/<code>/<code>_sa[_gt].nii.gz` and a CSV file.

    One image file and one mask file hold all time points; the CSV file names the two time points whose masks count.

    Attributes:
        frame_step: every `frame_step`-th frame of the cine becomes an unlabelled volume in addition to the two labelled
            ones, from 1 up; 0 for none.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    title: ClassVar[str] = "M&Ms"
    masks: ClassVar[str] = "CODE_sa_gt.nii.gz beside each cine"
    form: ClassVar[CineFormat] = CineFormat(
        folders={
            "Training/Labeled/*": "train",
            "Training/Unlabeled/*": "train",
            "Validation/*": "val",
            "Testing/*": "test",
        },
        views={"SA": "sa"},
        files={"cine": ("{subject}_sa",), "ED_gt": ("{subject}_sa_gt",), "ES_gt": ("{subject}_sa_gt",)},
        classes=CLASSES,
        labels={"SA": LABELS},
        expected="Training/Labeled/<code>/<code>_sa.nii.gz",
    )

    def info_reader(self, root: Path, issues: list[DatasetIssue]) -> InfoReader:
        """Read the CSV file in the dataset's folder and return a look-up in it.

        Raises:
            DataError: there is no CSV file, or it lacks a column.
        """
        table = _read_table(root, issues)
        return lambda folder: table.get(folder.name, ExamInfo(found=False))

    def usable_files(
        self, place: str, view: str, files: Mapping[str, str], info: ExamInfo, issues: list[DatasetIssue]
    ) -> Mapping[str, str]:
        """Return the files without masks whose phases are unknown; report a missing cine or missing phases."""
        if "cine" not in files:
            issues.append(DatasetIssue(place, "", "missing image", "no short-axis cine", "loss", "sequence"))
            return {}
        if "ED_gt" in files and not info.found:
            text = "the subject has masks, but no row of the CSV file names its phases"
            issues.append(DatasetIssue(place, "", "phases missing", text, "loss", "mask"))
            return {"cine": files["cine"]}
        return files


@dataclass(frozen=True)
class Mnms2(CineNifti):
    """M&Ms-2: `dataset/NNN/NNN_{SA,LA}_{ED,ES,CINE}[_gt].nii.gz`; subjects 1-160 train, 161-200 val, the rest test.

    Attributes:
        frame_step: every `frame_step`-th frame of a cine becomes an unlabelled volume in addition to the two labelled
            ones, from 1 up; 0 for none.
        slice_axis: axis of the files' arrays, from 0, along which volumes are cut into slices; None for that of the
            acquisition or of the largest spacing.
    """

    title: ClassVar[str] = "M&Ms-2"
    masks: ClassVar[str] = "NNN_VIEW_PHASE_gt.nii.gz beside each image"
    form: ClassVar[CineFormat] = CineFormat(
        folders={"dataset/[0-9]*": None},
        views={"SA": "SA", "LA": "LA"},
        files={
            "ED": ("{subject}_{view}_ED",),
            "ED_gt": ("{subject}_{view}_ED_gt",),
            "ES": ("{subject}_{view}_ES",),
            "ES_gt": ("{subject}_{view}_ES_gt",),
            "cine": ("{subject}_{view}_CINE",),
        },
        classes=CLASSES,
        labels={"SA": LABELS, "LA": LABELS},
        expected="dataset/001/001_SA_ED.nii.gz",
    )

    def info_reader(self, root: Path, issues: list[DatasetIssue]) -> InfoReader:
        """Return a reader that finds nothing: file names say everything."""
        return lambda _: ExamInfo()

    def usable_files(
        self, place: str, view: str, files: Mapping[str, str], info: ExamInfo, issues: list[DatasetIssue]
    ) -> Mapping[str, str]:
        """Return the files unchanged; report a view without any."""
        if not files:
            issues.append(DatasetIssue(place, "", "view missing", f"no {view} image"))
        return files

    def split_of(self, folder: Path, split: Split | None) -> Split | None:
        """Return the split by the subject's number; None for a folder whose name is not a number."""
        number = parse_count(folder.name)
        if number is None:
            return None
        return "train" if number <= _MNMS2_LAST_TRAIN else "val" if number <= _MNMS2_LAST_VAL else "test"


def _read_table(root: Path, issues: list[DatasetIssue]) -> Mapping[str, ExamInfo]:
    """Read the time points (from 0) of the two phases by subject from the CSV file in the dataset's folder."""
    table = next((path for path in sorted(root.glob("*.csv")) if not path.name.startswith(".")), None)
    if table is None:
        raise DataError(f"{root}: no CSV file with the columns {', '.join(MNMS_COLUMNS)} (expected M&Ms)")
    found: dict[str, ExamInfo] = {}
    for row, (code, *cells) in read_rows(table, MNMS_COLUMNS):
        diastole, systole = (parse_count(cell) for cell in cells)
        if diastole is None or systole is None:
            text = f"unreadable phases (found ED '{cells[0]}', ES '{cells[1]}', expected whole numbers)"
            issues.append(DatasetIssue(table.name, f"row {row}", "phases missing", text))
        else:
            found[code] = ExamInfo({"ED": diastole, "ES": systole})
    return found
