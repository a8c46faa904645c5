"""ACDC: short-axis cine MR of five groups of patients, three structures labelled at end-diastole and end-systole.

Bernard et al., Deep learning techniques for automatic MRI cardiac multi-structures segmentation and diagnosis, IEEE TMI
37 (2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.common.errors import DataError
from trainables.data.layouts.volumes import examined_view, read_clip
from trainables.data.readers.nifti import find
from trainables.data.readers.tables import number, read_pairs, whole
from trainables.data.records import Clip, DatasetIssue, Layout, Phase, Pixels, Scan, Split

CLASSES = ("background", "lv", "myocardium", "rv")
LABELS = {"rv": 1, "myocardium": 2, "lv": 3}
_PARTS: dict[str, Split | None] = {"training": "train", "testing": "test", ".": None}


@dataclass(frozen=True)
class Acdc(Layout):
    """`{training,testing}/patientNNN/patientNNN_{4d,frameNN,frameNN_gt}.nii.gz` and `Info.cfg`.

    The patients' folders may also lie in the dataset's folder itself, and the two phases be called `_ED` and `_ES`.

    Attributes:
        frame_step: of the cine's moments every k-th is an unlabelled volume besides the two labelled ones; 0 for none.
    """

    title: ClassVar[str] = "ACDC"
    frame_step: int = 5

    def __post_init__(self) -> None:
        if self.frame_step < 0:
            raise ValueError(f"frame_step {self.frame_step}: expected a whole number from 0 up")

    def scan(self, root: Path) -> Scan:
        """List the volumes of every patient.

        Raises:
            DataError: there is no folder of a patient.
        """
        faults: list[DatasetIssue] = []
        clips: list[Clip] = []
        for part, split in _PARTS.items():
            for folder in sorted(path for path in (root / part).glob("patient*") if path.is_dir()):
                clips.extend(_patient(root, folder, split, self.frame_step, faults))
        if not clips and not faults:
            raise DataError(f"{root}: no patients, expected ACDC (training/patient001/patient001_frame01.nii.gz ...)")
        return Scan(tuple(clips), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a volume.

        Raises:
            DataError: a file of it is unreadable.
        """
        return read_clip(root, clip, {number: CLASSES.index(name) for name, number in LABELS.items()})


def _patient(root: Path, folder: Path, split: Split | None, every: int, faults: list[DatasetIssue]) -> list[Clip]:
    cfg = folder / "Info.cfg"
    info = read_pairs(cfg) if cfg.is_file() else {}
    files: dict[str, str] = {}
    known: dict[Phase, int] = {}
    for phase in ("ED", "ES"):
        at = whole(info.get(phase, ""))
        stems = [f"{folder.name}_{phase}"] if at is None else [f"{folder.name}_frame{at:02d}", f"{folder.name}_{phase}"]
        if at is not None and at > 0:
            known[phase] = at - 1  # published from 1
        for role, suffix in ((phase, ""), (f"{phase}_gt", "_gt")):
            path = next((found for stem in stems if (found := find(folder / f"{stem}{suffix}"))), None)
            if path is not None:
                files[role] = path.relative_to(root).as_posix()
    cine = find(folder / f"{folder.name}_4d")
    if cine is not None:
        files["cine"] = cine.relative_to(root).as_posix()
    place = folder.relative_to(root).as_posix()
    if not {"ED", "ES"} & files.keys() and cine is None:
        text = "no volume of end-diastole, end-systole or the cine"
        faults.append(DatasetIssue(place, "", "no images", text, "loss", "sequence"))
    elif not info and cine is None and not {"ED", "ES"} <= files.keys():
        faults.append(DatasetIssue(place, "Info.cfg", "cfg missing", "no Info.cfg tells the frames of the two phases"))
    clinical = {key.lower(): value for key in ("Height", "Weight") if (value := number(info.get(key, ""))) is not None}
    return examined_view(root, folder.name, "SA", split, files, faults, every=every, known=known, clinical=clinical)
