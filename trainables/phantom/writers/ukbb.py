"""The phantom on disk as UK Biobank studies keep cardiac MR in NIfTI."""

from __future__ import annotations

from pathlib import Path

from trainables.data.layouts.ukbb import LABELS, STEMS
from trainables.data.records import Progress
from trainables.phantom.anatomy.cardiac_mr import draw_examination
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.cardiac_nifti import save_images, save_labels

_LABELLED = ("SA", "4CH")


def write_ukbb(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write one folder per subject below `root`: cines of three views, and ED and ES of two with their labels."""
    for number in range(1, settings.subjects + 1):
        folder = root / f"{1000000 + number}"
        exam = draw_examination(settings, f"ukbb {number}")
        for name, view in exam.views.items():
            save_images(folder / f"{STEMS[name]}.nii.gz", view)
            if name in _LABELLED:
                for phase, moment in (("ED", 0), ("ES", exam.end_systole)):
                    save_images(folder / f"{STEMS[name]}_{phase}.nii.gz", view, moment)
                    save_labels(folder / f"label_{STEMS[name]}_{phase}.nii.gz", view, LABELS[name], moment)
        if progress is not None:
            progress("generating phantom", number, settings.subjects)
