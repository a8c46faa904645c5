"""Cardiac MR as UK Biobank studies keep it in NIfTI: short-axis stack and long-axis planes with their geometry.

Bai et al., Automated cardiovascular magnetic resonance image analysis with fully convolutional networks, JCMR 20
(2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainables.common.errors import DataError
from trainables.data.layouts.volumes import examined_view, read_clip
from trainables.data.readers.nifti import find
from trainables.data.records import Clip, DatasetIssue, Layout, Pixels, Scan

CLASSES = ("background", "lv", "myocardium", "rv", "la", "ra")
STEMS = {"SA": "sa", "2CH": "la_2ch", "4CH": "la_4ch"}
LABELS = {
    "SA": {"lv": 1, "myocardium": 2, "rv": 3},
    "2CH": {"la": 1},
    "4CH": {"lv": 1, "myocardium": 2, "rv": 3, "la": 4, "ra": 5},
}


@dataclass(frozen=True)
class UkBiobank(Layout):
    """`<subject>/{sa,la_2ch,la_4ch}[_ED,_ES].nii.gz` and `label_<view>_{ED,ES}.nii.gz`.

    Where a phase has no image of its own, end-diastole is the cine's first moment; the end-systolic moment is not
    written anywhere, so that a label of end-systole needs its image.

    Attributes:
        frame_step: distance of the cine's moments that are unlabelled data besides the two labelled ones, from 1 up; 0
            for none. A cine of a single slice keeps all moments.
    """

    title: ClassVar[str] = "UK Biobank cardiac MR (NIfTI)"
    frame_step: int = 5

    def __post_init__(self) -> None:
        if self.frame_step < 0:
            raise ValueError(f"frame_step {self.frame_step}: expected a whole number from 0 up")

    def scan(self, root: Path) -> Scan:
        """List the views of every subject.

        Raises:
            DataError: no subject's folder holds one of the views.
        """
        faults: list[DatasetIssue] = []
        clips: list[Clip] = []
        for folder in sorted(path for path in root.glob("*") if path.is_dir()):
            for view, stem in STEMS.items():
                files = _files(root, folder, stem)
                clips.extend(
                    examined_view(root, folder.name, view, None, files, faults, every=self.frame_step, known={"ED": 0})
                )
        if not clips and not faults:
            raise DataError(f"{root}: no subjects, expected cardiac MR (<subject>/sa.nii.gz, la_2ch.nii.gz, ...)")
        return Scan(tuple(clips), CLASSES, tuple(faults))

    def read(self, root: Path, clip: Clip) -> Pixels:
        """Decode a volume or a single-slice cine.

        Raises:
            DataError: a file of it is unreadable.
        """
        return read_clip(root, clip, {number: CLASSES.index(name) for name, number in LABELS[clip.view].items()})


def _files(root: Path, folder: Path, stem: str) -> dict[str, str]:
    roles = {"cine": stem}
    for phase in ("ED", "ES"):
        roles |= {phase: f"{stem}_{phase}", f"{phase}_gt": f"label_{stem}_{phase}"}
    paths = {role: find(folder / name) for role, name in roles.items()}
    return {role: path.relative_to(root).as_posix() for role, path in paths.items() if path is not None}
