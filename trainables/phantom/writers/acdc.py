"""The phantom on disk as ACDC is published."""

from __future__ import annotations

from pathlib import Path

from trainables.data.layouts.acdc import LABELS
from trainables.data.records import Progress
from trainables.data.sampling.splits import split_subjects
from trainables.phantom.anatomy.cardiac_mr import draw_examination
from trainables.phantom.settings import PhantomSettings
from trainables.phantom.writers.camus import write_info
from trainables.phantom.writers.cardiac_nifti import save_images, save_labels

_FIRST = {"training": 1, "testing": 101}


def write_acdc(root: Path, settings: PhantomSettings, progress: Progress | None = None) -> None:
    """Write `training/patientNNN` and `testing/patientNNN` below `root`: the cine, both phases, labels, cfg."""
    splits = split_subjects([str(number) for number in range(settings.subjects)], settings.fractions, settings.seed)
    counts = dict(_FIRST)
    for done, (number, split) in enumerate(sorted(splits.items(), key=lambda item: int(item[0])), 1):
        part = "testing" if split == "test" else "training"
        name = f"patient{counts[part]:03d}"
        counts[part] += 1
        exam = draw_examination(settings, f"acdc {number}", ("SA",))
        view, folder = exam.views["SA"], root / part / name
        save_images(folder / f"{name}_4d.nii.gz", view)
        for moment in (0, exam.end_systole):
            stem = f"{name}_frame{moment + 1:02d}"
            save_images(folder / f"{stem}.nii.gz", view, moment)
            save_labels(folder / f"{stem}_gt.nii.gz", view, LABELS, moment)
        lines: dict[str, object] = {"ED": 1, "ES": exam.end_systole + 1, "Group": "NOR", "Height": 170.0}
        write_info(folder / "Info.cfg", lines | {"NbFrame": len(view.images), "Weight": 70.0})
        if progress is not None:
            progress("generating phantom", done, settings.subjects)
