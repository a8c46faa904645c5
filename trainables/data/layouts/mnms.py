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
from trainables.data.layouts.volumes import examined_view, read_clip
from trainables.data.readers.nifti import find
from trainables.data.readers.tables import read_rows, whole
from trainables.data.records import Clip, DatasetIssue, Layout, Phase, Pixels, Scan, Split

CLASSES = ("background", "lv", "myocardium", "rv")
LABELS = {"lv": 1, "myocardium": 2, "rv": 3}  # the reverse of ACDC's
MNMS_COLUMNS = ("External code", "ED", "ES")
MNMS_PARTS: dict[str, Split] = {
    "Training/Labeled": "train",
    "Training/Unlabeled": "train",
    "Validation": "val",
    "Testing": "test",
}
MNMS2_VIEWS = ("SA", "LA")
_MNMS2_TRAIN, _MNMS2_VAL = 160, 200  # the last subjects of the two splits; the rest is for testing


@dataclass(frozen=True)
class Mnms(Layout):
    """M&Ms: `{Training/Labeled,Training/Unlabeled,Validation,Testing}/<code>/<code>_sa[_gt].nii.gz` and a CSV file.

    Image and mask of all moments are one file each; the CSV file names the two moments whose masks count.

    Attributes:
        frame_step: of the other moments every k-th is an unlabelled volume; 0 for none.
    """

    title: ClassVar[str] = "M&Ms"
    frame_step: int = 5

    def __post_init__(self) -> None:
        if self.frame_step < 0:
            raise ValueError(f"frame_step {self.frame_step}: expected a whole number from 0 up")

    def scan(self, root: Path) -> Scan:
        """List the volumes of every subject.

        Raises:
            DataError: no subject's folder is there, or not the CSV file.
        """
        faults: list[DatasetIssue] = []
        clips: list[Clip] = []
        phases = _phases(root, faults)
        seen: set[str] = set()
        for part, split in MNMS_PARTS.items():
            for folder in sorted(path for path in (root / part).glob("*") if path.is_dir()):
                place = folder.relative_to(root).as_posix()
                if folder.name in seen:
                    text = "the subject's folder is in another part too, which is taken"
                    faults.append(DatasetIssue(place, "", "subject in two splits", text, "loss", "sequence"))
                    continue
                seen.add(folder.name)
                clips.extend(_subject(root, folder, split, phases.get(folder.name), self.frame_step, faults))
        if not seen:
            raise DataError(f"{root}: no subjects, expected M&Ms (Training/Labeled/<code>/<code>_sa.nii.gz ...)")
        return Scan(tuple(clips), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a volume.

        Raises:
            DataError: a file of it is unreadable.
        """
        return read_clip(root, clip, {number: CLASSES.index(name) for name, number in LABELS.items()})


@dataclass(frozen=True)
class Mnms2(Layout):
    """M&Ms-2: `dataset/NNN/NNN_{SA,LA}_{ED,ES,CINE}[_gt].nii.gz`; subjects 1-160 train, 161-200 val, the rest test.

    Attributes:
        frame_step: of the cine's moments every k-th is an unlabelled volume besides the two labelled ones; 0 for none.
    """

    title: ClassVar[str] = "M&Ms-2"
    frame_step: int = 5

    def __post_init__(self) -> None:
        if self.frame_step < 0:
            raise ValueError(f"frame_step {self.frame_step}: expected a whole number from 0 up")

    def scan(self, root: Path) -> Scan:
        """List the volumes of every subject.

        Raises:
            DataError: there is no `dataset` folder with subjects.
        """
        faults: list[DatasetIssue] = []
        clips: list[Clip] = []
        folders = sorted(path for path in (root / "dataset").glob("[0-9]*") if path.is_dir())
        if not folders:
            raise DataError(f"{root}: no subjects, expected M&Ms-2 (dataset/001/001_SA_ED.nii.gz ...)")
        for folder in folders:
            for view in MNMS2_VIEWS:
                files = _named(root, folder, view)
                clips.extend(
                    examined_view(root, folder.name, view, _part(folder.name), files, faults, every=self.frame_step)
                )
                if not files:
                    text = f"no {view} image"
                    faults.append(DatasetIssue(folder.relative_to(root).as_posix(), "", "view missing", text))
        return Scan(tuple(clips), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a volume.

        Raises:
            DataError: a file of it is unreadable.
        """
        return read_clip(root, clip, {number: CLASSES.index(name) for name, number in LABELS.items()})


def _phases(root: Path, faults: list[DatasetIssue]) -> Mapping[str, Mapping[Phase, int]]:
    """The moments of the two phases, by subject, from the one CSV file in the dataset's folder."""
    table = next((path for path in sorted(root.glob("*.csv")) if not path.name.startswith(".")), None)
    if table is None:
        raise DataError(f"{root}: no CSV file with the columns {', '.join(MNMS_COLUMNS)}, expected M&Ms")
    found: dict[str, Mapping[Phase, int]] = {}
    for row, (code, *cells) in read_rows(table, MNMS_COLUMNS):
        diastole, systole = (whole(cell) for cell in cells)
        if diastole is None or systole is None:
            text = f"ED '{cells[0]}', ES '{cells[1]}', expected whole numbers"
            faults.append(DatasetIssue(table.name, f"row {row}", "phases missing", text))
        else:
            found[code] = {"ED": diastole, "ES": systole}
    return found


def _subject(
    root: Path, folder: Path, split: Split, phases: Mapping[Phase, int] | None, every: int, faults: list[DatasetIssue]
) -> list[Clip]:
    cine, mask = find(folder / f"{folder.name}_sa"), find(folder / f"{folder.name}_sa_gt")
    place = folder.relative_to(root).as_posix()
    if cine is None:
        faults.append(DatasetIssue(place, "", "missing image", "no short-axis cine", "loss", "sequence"))
        return []
    files = {"cine": cine.relative_to(root).as_posix()}
    if mask is not None and phases is None:
        text = "labelled, but no row of the CSV file tells its phases"
        faults.append(DatasetIssue(place, "", "phases missing", text, "loss", "mask"))
    elif mask is not None:
        files |= dict.fromkeys(("ED_gt", "ES_gt"), mask.relative_to(root).as_posix())
    return examined_view(root, folder.name, "SA", split, files, faults, every=every, known=phases)


def _named(root: Path, folder: Path, view: str) -> dict[str, str]:
    roles = {"ED": "ED", "ED_gt": "ED_gt", "ES": "ES", "ES_gt": "ES_gt", "cine": "CINE"}
    paths = {role: find(folder / f"{folder.name}_{view}_{stem}") for role, stem in roles.items()}
    return {role: path.relative_to(root).as_posix() for role, path in paths.items() if path is not None}


def _part(code: str) -> Split | None:
    place = whole(code)
    if place is None:
        return None
    return "train" if place <= _MNMS2_TRAIN else "val" if place <= _MNMS2_VAL else "test"
